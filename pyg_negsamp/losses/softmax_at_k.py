"""SL@K: a softmax that cares for the positives within reach of a list of K."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.losses.base import RankingLoss, log_sum_exp
from pyg_negsamp.losses.bilateral import BilateralSoftmaxLoss
from pyg_negsamp.memory import check_memory
from pyg_negsamp.space import Choice, Range, Space

#: Scores held at a time while the K-th best are looked for.
BLOCK_BYTES = 2**26


class SoftmaxAtKLoss(RankingLoss):
    r"""Positives above the user's K-th best score count most, those far below count little.

    SL@K (Yang et al., KDD 2025, arXiv:2508.05673), of cosines:

    .. math:: L = \frac{1}{B} \sum_b \sigma\left( \frac{s_b - \beta_u}{\tau_w} \right)
              \ln \sum_k \exp\left( \frac{s_{bk} - s_b}{\tau} \right)

    :math:`\beta_u` is the K-th best score that any item has with the user. It is kept per user, and
    refreshed every few epochs. The paper estimates it, from the user's training items and a sample
    of all others; here it is exact, as the paper defines it.

    State: `quantile`, `[U]`, in `state_dict`. Cost: `O(U * I * D)` per refresh, in blocks, about
    that of a validation. Needs the whole table at the start of an epoch (:meth:`start_epoch`);
    before the first, :math:`\beta_u` is 0. New users are placed with equal weights.

    When to use it: where the length of the list is known, and ranking all items for all users every
    few epochs can be afforded.

    Args:
        num_users: Number of users, `U`.
        temperature: :math:`\tau`, above 0. Default 0.1.
        weight_temperature: :math:`\tau_w`, above 0. Default 1; the paper's best are 0.5 to 3.
        k: Length of the list that matters. Default 20.
        every: Epochs between refreshes. Default 5, one of the paper's.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: The second range is that of the paper's best values.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.03, 0.5, log=True),
        "weight_temperature": Choice((0.5, 1.0, 1.5, 2.0, 3.0)),
    }
    similarity = "cosine"
    needs = ("user",)
    least_negatives = 2
    needs_whole_table = True
    quantile: Tensor

    def __init__(
        self,
        num_users: int,
        temperature: float = 0.1,
        weight_temperature: float = 1.0,
        k: int = 20,
        every: int = 5,
    ) -> None:
        super().__init__()
        self.num_users = whole_number(self, "num_users", num_users, least=1)
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.weight_temperature = number_in(
            self, "weight_temperature", weight_temperature, "(0, inf)"
        )
        self.k = whole_number(self, "k", k, least=1)
        self.every = whole_number(self, "every", every, least=1)
        check_memory(self, "num_users", num_users, 4 * num_users)
        self.register_buffer("quantile", torch.zeros(self.num_users))

    @torch.no_grad()
    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> None:
        """Refreshes the K-th best scores, if it is time; with fewer items than K, the least."""
        if users is None or items is None or epoch % self.every:
            return
        k = min(self.k, len(items))
        rows = max(1, BLOCK_BYTES // (len(items) * items.element_size()))
        best = [(block @ items.t()).topk(k, dim=1).values[:, -1] for block in users.split(rows)]
        self.quantile.copy_(torch.cat(best))

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None, user: Tensor) -> Tensor:
        """The weighted softmax over the negatives."""
        reach = torch.sigmoid((pos - self.quantile[user]) / self.weight_temperature)
        log_sum = log_sum_exp(neg, weight, self.temperature)
        return reach * (log_sum - pos / self.temperature)

    def of_new_users(self) -> RankingLoss:
        """The softmax over the negatives alone."""
        return BilateralSoftmaxLoss(self.temperature)
