"""AdaSIR: a pool per user, resampled by importance once per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import whole_number
from pyg_negsamp.layers import Embeddings, Pool, rows_at
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.per_user import first_items, stream_of
from pyg_negsamp.transforms.rns import random_choice

#: Proposals held at a time while pools are renewed.
BLOCK = 2**20


class AdaSIR(NegativeSampling):
    r"""Draws uniformly out of a pool per user that stands for the model's own distribution.

    Chen et al., WWW 2022 (doi:10.1145/3485447.3512075). Negatives should follow the softmax of the
    model's scores. So once per epoch, by :meth:`refresh`, every user gets `N` proposals out of
    `Q`, what `candidates` draw from, and `S` of these, drawn with replacement with the weights

    .. math:: w_k = \text{softmax}_k ( s(u, k) - \log Q(k) )

    Of them and the `S` that the user's pool held before, `S` at random stay: hard items of earlier
    epochs are reused, fewer with every epoch. Whatever `Q` is, many proposals come close to the
    softmax. Pools begin with draws out of `Q`.

    In the released code an item of both halves is drawn with replacement; here every place is kept
    with probability one half. The paper also weighs positives by their estimated rank, which is a
    matter of the loss, and not here. As items are drawn with the model's probabilities, they need
    no correction: there is no log Q.

    The `K` of a row are different places of the pool. Of candidates that come with a call or a
    batch, `K` are chosen at random.

    State: the pools, `[U, S]` (8 bytes each), in `state_dict`. Gradients flow through the chosen
    rows only. Cost: `O(B * K)` per batch, and `O(U * (N * D + S))` per epoch.

    When to use it: where a step has to be cheap and negatives should know the model all the same,
    above all where users have many links. Pools are as old as the epoch.

    Args:
        candidates: First pass: the proposal `Q`,
            :class:`~pyg_negsamp.candidates.UniformCandidates` or
            :class:`~pyg_negsamp.candidates.PopularityCandidates`.
        num_new: Proposals per user and epoch, `N`. Default 200.
        num_candidates: Size of a pool, `S`. Default 50.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `num_new` is no positive number, besides what the base class raises.
    """

    by_row = True
    default_num_candidates = 50

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((20, 50, 100)),
        "num_new": Choice((100, 200, 500)),
    }
    reads_embeddings = False
    keeps_users = True
    memories = ("memory",)
    memory: Tensor
    epoch = 0

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_new: int = 200,
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
        if self.candidates is not None:
            size = self.num_candidates
            first = first_items(self, "num_candidates", self.candidates, size)
            self.register_buffer("memory", first)

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Starts the random stream of the epoch's proposals."""
        self.epoch = epoch

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Renews the pools of all users who have something to draw."""
        if self.candidates is None:
            return
        users, items = self._whole_tables(x_dict)
        generator = stream_of(self.epoch, users.device)
        for ids in self.candidates.who_can_draw().split(max(1, BLOCK // self.num_new)):
            drawn = self.candidates(ids, self.num_new, generator)
            log_q = self.candidates.log_mass(drawn)
            weight = (self.scores(users[ids], items, drawn) - log_q).softmax(dim=1)
            slot = torch.multinomial(weight, self.num_candidates, True, generator=generator)
            both = torch.cat([rows_at(self.memory, ids), drawn.gather(1, slot)], dim=1)
            self.memory[ids] = random_choice(both, self.num_candidates, generator)

    def draw(
        self,
        user: Tensor,
        pos: Tensor,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """First pass: the users' pools."""
        if self.candidates is None or time is not None:
            return super().draw(user, pos, generator, time)  # which says what is wrong
        self.candidates(user, 1, generator)  # refuses users who have nothing, and no pool either
        return rows_at(self.memory, user)

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
