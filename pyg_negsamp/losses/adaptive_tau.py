"""Adap-tau: a temperature for each user, found while training."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from scipy.special import lambertw
from torch import Tensor

from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.losses.base import RankingLoss, log_sum_exp, softmax_loss
from pyg_negsamp.losses.softmax import SampledSoftmaxLoss
from pyg_negsamp.memory import check_memory
from pyg_negsamp.space import Choice, Space

#: How far positives are above all items while nobody has looked, as the authors begin.
FIRST_GAP = 0.7
#: Where Lambert's function begins; at the point itself, -1 / e rounded, scipy's is NaN.
LEAST_ARGUMENT = math.nextafter(-1 / math.e, 0)


class AdaptiveTauLoss(RankingLoss):
    r"""A sampled softmax with a temperature per user, higher for users who are hard to fit.

    Adap-tau (Chen et al., WWW 2023, arXiv:2302.04775), of cosines:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{\exp(s_b / \tau_u)}
              {\exp(s_b / \tau_u) + \sum_k \exp(s_{bk} / \tau_u)}

    At the start of an epoch, from the epoch before,

    .. math:: \tau_u = \tau_0 \exp\left( W\left( \max\left( -\frac{1}{e}, \;
              \frac{\ell_u - \bar \ell}{\beta} \right) \right) \right), \quad
              \tau_0 = \frac{\bar s_+ - \bar s}{\ln(U I / 2 E)}

    with Lambert's `W`, the mean :math:`\ell_u` of the user's losses at temperature 1 and its mean
    over users, the mean score :math:`\bar s_+` of the `E` training links and :math:`\bar s` of all
    pairs. In the first `warmup` epochs :math:`\bar s_+ - \bar s` is taken to be 0.7, and so it is
    where positives score no higher than other pairs.

    :math:`\beta` is that of the authors' programs. Users whose losses are far below the mean have
    the least temperature there is, :math:`\tau_0 / e`.

    Simpler than the released code in that all users and links count for :math:`\tau_0`, that
    :math:`\bar s_+` is what training met in the epoch before, and that the positive's score has
    the user's temperature, too, and a term in the denominator. There is no temperature to search.

    State: per user the temperature and the losses of the epoch, `[U]`, in `state_dict`; losses are
    noted in training mode only. Needs the whole table at the start of an epoch. New users are
    placed with :math:`\tau_0`.

    Cost: `O(B * K)`, and `O((U + I) * D)` per epoch.

    When to use it: where a softmax fits and nobody wants to search its temperature, or users differ
    much in how well they can be fitted. Training has to be longer than `warmup`.

    Args:
        num_users: Number of users, `U`.
        num_items: Number of items, `I`.
        num_links: Number of training links, `E`, fewer than half of all pairs.
        beta: How little users differ, above 0. Default 1.
        warmup: Epochs before temperatures adapt to the scores. Default 100, the authors'.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: Ours.
    search_space: ClassVar[Space] = {
        "beta": Choice((0.25, 0.5, 1.0, 2.0)),
        "warmup": Choice((5, 20, 100)),
    }
    similarity = "cosine"
    needs = ("user",)
    notes_rows = True
    needs_whole_table = True
    base: Tensor
    temperature: Tensor
    loss_sum: Tensor
    met: Tensor
    score_sum: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_links: int,
        beta: float = 1.0,
        warmup: int = 100,
    ) -> None:
        super().__init__()
        self.num_users = whole_number(self, "num_users", num_users, least=1)
        self.num_items = whole_number(self, "num_items", num_items, least=1)
        self.num_links = whole_number(self, "num_links", num_links, least=1, most=2**63 - 1)
        pairs = self.num_users * self.num_items
        if 2 * self.num_links >= pairs:
            raise invalid(self, "num_links", f"fewer than half of {pairs} pairs", num_links)
        self.beta = number_in(self, "beta", beta, "(0, inf)")
        self.warmup = whole_number(self, "warmup", warmup)
        check_memory(self, "num_users", self.num_users, 12 * self.num_users)
        self.spread = math.log(pairs / (2 * self.num_links))
        self.register_buffer("base", torch.tensor(FIRST_GAP / self.spread))
        self.register_buffer("temperature", self.base.repeat(self.num_users))
        for name in ("loss_sum", "met"):
            self.register_buffer(name, torch.zeros(self.num_users))
        self.register_buffer("score_sum", torch.zeros(()))

    @torch.no_grad()
    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> None:
        """Sets the temperatures by the epoch before, and begins to note this one."""
        if self.met.any():
            if users is not None and items is not None and epoch >= self.warmup:
                gap = self.score_sum / self.met.sum() - users.mean(dim=0) @ items.mean(dim=0)
                self.base.copy_(torch.where(gap > 0, gap, FIRST_GAP) / self.spread)
            self.temperature.copy_(self.base * self._factors())
        for noted in (self.loss_sum, self.met, self.score_sum):
            noted.zero_()

    def _factors(self) -> Tensor:
        """By how much each user's temperature is above the common one, `[U]`."""
        met = self.met > 0
        loss = self.loss_sum / self.met.clamp(min=1)
        above = (loss - loss[met].mean()).where(met, 0) / self.beta
        argument: Any = above.double().clamp(min=LEAST_ARGUMENT).cpu().numpy()
        return torch.from_numpy(lambertw(argument).real).to(loss).exp()

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        user: Tensor,
        counts: Tensor | None = None,
    ) -> Tensor:
        """The softmax by the user's temperature; notes its loss at temperature 1."""
        if self.training:
            score = pos.detach()
            plain = log_sum_exp(neg.detach(), weight) - score
            met = torch.ones_like(plain) if counts is None else counts.to(plain)
            self.loss_sum.index_add_(0, user, (plain * met).to(self.loss_sum))
            self.met.index_add_(0, user, met.to(self.met))
            self.score_sum += (score * met).sum()
        temperature = self.temperature[user]
        return softmax_loss(pos / temperature, neg / temperature.unsqueeze(1), weight)

    def of_new_users(self) -> RankingLoss:
        """The sampled softmax by the common temperature."""
        return SampledSoftmaxLoss(float(self.base))
