"""What is said of a graph besides its links: allowed items, relations of links, times of items."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import is_sparse

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import is_integer, items_among

#: Items that may be drawn: their ids, or a bool for every item.
Items: TypeAlias = range | slice | Tensor


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
