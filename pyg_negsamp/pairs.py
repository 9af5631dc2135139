"""Sets of links: which items belong to a user, and which pairs are there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.utils import coalesce

from pyg_negsamp.graph import is_in
from pyg_negsamp.ragged import entries_of

#: Odd multipliers that spread every bit of a number over 64 (those of splitmix64).
MIX = (-4658895280553007687, -7723592293110705685)


class Fingerprint(NamedTuple):
    """Tells one set of links from another, in whatever order and however often they come.

    Attributes:
        num_links: Number of distinct links.
        code: Sum of their hashes, in 64 bits.
    """

    num_links: int
    code: int


class Pairs(torch.nn.Module):
    """Distinct pairs of users and items, sorted.

    A module without parameters, so that it moves to a device with its owner. It is not part of any
    `state_dict`: it is rebuilt from the graph. Memory: 8 bytes per pair and per user.

    Args:
        index: `[2, E]` int64 pairs, row 0 users, row 1 items; those that come again count once.
        num_users: Number of users, `U`.
        num_items: Number of items, `I`; `U * I` fits in int64.

    Attributes:
        key: The pairs as `user * I + item`, sorted; int64.
        first: `[U + 1]` where each user's pairs start in `key`.
    """

    key: Tensor
    first: Tensor

    def __init__(self, index: Tensor, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        user, item = coalesce(index, num_nodes=max(num_users, num_items))
        self.register_buffer("key", user * num_items + item, persistent=False)
        first = torch.searchsorted(user, torch.arange(num_users + 1, device=user.device))
        self.register_buffer("first", first, persistent=False)

    @property
    def user(self) -> Tensor:
        """`[E]` the users, ascending."""
        return self.key // max(self.num_items, 1)

    @property
    def item(self) -> Tensor:
        """`[E]` their items, ascending for each user."""
        return self.key % max(self.num_items, 1)

    def of(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """The items of some users.

        Args:
            user: `[B]` user ids.

        Returns:
            Positions in `user` and item ids, two int64 `[E]`, in that order.
        """
        first = self.first[user]
        row, entry = entries_of(first, self.first[user + 1] - first)
        return row, self.key[entry] - user[row] * self.num_items

    def hold(self, user: Tensor, item: Tensor) -> Tensor:
        """Which pairs are there.

        Args:
            user: User ids.
            item: Item ids, of a shape that goes with that of `user`.

        Returns:
            Bool, of the common shape.
        """
        there = (item >= 0) & (item < self.num_items)  # or it would be another user's
        return is_in(user.long() * self.num_items + item, self.key) & there

    def among(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Which of some users have which of some items, without a search for every pair.

        For the CPU: another device would wait, to learn how many there are.

        Args:
            user: `[B]` user ids.
            item: `[K]` item ids, in any order and as often as they are asked for.

        Returns:
            Positions in `user` and in `item`, two int64 `[E]`.
        """
        row, own = self.of(user)
        asked = torch.zeros(self.num_items, dtype=torch.bool, device="cpu")
        asked[item] = True
        hit = asked[own].nonzero().squeeze(1)
        row, own = row[hit], own[hit]
        ordered, order = item.sort()
        first, end = (torch.searchsorted(ordered, own, right=right) for right in (False, True))
        owner, place = entries_of(first, end - first)
        return row[owner], order[place]

    def gaps(self) -> Tensor:
        """`[E]` for a user's `j`-th item `p`: the `p - j` other items below, as a key."""
        user = self.user
        nth = torch.arange(len(user), device=user.device) - self.first[user]
        return self.key - nth

    def nth_other(self, user: Tensor, nth: Tensor, gap: Tensor) -> Tensor:
        """The users' other items, from 0: their own ones below are stepped over.

        Args:
            user: User ids.
            nth: Which of the other items, of a shape that goes with that of `user`.
            gap: What :meth:`gaps` gives.

        Returns:
            Item ids, of the common shape.
        """
        line = user * self.num_items
        return nth + torch.searchsorted(gap, line + nth, right=True) - self.first[user]

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{self.key.numel()} links"

    def fingerprint(self) -> Fingerprint:
        """What tells this set from others."""
        mixed = self.key
        for factor in MIX:
            mixed = (mixed ^ (mixed >> 30)) * factor
        return Fingerprint(self.key.numel(), int((mixed ^ (mixed >> 31)).sum()))
