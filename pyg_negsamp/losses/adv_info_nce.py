"""AdvInfoNCE: an adversary decides how hard each negative is."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.losses.base import RankingLoss, check_neg_item, count, log_sum_exp, log_weight
from pyg_negsamp.losses.bilateral import BilateralSoftmaxLoss
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import reverse_gradient, wide
from pyg_negsamp.products import dot
from pyg_negsamp.space import Choice, Range, Space


class AdvInfoNCELoss(RankingLoss):
    r"""InfoNCE whose negatives are weighted by an adversary with embeddings of its own.

    AdvInfoNCE (Zhang et al., NeurIPS 2023, arXiv:2310.18700, eq. 7), of cosines:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{e^{s_b / \tau}}
              {e^{s_b / \tau} + c K \sum_k q_{bk} e^{s_{bk} / \tau}}, \quad
              q_{bk} = \text{softmax}_k(g_u \cdot g_k)

    The model lowers it. The adversary, the vectors `g`, raises it: with the same optimiser, through
    a reversed gradient, in every `every`-th epoch and `rounds` of them at most. Otherwise `q` stays
    what it is. In the paper the two take turns; here the model goes on learning meanwhile.

    The adversary knows negatives by their ids. Of one that was chosen per layer, its vector is the
    mean over the layers; negatives without an item behind them are refused. `q` has no part of
    the positive. With an untrained adversary and `c = 1`, this is :class:`SampledSoftmaxLoss`, all
    but nothing new. New users are placed by a softmax over the negatives alone, the limit of
    large `c`.

    State: `users`, `items`, as large as an embedding of the model.

    Cost: `O(B * K * D)`, and twice the embeddings to optimise.

    When to use it: where hard negatives and false ones are mixed, with several per positive. The
    adversary learns by their ids how much each of them counts.

    Args:
        num_users: Number of users, `U`.
        num_items: Number of items, `I`.
        temperature: :math:`\tau`, above 0. Default 0.1.
        negative_weight: `c`, above 0. Default 64, the paper's.
        every: Epochs from one round of the adversary to the next. Default 5, the paper's.
        rounds: How many rounds it has. Default 10.
        dim: Width of its vectors. Default 64.

    Raises:
        ValueError: If an argument is out of range; in a step, if negatives have no ids.
    """

    #: The temperatures are ours, the others of the paper's order.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.03, 0.5, log=True),
        "negative_weight": Choice((1.0, 16.0, 64.0)),
        "rounds": Choice((3, 10, 30)),
    }
    similarity = "cosine"
    needs = ("user", "neg_item")
    requires = ("neg_item",)
    least_negatives = 2
    #: Whether the adversary learns in this epoch.
    learns = True

    def __init__(
        self,
        num_users: int,
        num_items: int,
        temperature: float = 0.1,
        negative_weight: float = 64.0,
        every: int = 5,
        rounds: int = 10,
        dim: int = 64,
    ) -> None:
        super().__init__()
        self.num_users = whole_number(self, "num_users", num_users, least=1)
        self.num_items = whole_number(self, "num_items", num_items, least=1)
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.negative_weight = number_in(self, "negative_weight", negative_weight, "(0, inf)")
        self.every = whole_number(self, "every", every, least=1)
        self.rounds = whole_number(self, "rounds", rounds)
        self.dim = whole_number(self, "dim", dim, least=1)
        check_memory(self, "dim", dim, 16 * (self.num_users + self.num_items) * self.dim)
        self.users = torch.nn.Embedding(self.num_users, self.dim)
        self.items = torch.nn.Embedding(self.num_items, self.dim)
        for table in (self.users, self.items):
            torch.nn.init.xavier_uniform_(table.weight)

    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> None:
        """Tells whether the adversary has its turn."""
        self.learns = epoch % self.every == 0 and epoch // self.every < self.rounds

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        user: Tensor,
        neg_item: Tensor | None,
    ) -> Tensor:
        """The softmax by the adversary's weights."""
        logit = self._hardness(user, check_neg_item(self, neg, neg_item)).to(neg.dtype)
        logit = reverse_gradient(logit) if self.learns else logit.detach()
        if weight is not None:
            logit = logit + log_weight(weight)
        log_q = logit.log_softmax(dim=1)
        log_sum = log_sum_exp(neg / self.temperature + log_q, None)
        log_sum = log_sum + math.log(self.negative_weight) + count(neg, weight).log()
        return softplus(log_sum - pos / self.temperature)

    def _hardness(self, user: Tensor, neg_item: Tensor) -> Tensor:
        """What the adversary thinks of negatives, `[B, K]`."""
        items = self.items(neg_item)
        if items.dim() == 4:  # one per layer
            items = items.mean(dim=2)
        return dot(self.users(user), wide(items))

    def of_new_users(self) -> RankingLoss:
        """The softmax over the negatives alone."""
        return BilateralSoftmaxLoss(self.temperature)
