"""SogCLR: a softmax over many more negatives than the batch has, by a memory per user."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.losses.base import RankingLoss, count, log_sum_exp, same_user
from pyg_negsamp.losses.bilateral import BilateralSoftmaxLoss, log_mean_exp
from pyg_negsamp.memory import check_memory
from pyg_negsamp.space import Choice, Range, Space


class SogCLRLoss(RankingLoss):
    r"""The denominator of a softmax is remembered from step to step, so that few negatives do.

    SogCLR (Yuan et al., ICML 2022, arXiv:2202.12387, algorithm 1), of cosines:

    .. math:: L = \frac{1}{B} \sum_b \left[ -\frac{s_b}{\tau} + \frac{\hat g_b}{g_u} \right],
              \quad \hat g_b = \frac{1}{K} \sum_k e^{s_{bk} / \tau}, \quad
              g_u \leftarrow (1 - \gamma) g_u + \gamma \, \text{mean}_{b \text{ of } u} \hat g_b

    No gradient flows through `g`, which is updated before it divides, and begins with the first
    :math:`\hat g`. The value is no measure of progress: its second part stays near 1. With
    `gamma = 1` and one positive per user in the batch, this has the gradient of a softmax over the
    negatives alone, and is nothing new; so it places new users.

    State: `log_g`, `[U + 1]`, in `state_dict`; updated in training mode only.

    Cost: `O(B * (K + log B))`.

    When to use it: where a softmax wants more negatives than a step can afford. Users have to come
    up often enough for the memory to be true.

    Args:
        num_users: Number of users, `U`.
        temperature: :math:`\tau`, above 0. Default 0.1.
        gamma: How much a step changes the memory, in (0, 1]. Default 0.9.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: The temperatures are ours, the others the paper's.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.03, 0.5, log=True),
        "gamma": Choice((0.1, 0.5, 0.7, 0.9)),
    }
    similarity = "cosine"
    needs = ("user",)
    notes_rows = True
    log_g: Tensor

    def __init__(self, num_users: int, temperature: float = 0.1, gamma: float = 0.9) -> None:
        super().__init__()
        self.num_users = whole_number(self, "num_users", num_users, least=1)
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.gamma = number_in(self, "gamma", gamma, "(0, 1]")
        check_memory(self, "num_users", num_users, 4 * num_users)
        # Minus infinity for users who have not been met; the last is nobody.
        self.register_buffer("log_g", torch.full((self.num_users + 1,), -torch.inf))

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        user: Tensor,
        counts: Tensor | None = None,
    ) -> Tensor:
        """In logarithms, since exponentials overflow."""
        if counts is not None:
            user = user.where(counts, self.num_users)
        pos, neg = pos / self.temperature, neg / self.temperature
        log_now = log_sum_exp(neg, weight) - count(neg, weight).log()
        mine = log_mean_exp(log_now.detach(), same_user(user))
        known = self.log_g[user].to(mine)
        mixed = mine
        if self.gamma < 1:
            mixed = torch.logaddexp(math.log1p(-self.gamma) + known, math.log(self.gamma) + mine)
            mixed = mixed.where(known > -torch.inf, mine)
        if self.training:  # rows of one user write the same
            self.log_g[user] = mixed.to(self.log_g)
        return (log_now - mixed).exp() - pos

    def of_new_users(self) -> RankingLoss:
        """The softmax over the negatives alone."""
        return BilateralSoftmaxLoss(self.temperature)
