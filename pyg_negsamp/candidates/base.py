"""Exact draws over what a user has not seen, without rejection.

Every item owns a slice of an integer number line: of length 1 for uniform draws, in
proportion to its popularity for popularity draws. For one user, the slices of the items
already seen are cut out and the rest pushed together. A draw picks an integer on the
shortened line and pushes it back to where it was before the cuts:

    item line      |  0  |  1  |  2  |  3  |  4  |      the user has seen 1 and 3
    cut line       |  0  |  2  |  4  |                  draw r = 1  ->  one cut below  ->  item 2

How many cuts lie below `r` is one `searchsorted` over all users' links at once, so a whole
batch costs one pass: no loop, no retry, and no copy from the device to the host.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE, Links, known_links
from pyg_negsamp.ragged import entries_of

MAX_INT64 = 2**63 - 1


class Candidates(torch.nn.Module, ABC):
    """First pass of negative sampling: unobserved item ids, no embeddings needed.

    A module without parameters, so that it moves to a device with the sampler that owns it.
    It is not part of any `state_dict`: it is rebuilt from the training graph. A subclass lays
    the items out on the line and reads it back, in the five small methods below.

    Args:
        data: Training graph; its `edge_index` says what each user has seen. In a homogeneous
            `Data` graph every node is user and item, and its own id counts as seen.
        edge_type: Edge type to read from `HeteroData`.

    Raises:
        ValueError: If a user has nothing left to draw, naming such users and the way out.
    """

    key: Tensor
    first: Tensor

    def __init__(self, data: HeteroData | Data, edge_type: EdgeType = EDGE_TYPE) -> None:
        super().__init__()
        links = known_links(data, edge_type)
        if links.num_items == 0:
            raise invalid(self, "data", "a graph with at least one item", "0 items")
        self.num_users, self.num_items = links.num_users, links.num_items
        seen = links.index
        if isinstance(data, Data):
            seen = torch.cat([seen, torch.arange(links.num_items).expand(2, -1).to(seen)], dim=1)
        # Sorted by user, then item; each pair once.
        user, item = coalesce(seen, num_nodes=max(self.num_users, self.num_items))

        self.total = self._lay_out(links)
        on_line = self._length(item) > 0  # others are never drawn, and there is nothing to cut
        user, item = user[on_line], item[on_line]
        if self.num_users * self.total > MAX_INT64:
            got = f"{self.num_users} x {self.total}"
            raise invalid(self, "data", "a graph whose users x line length fits in int64", got)
        # Where each seen item's slice would start on its user's cut line: where it starts, less
        # the user's slices below it. `cut[e]` is what links 0..e-1 cut, over all users.
        cut = torch.nn.functional.pad(self._length(item).cumsum(0), (1, 0))
        # Where each user's links start in the list of all of them.
        self.register_buffer(
            "first", torch.searchsorted(user, torch.arange(self.num_users + 1).to(user)), False
        )
        first = self.first[user]
        self._check_all_can_draw(user, first, cut)
        self.register_buffer("key", user * self.total, persistent=False)
        self.key += self._start(item) - (cut[:-1] - cut[first])
        self._keep(cut)

    @abstractmethod
    def _lay_out(self, links: Links) -> int:
        """Lays the items on the line and returns its length."""

    @abstractmethod
    def _start(self, item: Tensor) -> Tensor:
        """Where the slices of `item` start."""

    @abstractmethod
    def _length(self, item: Tensor) -> Tensor:
        """How long the slices of `item` are."""

    def _keep(self, cut: Tensor) -> None:
        """Stores what `_cut_before` needs, if anything."""

    @abstractmethod
    def _cut_before(self, link: Tensor) -> Tensor:
        """What links `0..link-1`, over all users, cut out of their lines: `cut[link]`."""

    @abstractmethod
    def _item_at(self, point: Tensor) -> Tensor:
        """The item whose slice holds `point`."""

    def forward(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None = None,
        pos: Tensor | None = None,
    ) -> Tensor:
        """Draws candidates, independently and with replacement.

        Args:
            user: `[B]` int64 user ids.
            num: Number of candidates per row, `M`.
            generator: Source of randomness, on the device of `user`. Default: torch's own.
            pos: `[B]` the positives that negatives are for. Read by sources that depend on
                them, see :class:`PoolCandidates`; by the others not.

        Returns:
            `[B, M]` int64 item ids, none of them seen by the row's user.

        Raises:
            ValueError: If `num < 1`, or (checked on CPU, where it is free) if a user id is
                out of range.
        """
        self._check_draw(user, num)
        line = user.unsqueeze(1) * self.total
        cut_first = self._cut_before(self.first[user]).unsqueeze(1)
        cut_last = self._cut_before(self.first[user + 1]).unsqueeze(1)
        left = self.total - (cut_last - cut_first)
        point = integers_below(left, num, generator)
        below = torch.searchsorted(self.key, line + point, right=True)
        return self._item_at(point + self._cut_before(below) - cut_first)

    def _check_draw(self, user: Tensor, num: int) -> None:
        if num < 1:
            raise invalid(self, "num", "at least 1", num)
        if user.device.type == "cpu" and user.numel():
            low, high = int(user.min()), int(user.max())
            if low < 0 or high >= self.num_users:
                raise invalid(self, "user", f"ids in [0, {self.num_users})", f"{low}..{high}")

    def seen(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """The known links of some users, read back from the cut lines.

        Args:
            user: `[B]` user ids.

        Returns:
            Positions in `user` and item ids, two int64 `[E]`, in that order.
        """
        line, first = user * self.total, self.first[user]
        row, link = entries_of(first, self.first[user + 1] - first)
        cut = self._cut_before(link) - self._cut_before(first)[row]
        return row, self._item_at(self.key[link] - line[row] + cut)

    def is_seen(self, user: Tensor, item: Tensor) -> Tensor:
        """Which items the users have seen.

        Args:
            user: `[B]` user ids.
            item: `[B, M]` item ids.

        Returns:
            `[B, M]` bool.
        """
        row, seen = self.seen(user)
        known = row * self.num_items + seen  # sorted, because `seen` is
        wanted = torch.arange(len(user), device=user.device).unsqueeze(1) * self.num_items + item
        return is_in(wanted, known)

    def mask_(self, scores: Tensor, user: Tensor) -> None:
        """Sets the scores of items that are not to be drawn for the users to `-inf`, in place.

        Args:
            scores: `[B, I]` scores of all items.
            user: `[B]` user ids.
        """
        row, item = self.seen(user)
        scores[row, item] = -torch.inf

    def log_mass(self, item: Tensor) -> Tensor:
        """Logarithm of the probability of drawing `item`, up to a constant of the user.

        Args:
            item: Item ids of any shape.

        Returns:
            Float64 of the same shape; `-inf` for items that are never drawn.
        """
        return self._length(item).double().log()

    def _check_all_can_draw(self, user: Tensor, first: Tensor, cut: Tensor) -> None:
        """Refuses users of whose line nothing is left; the arguments are per link, as above."""
        nothing_left = user[cut[1:] - cut[first] >= self.total].unique().tolist()
        if nothing_left:
            named = ", ".join(map(str, nothing_left[:5])) + ", ..." * (len(nothing_left) > 5)
            raise invalid(
                self,
                "data",
                "a graph in which every user has an unobserved item to draw (drop the links of "
                "users who have seen everything, or add items)",
                f"{len(nothing_left)} users without: {named}",
            )

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"num_users={self.num_users}, num_items={self.num_items}"


def integers_below(limit: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws `[B, num]` integers, row b uniform in `[0, limit[b])`, for `limit [B, 1]`.

    A float64 in [0, 1) has 53 random bits: for limits up to 2**53 the product stays below the
    limit, and no value is favoured by more than `limit / 2**53` relative.
    """
    size = (limit.size(0), num)
    unit = torch.rand(size, dtype=torch.float64, device=limit.device, generator=generator)
    return unit.mul_(limit).long()


def is_in(x: Tensor, known: Tensor) -> Tensor:
    """Which entries of `x`, of any shape, are among the sorted `known [n]`."""
    if not known.numel():
        return torch.zeros_like(x, dtype=torch.bool)
    at = torch.searchsorted(known, x).clamp(max=known.numel() - 1)
    return known[at] == x
