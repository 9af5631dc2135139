"""PRIS: many proposals, weighted by how much the model believes in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.layers import pool_rows
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Negatives, Selection
from pyg_negsamp.transforms.rns import random_choice


class PRIS(NegativeSampling):
    r"""Weights `K` proposals by importance, so that they stand for the model's own distribution.

    Lian et al., WWW 2020 (doi:10.1145/3366423.3380187). Negatives should follow the softmax of
    the model's scores; they are drawn from a proposal `Q` (uniform or popularity) instead, and

    .. math:: w_{uj} = \text{softmax}_j ( s(u, j) - \log Q(j) )

    over the `K` of a positive makes up for it. The weights are in `Negatives.weight`, to be used
    by a loss such as :class:`~pyg_negsamp.losses.BPRLoss`. No gradient flows through them. `K = 1`
    is :class:`~pyg_negsamp.transforms.RNS`. A normaliser of `Q` per user cancels; candidates that
    come with a batch count as drawn by `candidates`, or uniformly if there are none. Those that
    popularity would never draw share all of the weight of their row: the limit as `Q` goes to 0.
    With :class:`~pyg_negsamp.candidates.BatchCandidates`, `Q` is by how often an item is in the
    batch.

    The paper also proposes adaptive proposals (clusters of users); those are not here. Cost:
    `O(B * K * H * D)`.

    When to use it: where several negatives per positive can be afforded. Hard ones count more, and
    none alone, so that a false one has no more than its share.

    Args:
        candidates: First pass: the proposal,
            :class:`~pyg_negsamp.candidates.UniformCandidates` or
            :class:`~pyg_negsamp.candidates.PopularityCandidates`.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives.
        num_negatives: Negatives per positive, `K`. Default 8.
        pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.
    """

    by_row = True
    #: Ours.
    search_space: ClassVar[Space] = {"num_negatives": Choice((2, 4, 8, 16, 32))}

    default_num_negatives = 8

    @property
    def needs_global_ids(self) -> bool:
        """Where the proposal is not uniform: its probabilities are kept by id."""
        return self.candidates is not None and not self.candidates.is_uniform

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """All candidates, or a random `K` of them, with what their proposal makes of them."""
        index = random_choice(candidates, self.num_negatives, generator)
        log_q = None if self.candidates is None else self.candidates.log_mass_in(index, pos)
        return Selection(index, log_q)

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """The proposals, with their weights `[B, K]`."""
        with torch.no_grad():
            logit = self.pair_scores(pool_rows(user, self.pool), pool_rows(neg, self.pool))
            if chosen.state is not None:
                log_q = chosen.state.to(logit)
                never = log_q == -torch.inf
                others = ~never & never.any(dim=1, keepdim=True)
                logit = (logit - log_q.masked_fill(never, 0)).masked_fill(others, -torch.inf)
        return Negatives(chosen.index, neg, weight=logit.softmax(dim=1))
