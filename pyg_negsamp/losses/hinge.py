"""Adaptive hinge: the hardest of some negatives, by a margin."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss
from pyg_negsamp.space import Choice, Space


class HingeLoss(RankingLoss):
    r"""A positive should score above the highest of its negatives, by a margin.

    .. math:: L = \frac{1}{B} \sum_b \max(0, \; m - s_b + \max_k s_{bk})

    With one negative, the hinge loss of pairs (Herbrich et al., 2000). With several and RNS, the
    "adaptive hinge": the same as that loss after :class:`~pyg_negsamp.transforms.DNS`.

    Cost: `O(B * K)`.

    When to use it: with many cheap negatives, in the place of a sampler that looks for hard ones.
    Pairs beyond the margin teach nothing, so the margin has to suit the scale of the scores.

    Args:
        margin: `m`, at least 0. Default 1.

    Raises:
        ValueError: If `margin` is out of range.
    """

    by_row = True
    #: Ours.
    search_space: ClassVar[Space] = {"margin": Choice((0.1, 0.5, 1.0, 2.0))}
    smooth = False

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = number_in(self, "margin", margin, "[0, inf)")

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The hinge of the hardest negative."""
        if weight is not None:
            neg = neg.masked_fill(weight == 0, -torch.inf)
        return (self.margin - pos + neg.amax(dim=1)).relu()
