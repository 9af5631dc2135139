"""Uniform draws over exactly the items that a user has not seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.candidates.bit_filter import BitFilter
from pyg_negsamp.candidates.numbers import SMALL, integers_below, small_integers_below
from pyg_negsamp.candidates.reading import Also, Items


class UniformCandidates(Candidates):
    r"""Draws every unobserved item with the same probability :math:`1 / (I - \deg(u))`.

    A draw is a number below `I - deg(u)`, taken as an item. If the user has seen it, an item that
    numbers of this size do not reach stands in: the `j`-th unseen of these for the `j`-th seen
    item. There are as many of the one as of the other, so every unseen item is the outcome of
    exactly one number:

        item             0     1     2  |  3     4      the user has seen 1 and 3
        number drawn     0     1     2  |               below 5 - 2
        outcome          0     4     2  |               4 stands in for 1

    Where items have times, those that existed come first, and a draw is a rank among the unseen of
    them: the number, and one more for every seen item that it steps over.

    No loop, no retry. Hardly any number is a seen item, so on CPU a :class:`BitFilter` looks them
    over first, and only what it cannot rule out is searched among the links. On other devices all
    are searched, and nothing is copied to the host.

    Memory: 16 bytes per link and per user; on the CPU 8 more of each. Cost: `O(B * M)` on CPU,
    `O(B * M * log E)` elsewhere. 10^8 users x 10^8 items fit in int64.

    Args:
        data: Training graph, see :class:`Candidates`.
        edge_type: Edge type to read from `HeteroData`.
        also: More links that users have seen, see :class:`Candidates`.
        items: The only items that may be drawn, see :class:`Candidates`.
        relation, num_relations, time: Of a knowledge graph, or where items begin to exist, see
            :class:`Candidates`.

    Raises:
        ValueError: If a user has seen every item, naming such users and the way out.
    """

    draws_shared = True

    unseen: Tensor
    stand_in: Tensor
    gap: Tensor

    def __init__(
        self,
        data: HeteroData | Data,
        edge_type: EdgeType | None = None,
        *,
        also: Also | None = None,
        items: Items | None = None,
        relation: Tensor | None = None,
        num_relations: int | None = None,
        time: Tensor | None = None,
    ) -> None:
        super().__init__(
            data,
            edge_type,
            also=also,
            items=items,
            relation=relation,
            num_relations=num_relations,
            time=time,
        )
        seen = self.drawn
        self.register_buffer("unseen", seen.num_items - seen.first.diff(), persistent=False)
        self._check_all_can_draw(self.unseen)
        if self.since is None:
            self.register_buffer("stand_in", self._stand_ins(), persistent=False)
            self.filter = BitFilter(seen.first, seen.user, seen.item)
        else:
            self.register_buffer("gap", seen.gaps(), persistent=False)

    def _stand_ins(self) -> Tensor:
        """`[E]` the item that stands in for each seen one; read where a draw reaches that far."""
        key, user, gap = self.drawn.key, self.drawn.user, self.drawn.gaps()
        first, limit = self.drawn.first[user], self.unseen[user]
        # Rank of the stand-in among the user's unseen items: those below the limit come first.
        reached = torch.searchsorted(key, user * self.drawn.num_items + limit) - first
        return self.drawn.nth_other(user, limit - reached + (key - gap), gap)

    def _left(self, user: Tensor, existing: Tensor | None) -> Tensor:
        if existing is None:
            return self.unseen.take(user)
        end = user * self.drawn.num_items + existing
        return existing - (torch.searchsorted(self.drawn.key, end) - self.drawn.first[user])

    def _draw(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        left = self._left(user, existing).unsqueeze(1)
        if existing is not None:
            rank = integers_below(left, num, generator)
            return self.drawn.nth_other(user.unsqueeze(1), rank, self.gap)
        fast = user.device.type == "cpu" and self.drawn.num_items <= SMALL
        item = (small_integers_below if fast else integers_below)(left, num, generator)
        if not self.drawn.key.numel():
            return item.long()
        if user.device.type != "cpu":
            return self._outcome(user.unsqueeze(1), item)
        # Numpy's, as it is several times faster at finding a few among many.
        doubtful = torch.from_numpy(self.filter(user, item).view(-1).numpy().nonzero()[0])
        item = item.long()
        of_user, drawn = user.take(doubtful // num), item.take(doubtful)
        item.view(-1).scatter_(0, doubtful, self._outcome(of_user, drawn))
        return item

    def shared(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws items that all users share, uniform over those that may be drawn."""
        limit = self.unseen.new_full((1, 1), self.drawn.num_items)
        item = integers_below(limit, num, generator)[0]
        return item if self.items is None else self.items[item]

    def log_shared(self, item: Tensor) -> Tensor:
        """Logarithms of the probabilities of :meth:`shared`: the same for all.

        Also for items that are never drawn, so that a correction by it leaves uniform draws alone.
        """
        return torch.full_like(item, -math.log(self.drawn.num_items), dtype=torch.float64)

    def _outcome(self, user: Tensor, item: Tensor) -> Tensor:
        """The numbers drawn, or what stands in for them."""
        key = self.drawn.key
        pair = user * self.drawn.num_items + item
        entry = torch.searchsorted(key, pair).clamp_(max=key.numel() - 1)
        return torch.where(key.take(entry) == pair, self.stand_in.take(entry), item)
