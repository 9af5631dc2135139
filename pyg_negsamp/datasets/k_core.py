"""The k-core of a log: only users and items with enough links among each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets.checks import describe, is_whole
from pyg_negsamp.datasets.log import OWNER, TRAIN, InteractionLog, pair_key, starts_run
from pyg_negsamp.errors import invalid


class Removed(NamedTuple):
    """What a k-core leaves out.

    Attributes:
        k_core_removed_users: Users that are no longer in the graph.
        k_core_removed_items: Items that are no longer in the graph.
        k_core_removed_links: Links of the log, held-out ones and repeats included.
    """

    k_core_removed_users: int
    k_core_removed_items: int
    k_core_removed_links: int


def check_k_core(least: Any) -> None:
    """Raises `ValueError` unless `least` is `None` or two whole numbers, zero or more."""
    if least is None:
        return
    fits = isinstance(least, tuple | list) and len(least) == 2
    if not fits or not all(is_whole(k) and k >= 0 for k in least):
        expected = "None or two whole numbers: links per user and per item, such as (5, 5)"
        raise invalid(OWNER, "k_core", expected, describe(least))


def k_core(log: InteractionLog, least: tuple[int, int]) -> tuple[InteractionLog, Removed]:
    """Removes users and items with few links, again and again until nothing changes.

    Distinct pairs count. Where the log is split already, only training links count, and what
    is held out of a removed user or item goes with it. Items of a catalogue stay, without
    links if they have too few. The others are numbered anew, in the same order.

    Args:
        log: A clean log, sorted by user, then item.
        least: Links that a user must have, and links that an item must have.

    Returns:
        The log that is left, and what was removed.

    Raises:
        ValueError: If no training link is left.
    """
    train = torch.ones_like(log.user, dtype=torch.bool) if log.split is None else log.split == TRAIN
    user, item = log.user[train], log.item[train]
    distinct = starts_run(pair_key(user, item))
    user, item = user[distinct], item[distinct]
    before = -1
    while before != user.numel():
        before = user.numel()
        users = torch.bincount(user, minlength=log.num_users) >= least[0]
        items = torch.bincount(item, minlength=log.num_items) >= least[1]
        kept = users[user] & items[item]
        user, item = user[kept], item[kept]
    if not user.numel():
        raise invalid(OWNER, "k_core", "numbers that leave at least one link to train on", least)
    rows = users[log.user] & items[log.item]
    nodes = items if log.listed is None else items | log.listed
    removed = Removed(int((~users).sum()), int((~nodes).sum()), int((~rows).sum()))
    left = log.take(rows)
    user_position, user_ids = _renumber(users, log.user_ids)
    item_position, item_ids = _renumber(nodes, log.item_ids)
    left = left._replace(
        user=user_position[left.user],
        item=item_position[left.item],
        num_users=int(users.sum()),
        num_items=int(nodes.sum()),
        user_ids=user_ids,
        item_ids=item_ids,
        listed=None if log.listed is None else log.listed[nodes],
        category=None if log.category is None else log.category[nodes],
    )
    return left, removed


def _renumber(kept: Tensor, ids: pd.Index | None) -> tuple[Tensor, pd.Index | None]:
    """New position `[N]` of every old one, and the ids of those kept, old positions if none."""
    if bool(kept.all()):
        return torch.arange(kept.numel()), ids
    old = kept.nonzero().squeeze(1).numpy()
    return kept.cumsum(0) - 1, pd.Index(old) if ids is None else ids[old]
