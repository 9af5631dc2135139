"""What the library reads off a graph: who may interact with what, and which links are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import is_sparse, to_edge_index

from pyg_negsamp.errors import invalid, short

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

    Raises:
        ValueError: If it is neither.
    """
    for name in ("edge_index", "adj_t"):
        if name in store:
            adjacency = store[name]
            if isinstance(adjacency, EdgeIndex):
                return adjacency.as_tensor().long()
            if not is_sparse(adjacency):
                check_shape("known_links", name, adjacency)
                return adjacency.long()
            to, start = to_edge_index(adjacency)[0]
            return torch.stack([start, to]).long()
    return None


def link_weights(data: HeteroData | Data, edge_type: EdgeType | None = None) -> Tensor | None:
    """The weights `[E]` of the known links; `None` if there are none, or all are 1.

    These are `edge_weight`, or the values of a sparse matrix.

    Args:
        data: The graph.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.

    Raises:
        ValueError: If they are not `[E]`, or one is negative, infinite or NaN.
    """
    store = store_of(data, edge_type_of(data, edge_type))
    weight = store.get("edge_weight")
    if weight is None:
        sparse = [store[name] for name in ("edge_index", "adj_t") if name in store]
        weight = to_edge_index(sparse[0])[1] if sparse and is_sparse(sparse[0]) else None
    if weight is None:
        return None
    num = known_links(data, edge_type).index.size(1)
    if not isinstance(weight, Tensor) or weight.shape != (num,) or weight.is_complex():
        expected = f"[{num}] numbers, one for each link"
        raise invalid("link_weights", "edge_weight", expected, short(weight))
    if not bool(((weight >= 0) & (weight < torch.inf)).all()):
        raise invalid("link_weights", "edge_weight", "finite, and at least 0", weight.min().item())
    return None if bool((weight == 1).all()) else weight


def known_links(data: HeteroData | Data, edge_type: EdgeType | None = None) -> Links:
    """Reads the links of `data`: bipartite `HeteroData`, or a homogeneous `Data` graph.

    Args:
        data: Graph whose `edge_index` holds the known links, see :func:`links_in`.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.

    Raises:
        ValueError: If the edge type, its `edge_index` or a node count is missing, or if
            an id lies outside its node set.
    """
    if isinstance(data, HeteroData):
        edge_type = edge_type_of(data, edge_type)
        num_users, num_items = data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes
    elif isinstance(data, Data):
        edge_type = EDGE_TYPE
        num_users = num_items = data.num_nodes
    else:
        raise invalid("known_links", "data", "a HeteroData or Data graph", short(data))
    index = links_in(store_of(data, edge_type))
    if index is None:
        expected = f"a graph with 'edge_index' or 'adj_t' on {edge_type}"
        raise invalid("known_links", "data", expected, described(data, edge_type))
    if num_users is None or num_items is None:
        expected = "a graph whose node types state 'num_nodes'"
        raise invalid("known_links", "data", expected, described(data, edge_type))
    check_links("known_links", "edge_index", index, num_users, num_items)
    return Links(index, num_users, num_items)


def items_among(data: HeteroData | Data, edge_type: EdgeType, index: Tensor) -> str | None:
    """Which nodes of a graph with one kind of nodes are items, as code, if others are users.

    They are told by `node_type`, or by links `[2, E]` whose starts and ends do not meet.
    """
    kinds = (data[edge_type[0]] if isinstance(data, HeteroData) else data).get("node_type")
    if isinstance(kinds, Tensor) and len(found := kinds.unique().tolist()) > 1:
        return f"(data.node_type == {found[-1]})"
    starts, ends = index[0].unique(), index[1].unique()
    if ends.numel() and not torch.isin(starts, ends).any():
        return f"range({int(ends[0])}, {int(ends[-1]) + 1})"
    return None


def edge_type_of(data: HeteroData | Data, edge_type: EdgeType | None = None) -> EdgeType:
    """The edge type of the interactions in a graph, in full.

    Args:
        data: The graph.
        edge_type: What somebody said: `(user, relation, item)`, or PyG's short form `(user, item)`.
            Default: the only one there is, reverse ones (`rev_...`) aside; of several, the
            library's own, `('user', 'interacts', 'item')`.

    Raises:
        ValueError: If there is no such edge type, or several.
    """
    if not isinstance(data, HeteroData):
        return EDGE_TYPE
    if edge_type is None:
        found = [kind for kind in data.edge_types if not kind[1].startswith("rev_")]
        found = [EDGE_TYPE] if EDGE_TYPE in found else found
    elif isinstance(edge_type, tuple) and len(edge_type) in (2, 3):
        ends = (edge_type[0], edge_type[-1])
        found = [
            kind
            for kind in data.edge_types
            if kind == edge_type or (len(edge_type) == 2 and (kind[0], kind[2]) == ends)
        ]
    else:
        expected = "(user, relation, item), the names of node types and of their relation"
        raise invalid("known_links", "edge_type", expected, short(edge_type))
    if len(found) != 1:
        raise invalid("known_links", "edge_type", f"one of {data.edge_types}", edge_type)
    return found[0]


def joins_one_kind(data: HeteroData | Data, edge_type: EdgeType | None = None) -> bool:
    """Whether links join nodes of one kind, as in a homogeneous graph, or `(paper, cites, paper)`.

    A node is then user and item at once, and never a negative of itself.

    Args:
        data: The graph.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.
    """
    first, _, last = edge_type_of(data, edge_type)
    return not isinstance(data, HeteroData) or first == last


def own_links(num_nodes: int, device: torch.device) -> Tensor:
    """The links `[2, N]` of nodes to themselves: seen, where links join nodes of one kind."""
    return torch.arange(num_nodes, device=device).expand(2, -1)


def store_of(data: HeteroData | Data, edge_type: EdgeType) -> Any:
    """Where a graph keeps the links of an edge type; a homogeneous graph keeps all by itself."""
    return data[edge_type] if isinstance(data, HeteroData) else data


def described(data: HeteroData | Data, edge_type: EdgeType) -> str:
    """The fields of a graph's links, for messages: a whole graph fills a screen."""
    return f"one with {', '.join(map(str, store_of(data, edge_type).keys())) or 'nothing'}"


def held_out_links(data: HeteroData | Data, edge_type: EdgeType | None = None) -> Tensor:
    """Reads the links that a split asks for.

    These are `pos_edge_label_index` (of `RandomLinkSplit(split_labels=True)`), or those in
    `edge_label_index` whose `edge_label`, if there is one, is not 0.

    Args:
        data: A validation or test split.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.

    Returns:
        `[2, E]` int64, row 0 users, row 1 items; without any, `[2, 0]`.

    Raises:
        ValueError: As :func:`known_links`; if an id lies outside its node set, or if a label is
            neither 0 nor 1.
    """
    found = labelled_links(data, edge_type_of(data, edge_type))
    return known_links(data, edge_type).index.new_empty(2, 0) if found is None else found


def training_links(data: HeteroData | Data, edge_type: EdgeType | None = None) -> Tensor:
    """Reads the links that a model is to rank high in training.

    These are a graph's supervision links, where it has such
    (`RandomLinkSplit(disjoint_train_ratio=...)`), and else its known links.

    Args:
        data: A training graph.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.

    Returns:
        `[2, E]` int64, row 0 users, row 1 items.

    Raises:
        ValueError: As :func:`held_out_links`.
    """
    found = labelled_links(data, edge_type_of(data, edge_type))
    return known_links(data, edge_type).index if found is None else found


def training_times(data: HeteroData | Data, edge_type: EdgeType | None = None) -> Tensor | None:
    """Reads when the links of :func:`training_links` happened: `[E]`, or `None` if nobody says.

    These are `edge_label_time`, where a graph has supervision links, and else `time`.

    Args:
        data: A training graph.
        edge_type: The interactions in `HeteroData`, see :func:`edge_type_of`; ignored for `Data`.

    Raises:
        ValueError: If there are not as many as links.
    """
    edge_type = edge_type_of(data, edge_type)
    store, num = store_of(data, edge_type), training_links(data, edge_type).size(1)
    labelled = labelled_links(data, edge_type) is not None
    name = "edge_label_time" if labelled else "time"
    time = store.get(name)
    if time is None:
        return None
    label = store.get("edge_label") if labelled else None
    if isinstance(time, Tensor) and label is not None and time.shape == label.shape:
        time = time[label == 1]
    if not isinstance(time, Tensor) or time.shape != (num,):
        raise invalid("training_times", name, f"[{num}] times, one for each link", short(time))
    return time


def labelled_links(data: HeteroData | Data, edge_type: EdgeType) -> Tensor | None:
    """The positive links `[2, E]` among those that carry labels; `None` if there are none."""
    known = known_links(data, edge_type)
    store = store_of(data, edge_type)
    name = "pos_edge_label_index" if "pos_edge_label_index" in store else "edge_label_index"
    index = store.get(name)
    if index is None:
        return None
    check_links("held_out_links", name, index, known.num_users, known.num_items)
    label = store.get("edge_label") if name == "edge_label_index" else None
    if label is not None:
        check_labels("held_out_links", label, index.size(1))
        index = index[:, positive("held_out_links", label)]
    return index.long()


def check_labels(owner: object, label: object, num_links: int) -> None:
    """Refuses what are not labels `[E]`, one for each link."""
    if not isinstance(label, Tensor) or label.shape != (num_links,):
        raise invalid(owner, "edge_label", f"[{num_links}], one for each link", short(label))


def positive(owner: object, label: Tensor) -> Tensor:
    """Which labels `[E]` are 1; refuses those that are neither 0 nor 1, such as ratings."""
    yes = label == 1
    if not bool((yes | (label == 0)).all()):
        expected = "0 or 1; of ratings, make it so: edge_label = (rating >= 4).long()"
        raise invalid(owner, "edge_label", expected, f"{label.min()}..{label.max()}")
    return yes


def check_links(owner: object, field: str, index: Tensor, num_users: int, num_items: int) -> None:
    """Refuses what is not `[2, E]` ids of a graph's users and items."""
    check_shape(owner, field, index)
    for name, row, size in (("users", index[0], num_users), ("items", index[1], num_items)):
        if row.numel() and (int(row.min()) < 0 or int(row.max()) >= size):
            raise invalid(owner, field, f"{name} in [0, {size})", f"{row.min()}..{row.max()}")


def check_taken(owner: object, of: Tensor, item: Tensor, num: int, num_items: int) -> None:
    """Refuses what are not persons `[E]` below `num` and the items `[E]` that they took."""
    tensors = isinstance(of, Tensor) and isinstance(item, Tensor)
    if not (tensors and of.shape == item.shape and of.dim() == 1 and of.dtype == item.dtype):
        got = f"{short(of)} and {short(item)}"
        raise invalid(owner, "owner, item", "two tensors [E] of ids", got)
    check_links(owner, "owner, item", torch.stack([of, item]), num, num_items)


def check_shape(owner: object, field: str, index: object) -> None:
    """Refuses what is not a tensor `[2, E]` of whole numbers."""
    expected = "[2, E] ids: whole numbers"
    if not isinstance(index, Tensor):
        raise invalid(owner, field, expected, short(index))
    if index.dim() != 2 or index.size(0) != 2 or not is_integer(index):
        raise invalid(owner, field, expected, f"{[*index.shape]} {index.dtype}")


def is_integer(x: Tensor) -> bool:
    """Whether a tensor holds whole numbers."""
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)


def is_index(x: Tensor) -> bool:
    """Whether a tensor holds ids that torch can look up; bytes it would take for a mask."""
    return x.dtype in (torch.int64, torch.int32)


def is_in(x: Tensor, known: Tensor) -> Tensor:
    """Which entries of `x`, of any shape, are among the sorted `known [n]`."""
    if not known.numel():
        return torch.zeros_like(x, dtype=torch.bool)
    at = torch.searchsorted(known, x.contiguous()).clamp(max=known.numel() - 1)
    return known[at] == x
