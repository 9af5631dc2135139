"""What a call is refused for: unknown positives, ids out of range, tables of another graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module

from pyg_negsamp.candidates import Candidates
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.graph import is_index

#: Rows of a call that are looked up; only if one of them is unknown, all are.
ROWS_LOOKED_AT = 64


def check_known(
    owner: object,
    candidates: Candidates,
    user: Tensor,
    pos: Tensor,
    looked_at: int = ROWS_LOOKED_AT,
) -> None:
    """Refuses positives that are no known links: the model would get them as negatives, too.

    Args:
        owner: Who asks, for the error.
        candidates: What negatives are drawn from.
        user: `[B]` user ids, in the numbering of the whole graph.
        pos: `[B]` item ids.
        looked_at: Rows to look up, spread over all; the others only if one of these is unknown.

    Raises:
        ValueError: Saying how many of how many are unknown, and what may be the cause.
    """
    step = max(1, len(user) // looked_at)
    if bool(candidates.knows(user[::step], pos[::step]).all()):
        return
    unknown = int((~candidates.knows(user, pos)).sum())
    raise invalid(
        owner,
        "pos",
        "links that the candidates know, or they may be drawn as negatives. Perhaps the split is "
        "disjoint (UniformCandidates(train_data, also=its edge_label_index) in the place of the "
        "graph), or item ids are not those of the graph (a joint numbering puts users first), or "
        "users are heads of a knowledge graph (relation=...), or these are held-out links "
        "(PyG's AmazonBook has such in the training graph's edge_label_index: delete it). If it "
        "is meant to be so: check_positives=False",
        f"{unknown} of {len(user)} unknown",
    )


def check_rows_are_users(owner: object, candidates: Candidates) -> None:
    """Refuses candidates with relations or times, on behalf of what remembers items by user."""
    for argument, there in (("relation", candidates.num_relations), ("time", candidates.since)):
        if there is not None:
            expected = f"made without '{argument}': this sampler goes by users, not by rows"
            raise invalid(owner, "candidates", expected, f"some made with '{argument}'")


def check_ids(owner: object, user: Tensor, pos: Tensor) -> None:
    """Refuses users and positives that are not `[B]` ids each."""
    for name, index in (("user", user), ("pos", pos)):
        if not isinstance(index, Tensor):
            raise invalid(owner, name, "a tensor [B] of ids", short(index))
    if user.dim() != 1 or user.shape != pos.shape:
        got = f"{[*user.shape]} and {[*pos.shape]}"
        raise invalid(owner, "user, pos", "two tensors [B]", got)
    for name, index in (("user", user), ("pos", pos)):
        if not is_index(index):
            raise invalid(owner, name, "integers, int64 or int32", index.dtype)


def check_range(owner: object, name: str, index: Tensor | None, size: int) -> None:
    """Refuses what is no tensor of ids below `size`; `None` is nothing to check."""
    if index is None:
        return
    if not isinstance(index, Tensor) or not is_index(index):
        raise invalid(owner, name, "a tensor of integers, int64 or int32", short(index))
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < size:
        got = f"{int(index.min())}..{int(index.max())}"
        raise invalid(owner, name, f"ids in [0, {size})", got)


def check_tables(
    owner: Module,
    user_xs: Sequence[Tensor],
    item_xs: Sequence[Tensor],
    width: int | None,
    apart: bool,
) -> None:
    """Refuses what are no `H` tables `[U, D]` and `H` tables `[I, D]`.

    Args:
        owner: Who asks. Its parameters, if it works at one width, are to be of the tables' type.
        user_xs: Layers of the users.
        item_xs: Layers of the items.
        width: The only `D` that will do, if there is one.
        apart: Whether users and items may differ in width.
    """
    shapes = [tuple(x.shape) for x in (*user_xs, *item_xs)]
    same = len(user_xs) == len(item_xs) > 0 and all(len(shape) == 2 for shape in shapes)
    kinds = (user_xs, item_xs) if apart else ((*user_xs, *item_xs),)
    if not same or any(len({x.size(1) for x in xs}) > 1 for xs in kinds):
        raise invalid(owner, "user_xs, item_xs", "H tensors [U, D] and H [I, D]", shapes)
    dtypes = {x.dtype for x in (*user_xs, *item_xs)}
    if len(dtypes) > 1 or not user_xs[0].is_floating_point():
        expected = "of one floating-point type (x.float(), say)"
        raise invalid(owner, "user_xs, item_xs", expected, ", ".join(map(str, dtypes)))
    if width is not None and any(found != width for _, found in shapes):
        expected = f"of width {width}, or the sampler made with dim={shapes[0][1]}"
        raise invalid(owner, "user_xs, item_xs", expected, shapes)
    own = None if width is None else next(owner.parameters(), None)
    if own is not None and own.dtype not in dtypes:
        (other,) = dtypes
        if not torch.is_autocast_enabled(own.device.type):
            expected = f"of {own.dtype}, as what the sampler learns (or sampler.to({other}))"
            raise invalid(owner, "user_xs, item_xs", expected, other)


def check_lengths(owner: object, users: int, items: int, num_users: int, num_items: int) -> None:
    """Refuses tables of other lengths than the graph's numbers of users and items.

    Args:
        owner: Who asks, for the error.
        users: Length of the users' table.
        items: Length of the items' table.
        num_users: Number of users in the graph, or in a batch with a numbering of its own.
        num_items: Number of items there.

    Raises:
        ValueError: Saying which is wrong, and how to split a joint table.
    """
    if (users, items) == (num_users, num_items):
        return
    expected = f"[{num_users}, D] and [{num_items}, D], a row for each user and for each item"
    if (users, items) == (num_items, num_users):
        expected += " (they seem to be swapped)"
    elif num_users + num_items in (users, items):
        expected += f" (split a joint table: x[:{num_users}], x[{num_users}:])"
    raise invalid(owner, "user_xs, item_xs", expected, f"{users} and {items} rows")
