"""MCNS: a Markov chain per user, whose states are the negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.layers import Embeddings, Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import uniform, unit_rows, wide
from pyg_negsamp.scoring import Score, all_scores
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.per_user import first_items, remember

#: Similarities held at a time while looking for the nearest items.
BLOCK_BYTES = 2**26


class MCNS(NegativeSampling):
    r"""Walks through the unseen items so that each is met in proportion to a power of its score.

    Yang et al., KDD 2020 (arXiv:2005.09863), algorithm 1. Negatives should follow the positives'
    distribution, less steeply, which the model stands in for:

    .. math:: p_n(k \mid u) \propto \sigma(s(u, k))^\alpha \quad \text{over the unseen items}

    Each user has a Metropolis-Hastings chain, which takes `M` steps whenever the user comes up; the
    last `K` states are the negatives. From item `x`, the proposal is with probability 1/2 each a
    draw of `candidates`, and any of the `num_near` items nearest to `x` by cosine:

    .. math::
        q(y \mid x) &= \tfrac12 Q(y) + \tfrac12 [y \in N(x)] / |N|, \\
        \text{accepted with} &\quad \min \left( 1, \frac{p_n(y) \, q(x \mid y)}
                                                        {p_n(x) \, q(y \mid x)} \right)

    so an item that the user has seen never is. The paper writes scores in the place of sigmoids,
    which may be below zero. It carries one chain on from user to user; here each has one of its
    own, which needs no burn-in either after its first uses. Neighbours are those of the last
    :meth:`refresh`; before the first one there are none, and `candidates` alone propose.

    As chains linger, the `K` of a row may be the same item. A user that occurs twice in a batch
    walks from the same state; the last row's walk is remembered. Candidates that come with a call
    or a batch are the proposals of a walk from the first of them, as drawn by `candidates`.

    State: `[U]` states and `[I, num_near]` neighbours (8 bytes each), in `state_dict`. Gradients
    flow through the chosen rows only. Cost: `O(B * M * (D + num_near + log E))` per batch and
    `O(I^2 * D)` per epoch.

    When to use it: where negatives should follow what is liked, less steeply: they are not as hard
    as those of :class:`DNS`, by `alpha`. The catalogue has to be small enough for the neighbours of
    all its items.

    Args:
        candidates: First pass and half of the proposals, usually
            :class:`~pyg_negsamp.candidates.UniformCandidates`; chains move by
            :class:`~pyg_negsamp.candidates.BatchCandidates` as by these.
        alpha: Power of the scores, above 0; the paper's are below 1. Default 0.75.
        num_near: How many items are near another. Default 20.
        num_candidates: Steps per positive, `M`. Default 10, as released.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    by_row = True
    default_num_candidates = 10

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((5, 10, 20)),
        "alpha": Choice((0.25, 0.5, 0.75, 1.0)),
    }
    keeps_users = True
    memories = ("memory",)
    memory: Tensor
    near: Tensor

    def __init__(
        self,
        candidates: Source = None,
        *,
        alpha: float = 0.75,
        num_near: int = 20,
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
        self.alpha = number_in(self, "alpha", alpha, "(0, inf)")
        num_near = whole_number(self, "num_near", num_near, least=1)
        if self.candidates is not None:
            num_items, some = self.candidates.num_items, self.candidates.items
            others = (num_items if some is None else len(some)) - 1
            size = (num_items, max(1, min(num_near, others)))
            check_memory(self, "num_near", num_near, 8 * size[0] * size[1])
            first = first_items(self, "candidates", self.candidates, 1)
            self.register_buffer("memory", first.squeeze(1))
            self.register_buffer("near", torch.full(size, -1, device=first.device))

    @property
    def needs_global_ids(self) -> bool:
        """Where proposals are not uniform: their probabilities are kept by id."""
        return self.candidates is not None and not self.candidates.is_uniform

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Finds the items nearest to each."""
        if self.candidates is None:
            return
        items = unit_rows(wide(self._whole_tables(x_dict)[1]))
        position = self.candidates.position  # of users among nodes, and others never drawn, -1
        every = torch.arange(len(items), device=items.device)
        for ids in every.split(max(1, BLOCK_BYTES // (len(items) * items.element_size()))):
            similarity = all_scores(items[ids], items)
            if position is not None:
                similarity.masked_fill_(position < 0, -torch.inf)
            similarity[every[: len(ids)], ids] = -torch.inf
            self.near[ids] = similarity.topk(self.near.size(1), dim=1).indices

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
        """Walks on from where the users' chains are; or among what is given."""
        if candidates is not None or self.candidates is None:
            return super().choose(user, pos, user_xs, item_xs, candidates, generator)
        drawn = self.draw(user, pos, generator)
        slot = torch.empty_like(drawn).random_(self.near.size(1), generator=generator)
        coin, chance = uniform((2, *drawn.shape), torch.double, drawn.device, generator)
        users = gather_pooled(user_xs, user, self.pool)
        items = pool_layers(item_xs, self.pool)

        def log_p(item: Tensor) -> Tensor:
            score = self.pair_scores(users, rows_at(items, item).unsqueeze(1))
            return self.log_target(score).squeeze(1)

        state = self.memory[user]
        of_state, states = log_p(state), []
        for step in range(self.num_candidates):
            near = rows_at(self.near, state).gather(1, slot[:, step : step + 1]).squeeze(1)
            new = torch.where((coin[:, step] < 0.5) & (near >= 0), near, drawn[:, step])
            of_new = log_p(new)
            there, back = self.log_proposal(user, state, new), self.log_proposal(user, new, state)
            better = chance[:, step].log() < of_new + back - of_state - there
            moves = better & self.candidates.may_be_drawn(user, new)
            state, of_state = new.where(moves, state), of_new.where(moves, of_state)
            states.append(state)
        remember(self.memory, user, state)
        return Selection(torch.stack(states[-self.num_negatives :], dim=1))

    def draw(
        self,
        user: Tensor,
        pos: Tensor,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """First pass: not out of the batch, since a chain is to move as it did in others."""
        if self.candidates is None or time is not None:
            return super().draw(user, pos, generator, time)  # which says what is wrong
        return self.candidates(user, self.num_candidates, generator)

    def log_target(self, score: Tensor) -> Tensor:
        """Logarithm of what the chain's stationary distribution is in proportion to, float64."""
        return self.alpha * logsigmoid(score.double())

    def log_proposal(self, user: Tensor, start: Tensor, to: Tensor) -> Tensor:
        """Logarithm of `q(to | start)`, the mixture, for users and items `[B]`: float64 `[B]`."""
        assert self.candidates is not None
        near = rows_at(self.near, start)
        half = 0.5 * (near[:, 0] >= 0)
        share = (near == to.unsqueeze(1)).double().mean(dim=1)
        return (half * share + (1 - half) * self.candidates.log_q(user, to).exp()).log()

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The last states of a walk that starts at the first candidate and is offered the rest."""
        users = gather_pooled(user_xs, user, self.pool)
        value = self.log_target(self.scores(users, pool_layers(item_xs, self.pool), candidates))
        if self.candidates is not None:
            log_q = self.candidates.log_mass_in(candidates, pos)
            value = value if log_q is None else value - log_q
        chance = uniform(value.shape, torch.double, value.device, generator).log()
        states = [torch.zeros_like(candidates[:, 0])]
        for step in range(1, candidates.size(1)):
            now = value.gather(1, states[-1].unsqueeze(1)).squeeze(1)
            moves = chance[:, step] < value[:, step] - now
            states.append(states[-1].masked_fill(moves, step))
        return Selection(candidates.gather(1, torch.stack(states[-self.num_negatives :], dim=1)))

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, alpha={self.alpha}"
