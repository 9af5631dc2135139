"""The loss of contrastive DNS."""

from __future__ import annotations

from typing import ClassVar

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.softmax import SampledSoftmaxLoss
from pyg_negsamp.space import Range, Space


class ContrastiveLoss(SampledSoftmaxLoss):
    r"""InfoNCE of a positive against its random and its contrastive negatives.

    "Dynamic Negative Sampling for Contrastive Recommendation" (2022), eq. 5:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{f(u, i^+)}{f(u, i^-) + f(u, i'^-) + f(u, i^+)},
              \quad f(u, i) = \exp(\cos(u, i) / \tau)

    A sampled softmax of cosines; every negative has a term in the denominator.

    Cost: `O(B * K)`.

    When to use it: with :class:`~pyg_negsamp.transforms.ContrastiveDNS`, as in the paper. With
    other samplers take :class:`SampledSoftmaxLoss`, which is the same.

    Args:
        tau: Temperature, above 0. Default 0.2; the paper states none.

    Raises:
        ValueError: If `tau` is out of range.
    """

    #: Ours.
    search_space: ClassVar[Space] = {"tau": Range(0.05, 1.0, log=True)}

    def __init__(self, tau: float = 0.2) -> None:
        tau = number_in(self, "tau", tau, "(0, inf)")
        super().__init__(temperature=tau, similarity="cosine")
        self.tau = tau
