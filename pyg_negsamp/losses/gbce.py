"""gBCE: binary cross-entropy that knows how few of the negatives were drawn."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.losses.base import RankingLoss, average, count
from pyg_negsamp.space import Choice, Space


class GBCELoss(RankingLoss):
    r"""Binary cross-entropy, less confident of positives the fewer of all negatives it sees.

    gBCE (Petrov and Macdonald, RecSys 2023, arXiv:2308.07192, eq. 9 and 22):

    .. math:: L = -\frac{1}{B} \sum_b \frac{1}{K + 1} \left[ \beta \ln \sigma(s_b)
              + \sum_k \ln(1 - \sigma(s_{bk})) \right], \quad
              \beta = 1 - t + \alpha t, \quad \alpha = \frac{K}{I - 1}

    `t = 0` is binary cross-entropy, and nothing new. With `t = 1` the scores are calibrated: a
    sigmoid of a score is the probability of a click, however few negatives were drawn.

    Cost: `O(B * K)`.

    When to use it: where scores are to be read as probabilities, or where cross-entropy on few
    negatives is too sure of its positives.

    Args:
        num_items: `I`, the size of the catalogue.
        t: How much to correct, in [0, 1]. Default 0.75, the paper's.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: The paper's grid.
    search_space: ClassVar[Space] = {"t": Choice((0.0, 0.25, 0.5, 0.75, 1.0))}

    def __init__(self, num_items: int, t: float = 0.75) -> None:
        super().__init__()
        self.num_items = whole_number(self, "num_items", num_items, least=2)
        self.t = number_in(self, "t", t, "[0, 1]")

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The mean over the positive and its negatives."""
        num = count(neg, weight)
        beta = 1 - self.t + self.t * num / (self.num_items - 1)
        return (beta * softplus(-pos) + num * average(softplus(neg), weight)) / (num + 1)
