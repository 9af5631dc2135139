"""Checks of what an `InteractionDataset` is given besides its data."""

from __future__ import annotations

from typing import Any

from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.checks import describe, require_edge_type, require_number
from pyg_negsamp.datasets.k_core import check_k_core
from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.errors import invalid

THREE_GRAPHS = "a transform that gives three graphs"


def check_options(
    split: Any,
    duplicates: Any,
    transform: Any,
    edge_type: Any,
    k_core: Any,
    min_rating: Any = None,
) -> None:
    """Raises `ValueError` for options of a wrong type, before anything is read.

    Args:
        split: Must be `None` or a transform, not its class.
        duplicates: Must be `"drop"` or `"keep"`.
        transform: Must be `None` or a transform.
        edge_type: Must be three names.
        k_core: Must be `None` or two whole numbers.
        min_rating: Must be `None` or a number.
    """
    if split is not None and (isinstance(split, type) or not callable(split)):
        expected = f"None or {THREE_GRAPHS}, such as RandomSplit()"
        raise invalid(OWNER, "split", expected, describe(split))
    if not isinstance(duplicates, str) or duplicates not in ("drop", "keep"):
        raise invalid(OWNER, "duplicates", "'drop' or 'keep'", describe(duplicates))
    if transform is not None and (isinstance(transform, type) or not callable(transform)):
        raise invalid(OWNER, "transform", "None or a transform of a graph", describe(transform))
    require_edge_type(OWNER, edge_type)
    check_k_core(k_core)
    if min_rating is not None:
        require_number(OWNER, "min_rating", min_rating)


def check_graphs(graphs: Any, edge_type: EdgeType) -> None:
    """Raises `ValueError` unless a split gave what a dataset holds.

    Args:
        graphs: Should be training, validation and test graph.
        edge_type: Links that each of them should have.
    """
    if not (isinstance(graphs, tuple | list) and len(graphs) == 3):
        raise invalid(OWNER, "split", THREE_GRAPHS, type(graphs).__name__)
    for graph in graphs:
        if not isinstance(graph, HeteroData):
            raise invalid(OWNER, "split", THREE_GRAPHS, f"one that is {describe(graph)}")
        fields = set(graph[edge_type]) if edge_type in graph.edge_types else set()
        if not {"edge_index", "edge_label_index"} <= fields:
            expected = f"{THREE_GRAPHS} with edge_index and edge_label_index of {edge_type}"
            raise invalid(OWNER, "split", expected, f"one with {sorted(fields)}")
