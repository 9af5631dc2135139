"""Uniform draws out of what somebody allows: exposure logs, items in stock, the same category."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType, NodeType, SparseTensor
from torch_geometric.utils import coalesce, is_sparse, to_edge_index

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.candidates.numbers import integers_below
from pyg_negsamp.candidates.reading import Also, Items
from pyg_negsamp.errors import invalid, one_of, short
from pyg_negsamp.graph import is_in, is_integer, known_links, links_in
from pyg_negsamp.ragged import entries_of


class PoolCandidates(Candidates):
    """Draws every unobserved item of a pool with the same probability, and no other item.

    What a user has seen is left out of the pool without rejection, as in
    :class:`UniformCandidates`.

        PoolCandidates(data, ("user", "was_shown", "item"))        a pool per user
        PoolCandidates(data, in_stock, row=torch.zeros(U))         one `[1, I]` for everybody
        PoolCandidates(data, members, row=category, by="item")     `[C, I]`: like the positive

    Memory: 8 bytes per link and per entry of the pool. Cost: `O(S + B * M * log)` with `S` the
    number of links of the users in the batch. On other devices than CPU a draw waits for the
    device, to see that nobody's pool is empty.

    Args:
        data: Training graph, see :class:`Candidates`.
        pool: The allowed items: an edge type of `data` that ends in the items and starts in the
            users (or, with `by='item'`, in the items), or a sparse matrix `[R, I]`, of which
            the entries count and not their values.
        row: `[U]` (or, with `by='item'`, `[I]`) the row of `pool` for each id. Default: the id
            itself.
        by: Whose pool: the `'user'`'s, or the positive `'item'`'s. Default `'user'`.
        edge_type: The interactions in `data`.
        also: More links that users have seen, see :class:`Candidates`.
        items: The only items that may be drawn, whatever pools hold, see :class:`Candidates`.

    Raises:
        ValueError: If `pool` is missing or does not fit, or if a user with training links has
            nothing to draw; with `by='item'`, where that depends on the pair, when it is drawn.
    """

    draws_wait = True
    allowed: Tensor
    pointer: Tensor
    row: Tensor

    def __init__(
        self,
        data: HeteroData | Data,
        pool: EdgeType | Tensor,
        row: Tensor | None = None,
        by: str = "user",
        edge_type: EdgeType | None = None,
        *,
        also: Also | None = None,
        items: Items | None = None,
    ) -> None:
        super().__init__(data, edge_type, also=also, items=items)
        self.by = one_of(self, "by", by, ("user", "item"))
        num_ids = self.num_users if by == "user" else self.num_items
        owner = self.edge_type[0 if by == "user" else 2]
        index, num_rows = self._read(data, pool, num_ids, (owner, self.edge_type[2]))
        if row is None:
            row = torch.arange(num_ids)
        expected = f"[{num_ids}], a row of the pool in [0, {num_rows}) for each {by}"
        if not isinstance(row, Tensor) or row.shape != (num_ids,) or not is_integer(row):
            raise invalid(self, "row", expected, short(row))
        row = row.to(index.device).long()
        if num_ids and not 0 <= row.min() <= row.max() < num_rows:
            raise invalid(self, "row", expected, f"{row.min()}..{row.max()}")
        if self.position is not None:
            place = self.position[index[1]]
            index = torch.stack([index[0], place])[:, place >= 0]
        of, item = coalesce(index, num_nodes=max(num_rows, self.num_items))
        self.register_buffer("row", row, persistent=False)
        #: The pool's entries as `row * n + item`, sorted, of the `n` items that may be drawn.
        self.register_buffer("allowed", of * self.drawn.num_items + item, persistent=False)
        pointer = pad(torch.bincount(of, minlength=num_rows).cumsum(0), (1, 0))
        self.register_buffer("pointer", pointer, persistent=False)
        if by == "user":
            trained = known_links(data, self.edge_type).index[0].unique()
            self._check_not_empty(trained, self._cuts(trained)[1])

    def _read(
        self,
        data: HeteroData | Data,
        pool: EdgeType | Tensor,
        num_ids: int,
        ends: tuple[NodeType, NodeType],
    ) -> tuple[Tensor, int]:
        """The entries `[2, P]` of the pool and its number of rows."""
        if isinstance(pool, tuple):
            found = data[pool] if isinstance(data, HeteroData) and pool in data.edge_types else None
            index = None if found is None else links_in(found)
            if index is None:
                known = data.edge_types if isinstance(data, HeteroData) else "none in `Data`"
                raise invalid(self, "pool", f"an edge type with links, out of {known}", pool)
            if (pool[0], pool[2]) != ends:
                raise invalid(self, "pool", f"an edge type from '{ends[0]}' to '{ends[1]}'", pool)
            size = (num_ids, self.num_items)
        else:
            if not isinstance(pool, Tensor | SparseTensor) or not is_sparse(pool):
                expected = "an edge type or a sparse matrix [rows, items]"
                raise invalid(self, "pool", expected, short(pool))
            index, size = to_edge_index(pool)[0], (pool.size(0), pool.size(1))
        if size[1] != self.num_items:
            raise invalid(self, "pool", f"[rows, {self.num_items}]", [*size])
        fits = not index.numel() or (
            index.min() >= 0 and index[0].max() < size[0] and index[1].max() < size[1]
        )
        if not fits:
            got = f"ids up to {index.amax(dim=1).tolist()}"
            raise invalid(self, "pool", f"links from {size[0]} ids to {size[1]} items", got)
        return index, size[0]

    def _draw(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        cut, left = self._cuts(user, pos)
        self._check_not_empty(user, left)
        # The base class's line, made for this batch: row b owns the points from `line[b]` on.
        row = self._row(user, pos)
        line = torch.arange(len(user), device=user.device).unsqueeze(1) * self.drawn.num_items
        point = integers_below(left.unsqueeze(1), num, generator)
        below = torch.searchsorted(cut, line + point, right=True) - torch.searchsorted(cut, line)
        entry = self.pointer[row].unsqueeze(1) + point + below
        return self.allowed[entry] - row.unsqueeze(1) * self.drawn.num_items

    def _left(self, user: Tensor, existing: Tensor | None) -> Tensor:
        return self._cuts(user)[1]

    def mask_(self, scores: Tensor, user: Tensor) -> None:
        """Sets the scores of items outside the pools, and of seen ones, to `-inf`, in place.

        Args:
            scores: `[B, I]` scores of all items.
            user: `[B]` user ids.

        Raises:
            ValueError: With `by='item'`: there is no pool without a positive.
        """
        row = self._row(user, None)
        owner, entry = entries_of(self.pointer[row], self.pointer[row + 1] - self.pointer[row])
        inside = torch.zeros_like(scores, dtype=torch.bool)
        item = self.allowed[entry] - row[owner] * self.drawn.num_items
        inside[owner, item if self.items is None else self.items[item]] = True
        scores.masked_fill_(~inside, -torch.inf)
        super().mask_(scores, user)

    def may_be_drawn(self, user: Tensor, item: Tensor, time: Tensor | None = None) -> Tensor:
        """Which items are unseen, allowed, and in the user's pool; with `by='item'`, in any.

        Args:
            user: User ids.
            item: Item ids, of a shape that goes with that of `user`.
            time: Left out: items have no times here.

        Returns:
            Bool, of the common shape.
        """
        free = super().may_be_drawn(user, item, time)
        if self.by == "item":
            return free
        place = item if self.position is None else self.position[item]
        return free & is_in(self.row[user] * self.drawn.num_items + place, self.allowed)

    def _row(self, user: Tensor, pos: Tensor | None) -> Tensor:
        """`[B]` rows of the pool."""
        if self.by == "user":
            return self.row[user]
        if pos is None:
            expected = "given: these pools are by item, and a draw needs to know the positives"
            raise invalid(self, "pos", expected, None)
        return self.row[pos]

    def _cuts(self, user: Tensor, pos: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Where seen items were cut out of the batch's pools, sorted; and what is left, `[B]`."""
        row = self._row(user, pos)
        owner, item = self.drawn.of(user)
        key = row[owner] * self.drawn.num_items + item
        inside = is_in(key, self.allowed)
        owner, key = owner[inside], key[inside]
        count = torch.bincount(owner, minlength=len(user))
        # The j-th seen item of a pool, at place p, leaves the cut line with p - j places below.
        place = torch.searchsorted(self.allowed, key) - self.pointer[row[owner]]
        nth = torch.arange(len(owner), device=user.device) - (count.cumsum(0) - count)[owner]
        size = self.pointer[row + 1] - self.pointer[row]
        return owner * self.drawn.num_items + place - nth, size - count

    def _check_not_empty(self, user: Tensor, left: Tensor) -> None:
        if left.numel() and int(left.min()) <= 0:
            named = user[left <= 0].unique().tolist()
            raise invalid(
                self,
                "pool",
                "one that holds an unobserved item for every user who draws",
                f"{len(named)} users without, such as {', '.join(map(str, named[:5]))}",
            )
