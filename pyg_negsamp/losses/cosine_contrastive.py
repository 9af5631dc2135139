"""CCL: the loss of SimpleX."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, average
from pyg_negsamp.space import Choice, Space


class CosineContrastiveLoss(RankingLoss):
    r"""Positives should have cosine 1, and negatives one below a margin; those below are ignored.

    CCL (Mao et al., CIKM 2021, arXiv:2109.12613, eq. 1), of cosines:

    .. math:: L = \frac{1}{B} \sum_b \left[ (1 - s_b)
              + \frac{\mu}{K} \sum_k \max(0, s_{bk} - m) \right]

    It wants many negatives: the paper has `K` from 800 to 1500.

    Cost: `O(B * K)`.

    When to use it: with many cheap negatives, most of which are easy: those below the margin are
    ignored.

    Args:
        margin: `m`, in [-1, 1]. Default 0.9; the paper's best are from 0.2 to 0.9.
        negative_weight: :math:`\mu`, at least 0. Default 150; the paper's best are from 10 to 300.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: The ranges of the paper's best values.
    search_space: ClassVar[Space] = {
        "margin": Choice((0.2, 0.4, 0.6, 0.8, 0.9)),
        "negative_weight": Choice((10.0, 50.0, 150.0, 300.0)),
    }
    similarity = "cosine"
    smooth = False

    def __init__(self, margin: float = 0.9, negative_weight: float = 150.0) -> None:
        super().__init__()
        self.margin = number_in(self, "margin", margin, "[-1, 1]")
        self.negative_weight = number_in(self, "negative_weight", negative_weight, "[0, inf)")

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The positive's part and the negatives' mean."""
        return 1 - pos + self.negative_weight * average((neg - self.margin).relu(), weight)
