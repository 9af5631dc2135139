"""What the library reads off a graph: who may interact with what, and which links are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import is_sparse, to_edge_index

from pyg_negsamp.errors import invalid

USER = "user"
ITEM = "item"
EDGE_TYPE: EdgeType = (USER, "interacts", ITEM)


@dataclass(frozen=True)
class Links:
    """The known links of a graph, whatever its node and edge types are called.

    Attributes:
        index: `[2, E]` int64, row 0 users (sources), row 1 items (destinations).
        num_users: Number of users (source nodes), `U`.
        num_items: Number of items (destination nodes), `I`.
    """

    index: Tensor
    num_users: int
    num_items: int


def links_in(store: HeteroData | Data) -> Tensor | None:
    """The links `[2, E]` of an edge type, in whichever form PyG keeps them, as int64.

    `None` without any.

    These are `edge_index` (a tensor, or PyG's `EdgeIndex`), or a sparse matrix: a CSR, CSC or COO
    tensor or a `SparseTensor` of torch-sparse, transposed as PyG has it, `[I, U]`, under `adj_t`
    (where :class:`torch_geometric.transforms.ToSparseTensor` puts it) or `edge_index`.
    """
    for name in ("edge_index", "adj_t"):
        if name in store:
            adjacency = store[name]
            if isinstance(adjacency, EdgeIndex):
                return adjacency.as_tensor().long()
            if not is_sparse(adjacency):
                return adjacency.long()
            to, start = to_edge_index(adjacency)[0]
            return torch.stack([start, to]).long()
    return None


def known_links(data: HeteroData | Data, edge_type: EdgeType = EDGE_TYPE) -> Links:
    """Reads the links of `data`: bipartite `HeteroData`, or a homogeneous `Data` graph.

    Args:
        data: Graph whose `edge_index` holds the known links, see :func:`links_in`.
        edge_type: Edge type to read from `HeteroData`; ignored for `Data`.

    Raises:
        ValueError: If the edge type, its `edge_index` or a node count is missing, or if
            an id lies outside its node set.
    """
    if isinstance(data, HeteroData):
        if edge_type not in data.edge_types:
            raise invalid("known_links", "edge_type", f"one of {data.edge_types}", edge_type)
        store = data[edge_type]
        num_users, num_items = data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes
    else:
        store = data
        num_users = num_items = data.num_nodes
    index = links_in(store)
    if index is None:
        expected = f"a graph with 'edge_index' or 'adj_t' on {edge_type}"
        raise invalid("known_links", "data", expected, f"one with {list(store.keys())}")
    if num_users is None or num_items is None:
        expected = "a graph whose node types state 'num_nodes'"
        raise invalid("known_links", "data", expected, f"{num_users} and {num_items}")
    _check_ids("known_links", "edge_index", index, num_users, num_items)
    return Links(index, num_users, num_items)


def held_out_links(data: HeteroData | Data, edge_type: EdgeType = EDGE_TYPE) -> Tensor:
    """Reads the links that a split asks for.

    These are `pos_edge_label_index` (of `RandomLinkSplit(split_labels=True)`), or those in
    `edge_label_index` whose `edge_label`, if there is one, is not 0.

    Args:
        data: A validation or test split.
        edge_type: Edge type to read from `HeteroData`; ignored for `Data`.

    Returns:
        `[2, E]` int64, row 0 users, row 1 items; without any, `[2, 0]`.

    Raises:
        ValueError: As :func:`known_links`, and if an id lies outside its node set.
    """
    known = known_links(data, edge_type)
    store = data[edge_type] if isinstance(data, HeteroData) else data
    if "pos_edge_label_index" in store:
        index = store.pos_edge_label_index.long()
    elif store.get("edge_label_index") is None:
        return known.index.new_empty(2, 0)
    else:
        index, label = store.edge_label_index.long(), store.get("edge_label")
        index = index if label is None else index[:, label != 0]
    _check_ids("held_out_links", "edge_label_index", index, known.num_users, known.num_items)
    return index


def _check_ids(owner: str, field: str, index: Tensor, num_users: int, num_items: int) -> None:
    for name, row, size in (("users", index[0], num_users), ("items", index[1], num_items)):
        if row.numel() and (int(row.min()) < 0 or int(row.max()) >= size):
            raise invalid(owner, field, f"{name} in [0, {size})", f"{row.min()}..{row.max()}")


def is_in(x: Tensor, known: Tensor) -> Tensor:
    """Which entries of `x`, of any shape, are among the sorted `known [n]`."""
    if not known.numel():
        return torch.zeros_like(x, dtype=torch.bool)
    at = torch.searchsorted(known, x).clamp(max=known.numel() - 1)
    return known[at] == x
