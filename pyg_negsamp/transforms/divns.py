"""DivNS: hard negatives, mixed with diverse ones that were left over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.layers import Embeddings, Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.numerics import unit_rows
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.k_dpp import conditioned, k_dpp
from pyg_negsamp.transforms.negatives import Negatives, Selection
from pyg_negsamp.transforms.per_user import first_items, remember, stream_of

#: Users whose kernels are held at a time.
BLOCK = 4096


class DivNS(NegativeSampling):
    r"""Mixes the hardest candidate with one of a diverse subset of earlier ones.

    Xuan et al., 2026 (arXiv:2508.14468). The `K` candidates that score highest are the hard
    negatives; the `num_unused` after them go to a cache of the user. Once per epoch, by
    :meth:`refresh`, a k-DPP draws a diverse subset `Y` out of each cache, away from the user's
    last hard negatives `H`:

    .. math:: P(Y) \propto \det L_{Y \cup H}, \quad L_{ij} = \cos(e_i, e_j), \qquad
              e_- = \lambda \, e_{\text{hard}} + (1 - \lambda) \, e_y, \quad y \in Y

    with `y` at random, at each layer. The paper caches all unused items of an epoch, and shrinks
    the kernel along the hard ones; here the cache holds the last `num_cached`, and the k-DPP is
    conditioned on the last `num_diverse` hard ones, which is the limit of that. Caches begin with
    unseen items at random, where the paper does without in the first epoch.

    `Negatives.index` are the hard ones. A user that occurs twice in a batch has one cache, to
    which its last row adds. Candidates that come with a call or a batch add nothing.

    State: `[U, num_cached + 2 num_diverse]` items (8 bytes each), in `state_dict`. Gradients flow
    through both items of a mixture. Cost: that of :class:`DNS` with twice the rows, and per epoch
    `O(U * (S^2 * D + S^3))`, with `S` the size of the cache.

    When to use it: where the hardest items of a user are all alike, so that they teach the same
    thing.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        weight: Share of the hard negative in a mixture, the paper's lambda, in 0 to 1. Default 0.8,
            as released.
        num_unused: Candidates after the hardest that are cached. Default 5, as released.
        num_cached: Size of a cache, `S`. Default 20.
        num_diverse: Size of the diverse subset, at most `num_cached`. Default 4.
        num_candidates: Candidates per positive, `M`. Default 32, as released.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `candidates` is missing or an argument is out of range.
    """

    by_row = True
    default_num_candidates = 32

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((8, 16, 32, 64)),
        "weight": Choice((0.5, 0.7, 0.8, 0.9)),
    }
    keeps_users = True
    memories = ("cached", "used", "diverse")
    finds_items = False
    cached: Tensor
    used: Tensor
    diverse: Tensor
    epoch = 0

    def __init__(
        self,
        candidates: Source = None,
        *,
        weight: float = 0.8,
        num_unused: int = 5,
        num_cached: int = 20,
        num_diverse: int = 4,
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
        if self.candidates is None:
            raise invalid(self, "candidates", "given: they say how many users there are", None)
        self.weight = number_in(self, "weight", weight, "[0, 1]")
        self.num_unused = whole_number(self, "num_unused", num_unused, least=1)
        num_cached = whole_number(self, "num_cached", num_cached, least=1)
        num_diverse = whole_number(self, "num_diverse", num_diverse, least=1)
        if num_diverse > num_cached:
            raise invalid(self, "num_diverse", f"at most num_cached = {num_cached}", num_diverse)
        sizes = [num_cached, num_diverse, num_diverse]
        first = first_items(self, "num_cached", self.candidates, sum(sizes)).split(sizes, dim=1)
        for name, items in zip(("cached", "used", "diverse"), first, strict=True):
            self.register_buffer(name, items.clone())

    @property
    def needs_global_ids(self) -> bool:
        """Items in the caches are known by their ids."""
        return True

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Starts the random stream of the epoch's subsets."""
        self.epoch = epoch

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Draws a diverse subset out of every cache."""
        assert self.candidates is not None
        items = unit_rows(self._whole_tables(x_dict)[1]).double()
        generator = stream_of(self.epoch, items.device)
        for ids in self.candidates.who_can_draw().split(BLOCK):
            cached = rows_at(self.cached, ids)
            kernel = conditioned(rows_at(items, cached), on=rows_at(items, self.used[ids]))
            place = k_dpp(kernel, self.diverse.size(1), generator)
            self.diverse[ids] = cached.gather(1, place)

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
        """Selects, and remembers what was used and what was not, unless candidates are given."""
        chosen = super().choose(user, pos, user_xs, item_xs, candidates, generator)
        if candidates is None:
            hard, _ = chosen.index.chunk(2, dim=1)
            for memory, new in ((self.cached, chosen.state), (self.used, hard)):
                both = torch.cat([rows_at(memory, user), new], dim=1)
                remember(memory, user, both[:, -memory.size(1) :])
        return Selection(chosen.index)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The hardest candidates and their partners, `[B, 2 K]`; and the unused ones after them."""
        users = gather_pooled(user_xs, user, self.pool)
        scores = self.scores(users, pool_layers(item_xs, self.pool), candidates)
        num = min(self.num_negatives + self.num_unused, candidates.size(1))
        ranked = candidates.gather(1, scores.topk(num, dim=1).indices)
        hard = ranked[:, : self.num_negatives]
        slot = torch.empty_like(hard).random_(self.diverse.size(1), generator=generator)
        partner = rows_at(self.diverse, user).gather(1, slot)
        return Selection(torch.cat([hard, partner], dim=1), ranked[:, self.num_negatives :])

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """Mixes the hard ones with their partners."""
        hard, partner = neg.chunk(2, dim=1)
        index, _ = chosen.index.chunk(2, dim=1)
        return Negatives(index, torch.lerp(partner, hard, self.weight))

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, weight={self.weight}"
