"""What is said to candidates: links that are seen, their relations, allowed items, their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import is_sparse

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import (
    check_links,
    is_integer,
    items_among,
    joins_one_kind,
    known_links,
    own_links,
)
from pyg_negsamp.pairs import Pairs

#: More known links: `[2, E]`, or several such.
Also: TypeAlias = Tensor | Sequence[Tensor]

#: Items that may be drawn: their ids, or a bool for every item.
Items: TypeAlias = range | slice | Tensor

MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Seen:
    """What the users of a training graph have seen.

    Attributes:
        index: `[2, E]` the graph's links; in a knowledge graph, of heads with relations.
        every: These, more that were told of, and in a graph with one kind of nodes each with
            itself: `[2, E']`. The same tensor if there are no more.
        item: `[E]` the items of the graph's links, not copied.
        num_users: Number of users, or of heads times relations.
        num_items: Number of items.
        num_relations: Number of relations `R` of a knowledge graph; else `None`.
        one_kind: Whether users and items are the same nodes.
    """

    index: Tensor
    every: Tensor
    item: Tensor
    num_users: int
    num_items: int
    num_relations: int | None
    one_kind: bool


def read_seen(
    owner: object,
    data: HeteroData | Data,
    edge_type: EdgeType,
    also: Also | None,
    items: Items | None,
    relation: Tensor | None,
    num_relations: int | None,
) -> Seen:
    """Reads links; arguments and errors as those of :class:`pyg_negsamp.candidates.Candidates`."""
    links = known_links(data, edge_type)
    index, num_users, num_items = links.index, links.num_users, links.num_items
    if num_items == 0:
        raise invalid(owner, "data", "a graph with at least one item", "0 items")
    if relation is not None:
        relation, num_relations = read_relation(owner, data, relation, num_relations, index.size(1))
        head = index[0] * num_relations + relation.to(index)
        index, num_users = torch.stack([head, index[1]]), num_users * num_relations
    elif num_relations is not None:
        raise invalid(owner, "num_relations", "left out without 'relation'", num_relations)
    check_fits(owner, num_users, num_items)
    several = also if isinstance(also, list | tuple) else [also]
    more: list[Any] = [extra for extra in several if extra is not None]
    for extra in more:
        check_links(owner, "also", extra, num_users, num_items)
    one_kind = relation is None and joins_one_kind(data, edge_type)
    if one_kind:
        if items is None:
            check_one_kind(owner, data, edge_type, index)
        # Links whose reverse is there, too, have no direction.
        if more and index.size(1):
            there = Pairs(index, num_users, num_items)
            if bool(there.hold(*index.flip(0)).all()):
                more += [extra.flip(0) for extra in more]
        more.append(own_links(num_items, index.device))
    every = torch.cat([index, *(extra.to(index) for extra in more)], dim=1) if more else index
    return Seen(index, every, links.index[1], num_users, num_items, num_relations, one_kind)


def check_fits(owner: object, num_users: int, total: int) -> None:
    """Refuses lines of `total` points per user that together do not fit in int64."""
    if num_users * total > MAX_INT64:
        expected = "a graph whose users x items (or points) fit in int64"
        raise invalid(owner, "data", expected, f"{num_users} x {total}")


def read_items(owner: object, items: Items, num_items: int) -> Tensor:
    """The ids `[n]` of items that may be drawn, ascending.

    Raises:
        ValueError: If they are no ids, or none.
    """
    every = torch.arange(num_items, device="cpu")
    expected = f"a range, a slice, ids in [0, {num_items}), or [{num_items}] bool"
    if isinstance(items, slice):
        found = every[items]
    elif isinstance(items, range):
        found = torch.tensor(items, dtype=torch.long, device="cpu")
    elif not isinstance(items, Tensor):
        raise invalid(owner, "items", expected, short(items))
    elif items.dtype == torch.bool and items.shape == every.shape:
        found = every[items.cpu()]
    elif items.is_floating_point() or items.dtype == torch.bool or items.dim() != 1:
        raise invalid(owner, "items", expected, f"{[*items.shape]} {items.dtype}")
    else:
        found = items.long().cpu()
    found = found.unique()
    if not found.numel():
        raise invalid(owner, "items", "at least one item", "none")
    if found[0] < 0 or found[-1] >= num_items:
        raise invalid(owner, "items", expected, f"{int(found[0])}..{int(found[-1])}")
    return found


def check_one_kind(
    owner: object, data: HeteroData | Data, edge_type: EdgeType, index: Tensor
) -> None:
    """Refuses a graph with one kind of nodes of which some are users and others items."""
    if (items := items_among(data, edge_type, index)) is not None:
        say = f"given, because some nodes of this graph are no items, such as items={items}"
        raise invalid(owner, "items", say, None)


def read_relation(
    owner: object,
    data: HeteroData | Data,
    relation: Tensor,
    num_relations: int | None,
    num_links: int,
) -> tuple[Tensor, int]:
    """The relation of every link of a knowledge graph.

    Args:
        owner: Who asks, for errors.
        data: The graph.
        relation: `[E]` what was given.
        num_relations: How many relations there are. Default: as many as the largest id says.
        num_links: Number of links, `E`.

    Returns:
        `[E]` int64, and the number of relations `R`, at least 1.

    Raises:
        ValueError: If the graph is not homogeneous, or keeps its links as a matrix, in another
            order; if these are no `E` ids, or too large.
    """
    if not isinstance(data, Data):
        expected = "left out, as the edge types of a HeteroData graph are its relations"
        raise invalid(owner, "relation", expected, short(relation))
    links = data.get("edge_index")
    if not isinstance(links, Tensor) or is_sparse(links):
        expected = "left out, unless 'edge_index' lists the links in the order of the relations"
        raise invalid(owner, "relation", expected, short(links))
    expected = f"[{num_links}] ids, the relation of every link"
    if not isinstance(relation, Tensor):
        raise invalid(owner, "relation", expected, short(relation))
    if relation.shape != (num_links,) or not is_integer(relation):
        raise invalid(owner, "relation", expected, f"{[*relation.shape]} {relation.dtype}")
    low, high = map(int, relation.aminmax()) if num_links else (0, 0)
    if num_relations is None:
        num_relations = max(high, 0) + 1
    num_relations = whole_number(owner, "num_relations", num_relations, least=1)
    if low < 0 or high >= num_relations:
        expected = f"[{num_links}] ids in [0, {num_relations})"
        raise invalid(owner, "relation", expected, f"{low}..{high}")
    return relation.long(), num_relations


def read_times(owner: object, time: Tensor, num_items: int) -> Tensor:
    """The time `[I]` from which each item exists: int64 for whole numbers, float64 for others.

    Raises:
        ValueError: If it is no `I` numbers, or NaN.
    """
    expected = f"[{num_items}] numbers, the time from which each item exists"
    if not isinstance(time, Tensor):
        raise invalid(owner, "time", expected, short(time))
    if time.shape != (num_items,) or time.is_complex() or time.dtype == torch.bool:
        raise invalid(owner, "time", expected, f"{[*time.shape]} {time.dtype}")
    if bool(time.isnan().any()):
        raise invalid(owner, "time", expected, "NaN")
    return time.long() if is_integer(time) else time.double()


def num_existing(owner: object, since: Tensor, user: Tensor, time: Tensor | None) -> Tensor:
    """How many items existed when each row happened.

    Args:
        owner: Who asks, for errors.
        since: `[n]` the items' times, ascending.
        user: The rows' users, of any shape.
        time: The rows' times, of the same shape; `None` is refused.

    Returns:
        int64 of that shape. Of a time that is NaN, nothing exists.

    Raises:
        ValueError: If there is no time, or one of another shape or kind.
    """
    whole = is_integer(since)
    expected = (
        f"{[*user.shape]} {'whole numbers' if whole else 'numbers'}, when each row happened "
        "('edge_label_time' or 'seed_time' of a batch), as the candidates have times"
    )
    if not isinstance(time, Tensor):
        raise invalid(owner, "time", expected, short(time))
    wrong = time.is_complex() or time.dtype == torch.bool or (whole and not is_integer(time))
    if time.shape != user.shape or wrong:
        raise invalid(owner, "time", expected, f"{[*time.shape]} {time.dtype}")
    count = torch.searchsorted(since, time.to(since), right=True)
    return count.masked_fill_(time.isnan(), 0)
