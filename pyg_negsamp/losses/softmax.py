"""Softmax of a positive against its negatives."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pyg_negsamp.errors import number_in, one_of
from pyg_negsamp.losses.base import RankingLoss, softmax_loss
from pyg_negsamp.space import Range, Space


class SampledSoftmaxLoss(RankingLoss):
    r"""The positive should have all of the probability among itself and its negatives.

    SSM (Wu et al., 2022, arXiv:2201.02327); with RNS and `K > 1` the baseline of that name:

    .. math:: L = -\frac{1}{B} \sum_b \ln
              \frac{\exp(s_b / \tau)}{\exp(s_b / \tau) + \sum_k w_{bk} \exp(s_{bk} / \tau)}

    Weights default to 1; 0 leaves a negative out.

    Cost: `O(B * K)`.

    When to use it: with many random or popular negatives. The temperature says how much the highest
    count, so no sampler has to look for them. With a graph encoder and negatives of the batch, try
    `rank_by='dot'` (`--rank-by dot`) as well: cosines leave the lengths of vectors alone, which
    there tell how popular an item is.

    Args:
        temperature: :math:`\tau`, above 0. Default 0.1, to be tuned: the method is known to
            depend on it.
        similarity: `'cosine'` or `'dot'`: what the scores should be. The loss only sees scores;
            training reads this to compute them, and ranks by the same unless told otherwise
            (`rank_by`).

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: Ours.
    search_space: ClassVar[Space] = {"temperature": Range(0.03, 0.5, log=True)}
    takes_weightless_rows = True

    def __init__(self, temperature: float = 0.1, similarity: str = "cosine") -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.similarity = one_of(self, "similarity", similarity, ("cosine", "dot"))

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """Minus the logarithm of the positive's share."""
        return softmax_loss(pos, neg, weight, self.temperature)


class KPairBPRLoss(SampledSoftmaxLoss):
    r"""BPR of a positive against the sum of its negatives, as several released codes compute it.

    .. math:: L = \frac{1}{B} \sum_b \ln \left( 1 + \sum_k \exp(s_{bk} - s_b) \right)

    A sampled softmax of dot products with temperature 1; with `K = 1`, BPR.

    Cost: `O(B * K)`.

    When to use it: with several negatives, where the highest should count most and no temperature
    is to be tuned.
    """

    search_space: ClassVar[Space] = {}

    def __init__(self) -> None:
        super().__init__(temperature=1.0, similarity="dot")
