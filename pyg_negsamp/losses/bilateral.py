"""BSL: a softmax on the side of the positives, too."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, count, log_sum_exp, same_user
from pyg_negsamp.space import Choice, Range, Space


class BilateralSoftmaxLoss(RankingLoss):
    r"""Among a user's positives those with high scores count most, as among negatives.

    BSL (Wu et al., ICDE 2024, arXiv:2312.12882). With `P` the positives of the row's user in the
    batch:

    .. math:: L = \frac{1}{B} \sum_b \left[ -\ln \frac{1}{|P|} \sum_{i \in P} \exp(s_i / \tau_1)
              + c \, \ln \frac{1}{K} \sum_k \exp(s_{bk} / \tau_2) \right]

    A positive that scores low is perhaps a wrong one: the others of its user then take its part.
    The positive of a row without any weight counts among those of its user, too.

    With one positive per user in the batch, equal temperatures and `c = 1`, this has the gradient
    of a softmax over the negatives alone, and is nothing new. That is close to
    :class:`SampledSoftmaxLoss`, whose denominator has the positive, too. With large batches, or
    few users, it differs. The paper multiplies by the temperatures; here `c` says how the two
    sides weigh.

    Cost: `O(B * (K + log B))`.

    When to use it: where some of the positives are wrong, as clicks by mistake are, and batches
    have several positives of a user. Not with low :math:`\tau_1` and many of them: the highest gets
    nearly all of the gradient, and the others are not learned (docs/tuned.md, the table of losses).
    :math:`\tau_1 = 10, c = \tau_2 / 10` treats them nearly alike.

    Args:
        temperature: :math:`\tau_2`, of the negatives, above 0. Default 0.1; the paper's are from
            0.08 to 0.3.
        positive_temperature: :math:`\tau_1`, of the positives. Default: as that of the negatives.
        negative_weight: `c`, above 0. Default 1; the paper's are from 0.8 to 1.3.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: The ranges of the paper's best values.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.05, 0.3, log=True),
        "positive_temperature": Range(0.05, 0.3, log=True),
        "negative_weight": Choice((0.8, 0.9, 1.0, 1.1, 1.2, 1.3)),
    }
    similarity = "cosine"
    needs = ("user",)
    least_negatives = 2

    def __init__(
        self,
        temperature: float = 0.1,
        positive_temperature: float | None = None,
        negative_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        if positive_temperature is None:
            positive_temperature = self.temperature
        self.positive_temperature = number_in(
            self, "positive_temperature", positive_temperature, "(0, inf)"
        )
        self.negative_weight = number_in(self, "negative_weight", negative_weight, "(0, inf)")

    def per_positive(
        self, pos: Tensor, neg: Tensor, weight: Tensor | None, user: Tensor | None = None
    ) -> Tensor:
        """Both sides; without `user`, every row is a user of its own."""
        below = log_sum_exp(neg, weight, self.temperature) - count(neg, weight).log()
        above = pos / self.positive_temperature
        if user is not None:
            above = log_mean_exp(above, same_user(user))
        return self.negative_weight * below - above


def log_mean_exp(x: Tensor, group: Tensor) -> Tensor:
    """For each row `[B]`, the logarithm of the mean of `exp(x)` over the rows of its group."""
    start = x.new_full(x.shape, -torch.inf)
    largest = start.scatter_reduce(0, group, x.detach(), "amax")[group]
    total = torch.zeros_like(x).index_add(0, group, (x - largest).exp())
    size = torch.zeros_like(x).index_add(0, group, torch.ones_like(x))
    return largest + (total[group] / size[group]).log()
