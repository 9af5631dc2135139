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
    """The links `[2, E]` of an edge type, in whichever form PyG keeps them; `None` without any.

    These are `edge_index` (a tensor, or PyG's `EdgeIndex`), or a sparse matrix: a CSR, CSC or COO
    tensor or a `SparseTensor` of torch-sparse, transposed as PyG has it, `[I, U]`, under `adj_t`
    (where :class:`torch_geometric.transforms.ToSparseTensor` puts it) or `edge_index`.
    """
    for name in ("edge_index", "adj_t"):
        if name in store:
            adjacency = store[name]
            if isinstance(adjacency, EdgeIndex):
                return adjacency.as_tensor()
            if not is_sparse(adjacency):
                return adjacency
            to, start = to_edge_index(adjacency)[0]
            return torch.stack([start, to])
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
        raise invalid("known_links", "data", expected, data)
    if num_users is None or num_items is None:
        raise invalid("known_links", "data", "a graph whose node types state 'num_nodes'", data)
    for name, row, size in (("users", index[0], num_users), ("items", index[1], num_items)):
        if row.numel() and (int(row.min()) < 0 or int(row.max()) >= size):
            raise invalid(
                "known_links", "edge_index", f"{name} in [0, {size})", f"{row.min()}..{row.max()}"
            )
    return Links(index, num_users, num_items)
