"""Bayesian personalised ranking."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, average
from pyg_negsamp.space import Choice, Space


class BPRLoss(RankingLoss):
    r"""Pairwise loss: a positive should score above each of its negatives.

    Rendle et al., UAI 2009 (arXiv:1205.2618), with `K` negatives per positive:

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{\sum_k w_{bk}} \sum_k w_{bk} \,
              \left[ -\ln \sigma(s_b - s_{bk}) \right], \quad w_{bk} = 1 \text{ by default}

    A row without any weight counts with a loss of 0.

    Cost: `O(B * K)`.

    When to use it: first. It works with any sampler and any number of negatives, and a negative
    counts no more than once, however high it scores.
    """

    by_row = True
    #: Slope of the sigmoid's argument.
    softness = 1.0

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The mean over the negatives."""
        return average(softplus(self.softness * (neg - pos.unsqueeze(1))), weight)


class SoftBPRLoss(BPRLoss):
    r"""BPR with a flatter sigmoid, which keeps the hardest negatives from taking over.

    Shi et al., 2022 (arXiv:2211.13912), eq. 10:

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{\sum_k w_{bk}} \sum_k w_{bk}
              \left[ -\ln \sigma((1 - \alpha)(s_b - s_{bk})) \right]

    `alpha = 0` is :class:`BPRLoss`. With DNS, it equals SDNS of the same `alpha` with BPR, but for
    the L2 penalty of training, which falls on SDNS's mixtures.

    Cost: `O(B * K)`.

    When to use it: with a sampler of hard negatives, such as :class:`~pyg_negsamp.transforms.DNS`
    with a large `M`, where BPR looks at the hardest alone.

    Args:
        alpha: The share of the positive that SDNS would mix in, in [0, 1). Default 0.7; the
            paper sets `1 - alpha` below 0.3.

    Raises:
        ValueError: If `alpha` is out of range.
    """

    #: The paper's grid: its tau is `1 - alpha`.
    search_space: ClassVar[Space] = {"alpha": Choice((0.6, 0.7, 0.8, 0.9, 0.95))}

    def __init__(self, alpha: float = 0.7) -> None:
        super().__init__()
        self.alpha = number_in(self, "alpha", alpha, "[0, 1)")
        self.softness = 1 - self.alpha
