"""An interaction log in memory, and the one place where repeated links are removed from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.errors import invalid

OWNER = "InteractionDataset"  # who complains about sources
TRAIN, VAL, TEST = 0, 1, 2  # values of `split`
PARTS = 4  # room for them, and one more for what is left out, in a sort key


class InteractionLog(NamedTuple):
    """Who interacted with what, as read from any source, before it is split.

    Attributes:
        user: `[E]` int64, ids in `[0, num_users)`.
        item: `[E]` int64, ids in `[0, num_items)`.
        num_users: Number of users, `U`.
        num_items: Number of items, `I`.
        time: `[E]` int64 or float64, or `None`. Larger is later.
        rating: `[E]` float64, or `None`.
        weight: `[E]` float32, above zero, or `None`.
        split: `[E]` uint8, 0 train, 1 validation, 2 test; `None` if the source has no split.
        user_ids: Original id of every user, or `None` if the source counts from zero itself.
        item_ids: Original id of every item, or `None`.
        time_is_date: Whether `time` is seconds since 1970 (UTC), made from dates.
        listed: `[I]` bool, items that a catalogue lists, or `None`.
        category: `[I]` int64, from 0, the category that a catalogue gives each item; the last one
            is that of all items without. `None` without such a catalogue.
    """

    user: Tensor
    item: Tensor
    num_users: int
    num_items: int
    time: Tensor | None = None
    rating: Tensor | None = None
    weight: Tensor | None = None
    split: Tensor | None = None
    user_ids: pd.Index | None = None
    item_ids: pd.Index | None = None
    time_is_date: bool = False
    listed: Tensor | None = None
    category: Tensor | None = None

    def take(self, rows: Tensor) -> InteractionLog:
        """The log with these rows only: positions, or `[E]` bool."""
        names = ("user", "item", "time", "rating", "weight", "split")
        columns = {name: getattr(self, name) for name in names}
        taken = {name: column[rows] for name, column in columns.items() if column is not None}
        return self._replace(**taken)


class Repeats(NamedTuple):
    """How often a source states the same (user, item) pair more than once.

    Attributes:
        duplicates: Repeated links among the training links, or in the whole log if the source
            has no split.
        held_out_duplicates: Repeated links within the validation and within the test links.
        train_val_overlap: Distinct validation pairs that are training pairs too.
        train_test_overlap: Distinct test pairs that are training or validation pairs too.
    """

    duplicates: int = 0
    held_out_duplicates: int = 0
    train_val_overlap: int = 0
    train_test_overlap: int = 0


def split_column(sizes: Mapping[int, int]) -> Tensor | None:
    """The `split` of parts that are laid end to end; `None` for a single, undivided one."""
    if len(sizes) == 1:
        return None
    parts = torch.tensor(list(sizes), dtype=torch.uint8)
    return parts.repeat_interleave(torch.tensor(list(sizes.values())))


def require_links(count: int, sources: Iterable[object]) -> None:
    """Raises `ValueError` if a source turned out to hold no interaction."""
    if count == 0:
        names = ", ".join(str(source) for source in sources)
        raise invalid(OWNER, names, "a source with at least one interaction", "none")


def pair_key(user: Tensor, item: Tensor) -> Tensor:
    """`[E]` int64: one number per (user, item) pair, in the order of user, then item."""
    return user * (int(item.max()) + 1 if item.numel() else 1) + item


def sorted_order(key: Tensor, then: Tensor | None = None) -> Tensor:
    """Stable order of rows by `key`, then by `then`. Fast where `key` is nearly sorted."""
    if then is None:
        return torch.from_numpy(np.argsort(key.numpy(), kind="stable"))
    return torch.from_numpy(np.lexsort((then.numpy(), key.numpy())))


def starts_run(key: Tensor) -> Tensor:
    """`[E]` bool: rows of a sorted key that differ from the row before them."""
    first = torch.ones_like(key, dtype=torch.bool)
    torch.ne(key[1:], key[:-1], out=first[1:])
    return first


def clean(log: InteractionLog, duplicates: str = "drop") -> tuple[InteractionLog, Repeats]:
    """Sorts a log by user, then item, and removes what would be counted or leaked twice.

    A held-out pair that an earlier part knows already is always removed, and so are repeats
    within validation or test. Repeats among the training links follow `duplicates`.

    Args:
        log: Interactions in any order.
        duplicates: `"drop"` keeps the earliest of repeated training links, `"keep"` all.

    Returns:
        The clean log and what was found in the original.

    Raises:
        ValueError: If `duplicates` is anything else.
    """
    if duplicates not in ("drop", "keep"):
        raise invalid(OWNER, "duplicates", "'drop' or 'keep'", describe(duplicates))
    split = torch.zeros_like(log.user, dtype=torch.uint8) if log.split is None else log.split
    pair = pair_key(log.user, log.item)
    pair_of_part = pair * PARTS + split
    order = sorted_order(pair_of_part, log.time)
    split, first_of_pair = split[order], starts_run(pair[order])
    first_of_part = starts_run(pair_of_part[order])
    known_earlier = first_of_part & ~first_of_pair
    repeats = Repeats(
        duplicates=int((~first_of_part & (split == TRAIN)).sum()),
        held_out_duplicates=int((~first_of_part & (split != TRAIN)).sum()),
        train_val_overlap=int((known_earlier & (split == VAL)).sum()),
        train_test_overlap=int((known_earlier & (split == TEST)).sum()),
    )
    kept = first_of_pair if duplicates == "drop" else first_of_pair | (split == TRAIN)
    return log.take(order[kept]), repeats


def to_hetero_data(log: InteractionLog, edge_type: EdgeType) -> HeteroData:
    """The log as one bipartite graph.

    Its links have `edge_index [2, E]`, and what the log has of `time [E]`, `rating [E]`,
    `split [E]` and `edge_weight [E]`; `time_is_date` is true where times come from dates. Items
    have a `category [I]`, if a catalogue gives them one.
    """
    source, _, destination = edge_type
    data = HeteroData()
    data[source].num_nodes = log.num_users
    data[destination].num_nodes = log.num_items
    if log.category is not None:
        data[destination].category = log.category
    store = data[edge_type]
    store.edge_index = torch.stack([log.user, log.item])
    for name in ("time", "rating", "split"):
        column = getattr(log, name)
        if column is not None:
            store[name] = column
    if log.weight is not None:
        store.edge_weight = log.weight
    if log.time_is_date:
        store.time_is_date = True
    return data
