"""Recommendation lists as frames, block by block; and what somebody gets who has no list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.errors import invalid, whole_number, yes_or_no
from pyg_negsamp.references import Popularity
from pyg_negsamp.serving.ids import Ids, named
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.ranking import Ranking, best_of

#: Users per frame at most, and rows that make lists too long for so many.
USERS, ROWS = 1024, 2**22
UNKNOWN = ("raise", "popular")


@dataclass(frozen=True)
class Lists:
    """Makes recommendation lists.

    Attributes:
        ranking: What ranks.
        links: What people took, and what the model was trained on.
        users: Ids of the users.
        items: Ids of the items.
    """

    ranking: Ranking
    links: SavedLinks
    users: Ids
    items: Ids

    def allowed(self, items: Iterable[Any] | None) -> Tensor | None:
        """Positions of the items to choose among, ascending; `None` for all.

        Args:
            items: Outside ids. Default: all items with training links.
        """
        if items is None:
            count = self.links.item_count
            return None if bool((count > 0).all()) else count.nonzero().flatten()
        columns = self.items.positions(items, "items").unique()
        if not len(columns):
            raise invalid("TrainedModel", "items", "at least one item, or None for all", "none")
        return columns

    def find(self, users: Iterable[Any] | None) -> tuple[list[Any] | None, Tensor, Tensor]:
        """Looks users up.

        Args:
            users: Outside ids; `None` for all.

        Returns:
            The ids, `None` for all; `[n]` their positions, -1 for those who are not known; and
            `[n]` bool, who is known and has training links.
        """
        asked, position = None, torch.arange(len(self.users))
        if users is not None:
            asked, position = self.users.find(users, "users")
        known = position >= 0
        known[position >= 0] = self.links.user_count[position[position >= 0]] > 0
        return asked, position, known

    def for_users(
        self,
        users: Iterable[Any] | None,
        k: int,
        exclude_seen: bool,
        items: Iterable[Any] | None,
        unknown: str,
    ) -> Iterator[pd.DataFrame]:
        """Frames of :meth:`TrainedModel.recommend_blocks`; arguments are checked at once."""
        check_k(k)
        yes_or_no("TrainedModel", "exclude_seen", exclude_seen)
        if unknown not in UNKNOWN:
            raise invalid("TrainedModel", "unknown", "'raise' or 'popular'", repr(unknown))
        asked, position, known = self.find(users)
        if unknown == "raise" and not bool(known.all()):
            index = (~known).nonzero().flatten()
            ids = [asked[at] for at in index] if asked else self.users.at(position[index]).tolist()
            expected = "users that the model was trained on (or unknown='popular')"
            raise invalid("TrainedModel", "users", expected, named(ids))
        columns = self.allowed(items)
        return self._frames(asked, position, known, columns, k, exclude_seen)

    def _frames(
        self,
        asked: list[Any] | None,
        position: Tensor,
        known: Tensor,
        columns: Tensor | None,
        k: int,
        exclude_seen: bool,
    ) -> Iterator[pd.DataFrame]:
        score = self.ranking.scores_of(columns)
        longest = min(k, self.links.num_items if columns is None else len(columns))
        size = max(1, min(USERS, ROWS // max(longest, 1)))
        for start in range(0, max(len(position), 1), size):
            block = slice(start, start + size)
            at, mine = position[block], known[block]
            found = self._best(score, at[mine], columns, k, exclude_seen)
            if not bool(mine.all()):
                found = _merged(mine, found, self._popular(at[~mine], columns, k, exclude_seen))
            if bool((at >= 0).all()):
                ids = self.users.at(at)
            else:
                assert asked is not None
                ids = pd.Index(asked[block], name="user")
                if len({*map(type, asked[block])}) > 1:  # not as fractions: 64 bits have no room
                    ids = pd.Index(asked[block], dtype=object, name="user")
            yield self._frame("user", ids, *found)

    def _best(
        self,
        score: Callable[[Tensor], Tensor],
        user: Tensor,
        columns: Tensor | None,
        k: int,
        exclude_seen: bool,
    ) -> tuple[Tensor, Tensor]:
        """Scores and items of lists of users `[n]` with positions."""
        seen = self.links.seen if exclude_seen else nothing
        return best_of(score, user, seen, columns, self.links.num_items, k)

    def _popular(
        self, user: Tensor, columns: Tensor | None, k: int, exclude_seen: bool
    ) -> tuple[Tensor, Tensor]:
        """The popularity list of users `[n]`, who may have no position (-1) but not its links."""

        def score(row: Tensor) -> Tensor:
            ranks = self._ranks if columns is None else self._ranks[columns]
            return ranks.repeat(len(row), 1)

        def seen(row: Tensor) -> tuple[Tensor, Tensor]:
            there = (row >= 0).nonzero().flatten()
            owner, item = self.links.seen(row[there])
            return there[owner], item

        num_items = self.links.num_items
        value, top = best_of(score, user, seen if exclude_seen else nothing, columns, num_items, k)
        count = self.links.item_count[top.clamp(max=num_items - 1)].to(value.dtype)
        return torch.where(value > -torch.inf, count, value), top

    @cached_property
    def _ranks(self) -> Tensor:
        return Popularity(self.links.training_graph(), self.links.edge_type).rank

    def for_new(
        self, scores: Tensor, taken: Tensor, items: Iterable[Any] | None, k: int
    ) -> pd.DataFrame:
        """The list of somebody with scores `[1, I]` who took items `[n]`."""
        check_k(k)
        columns = self.allowed(items)
        here = scores if columns is None else scores[:, columns]
        found = best_of(
            lambda row: here[row].clone(),
            torch.zeros(1, dtype=torch.long),
            lambda row: (torch.zeros_like(taken), taken),
            columns,
            self.links.num_items,
            k,
        )
        return self._frame("user", pd.Index([0]), *found).drop(columns="user")

    def similar(self, items: Iterable[Any], k: int) -> pd.DataFrame:
        """The frame of :meth:`TrainedModel.similar_items`."""
        check_k(k)
        position = self.items.positions(items, "items")
        untrained = self.links.item_count[position] == 0
        if bool(untrained.any()):
            expected = "items that the model was trained on"
            ids = self.items.at(position[untrained]).tolist()
            raise invalid("TrainedModel", "items", expected, named(ids))
        like, columns = self.ranking.similar(), self.allowed(None)

        def score(row: Tensor) -> Tensor:
            return like(row) if columns is None else like(row)[:, columns]

        def itself(row: Tensor) -> tuple[Tensor, Tensor]:
            return torch.arange(len(row)), row

        found = best_of(score, position, itself, columns, self.links.num_items, k)
        frame = self._frame("item", self.items.at(position), *found, other="similar")
        return frame

    def _frame(
        self, kind: str, ids: pd.Index, value: Tensor, top: Tensor, other: str = "item"
    ) -> pd.DataFrame:
        """Lists `[n, k]` as rows, without what is left empty."""
        listed = value > -torch.inf
        row, column = listed.nonzero(as_tuple=True)
        return pd.DataFrame(
            {
                kind: ids.take(row.numpy()),
                other: self.items.at(top[listed]),
                "score": value[listed].numpy(),
                "rank": column.numpy() + 1,
            }
        )


def _merged(
    mine: Tensor, known: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Lists of those in `mine [n]`, and of the others, in the order of all."""
    merged = []
    for one, other in zip(known, others, strict=True):
        whole = one.new_zeros(len(mine), one.size(1))
        whole[mine], whole[~mine] = one, other.to(one.dtype)
        merged.append(whole)
    return merged[0], merged[1]


def nothing(row: Tensor) -> tuple[Tensor, Tensor]:
    """Leaves nothing out."""
    return row.new_zeros(0), row.new_zeros(0)


def check_k(k: int) -> None:
    """Refuses lists without length."""
    whole_number("TrainedModel", "k", k, least=1)
