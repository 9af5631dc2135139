"""NSCaching: hard negatives out of a cache per user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.layers import Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.per_user import draw_without_replacement, first_items, remember
from pyg_negsamp.transforms.rns import random_choice


class NSCaching(NegativeSampling):
    r"""Draws uniformly out of a cache per user, which high-scored items enter and leave.

    Zhang et al., ICDE 2019 (arXiv:1812.06410), algorithms 2 and 3, with a user in the place of a
    head and a relation. Every user has a cache of `N_1` items; the negative is any of them. After
    each use, `N_2` new candidates join, and of the union `N_1` stay, drawn without replacement
    with

    .. math:: p(k) = \exp(s(u, k) / \tau) \Big/ \sum_m \exp(s(u, m) / \tau)

    The paper has no `tau`, which is 1 there. An item that is there twice counts once, unless fewer
    than `N_1` are left then; in the paper it takes two places. Its lazy update, every few epochs,
    is not here.

    A user that occurs twice in a batch has one cache for the whole batch, renewed once. Of
    candidates that come with a call or a batch, `K` are chosen at random, without cache. The `K`
    of a row are different places of the cache.

    State: the cache, `[U, N_1]` (8 bytes each), in `state_dict`. Gradients flow through the chosen
    rows only. Cost: `O(B * (N_1 + N_2) * D)` besides the draw.

    When to use it: where hard items are rare among random ones, as in large catalogues: the cache
    keeps those that were found. :class:`SRNS` adds a guard against false negatives.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        num_new: Candidates that join the cache after each use, `N_2`. Default 50, as in the paper.
        tau: Temperature of what stays in the cache, above 0. Default 1.
        num_candidates: Size of the cache, `N_1`. Default 50, as in the paper.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    by_row = True
    default_num_candidates = 50

    #: The paper's, less 10 and 90.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((30, 50, 70)),
        "num_new": Choice((30, 50, 70)),
    }
    keeps_users = True
    memories = ("memory",)
    memory: Tensor

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_new: int = 50,
        tau: float = 1.0,
        num_candidates: int | None = None,
        num_negatives: int | None = None,
        pool: Pool = "mean",
        layers: int = 1,
        score: Score | None = None,
        edge_type: EdgeType | None = None,
        check_positives: bool = True,
        as_links: bool = False,
    ) -> None:
        super().__init__(
            candidates,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.num_new = whole_number(self, "num_new", num_new, least=1)
        self.tau = number_in(self, "tau", tau, "(0, inf)")
        if self.candidates is not None:
            size = self.num_candidates
            first = first_items(self, "num_candidates", self.candidates, size)
            self.register_buffer("memory", first)

    def draw(
        self,
        user: Tensor,
        pos: Tensor,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """First pass: the users' caches."""
        if self.candidates is None or time is not None:
            return super().draw(user, pos, generator, time)  # which says what is wrong
        return rows_at(self.memory, user)

    @torch.no_grad()
    def choose(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor | None = None,
        generator: torch.Generator | None = None,
        named: tuple[Tensor, Tensor] | None = None,
    ) -> Selection:
        """Selects from the cache, then renews it; or selects from what is given."""
        if candidates is not None or self.candidates is None:
            return super().choose(user, pos, user_xs, item_xs, candidates, generator)
        # First, for it refuses users who have nothing to draw, and so no cache either.
        new = self.candidates(user, self.num_new, generator)
        chosen = super().choose(user, pos, user_xs, item_xs, None, generator)
        union = torch.cat([rows_at(self.memory, user), new], dim=1)
        users = gather_pooled(user_xs, user, self.pool)
        logit = self.scores(users, pool_layers(item_xs, self.pool), union) / self.tau
        kept = draw_without_replacement(union, logit, self.num_candidates, generator)
        remember(self.memory, user, kept)
        return chosen

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """`K` of the candidates at random."""
        return Selection(random_choice(candidates, self.num_negatives, generator))
