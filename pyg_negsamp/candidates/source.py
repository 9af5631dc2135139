"""What a sampler may be given to draw from: candidates, or a graph to make them of."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import EDGE_TYPE

#: Candidates; a training graph; its links alone, as PyG's `EdgeIndex` that knows its size or as
#: `(edge_index, (U, I))`; or `None`, if candidates come with every call.
Source: TypeAlias = (
    Candidates | HeteroData | Data | EdgeIndex | tuple[Tensor, tuple[int, int]] | None
)


def as_candidates(
    owner: object, source: Source, proposal: type[Candidates], edge_type: EdgeType | None
) -> Candidates | None:
    """Makes candidates of whatever a sampler was given.

    Args:
        owner: The sampler, for errors.
        source: What it was given.
        proposal: Class to make of a graph.
        edge_type: The interactions in a graph; `None` to read them off.

    Raises:
        ValueError: If it is nothing of the kind, or a graph that the class refuses.
    """
    if source is None or isinstance(source, Candidates):
        return source
    if isinstance(source, EdgeIndex):
        source = (source.as_tensor(), source.sparse_size())
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], Tensor):
        source = graph_of(owner, *source)
        edge_type = EDGE_TYPE
    if isinstance(source, HeteroData | Data):
        return proposal(source, edge_type=edge_type)
    expected = "candidates, a training graph, an EdgeIndex, (edge_index, (U, I)), or None"
    raise invalid(owner, "candidates", expected, short(source))


def graph_of(owner: object, index: Tensor, size: object) -> HeteroData:
    """The graph of links `[2, E]` between `U` users and `I` items."""
    if not isinstance(size, tuple) or len(size) != 2 or None in size:
        expected = "links with their numbers of users and items, (edge_index, (U, I))"
        raise invalid(owner, "candidates", expected, short(size))
    data = HeteroData()
    for end, number in zip((EDGE_TYPE[0], EDGE_TYPE[2]), size, strict=True):
        data[end].num_nodes = whole_number(owner, "candidates", number)
    data[EDGE_TYPE].edge_index = index
    return data
