"""Training, validation and test graph as a PyG dataset of exactly three elements."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from torch_geometric.data import HeteroData, InMemoryDataset


class GraphTriple(InMemoryDataset):
    """Three graphs, held as they are and not collated, so that they share their tensors.

    Args:
        graphs: Training, validation and test graph.
        root: Folder that the data came from, if any.
        transform: Applied to a graph on access.
    """

    def __init__(
        self,
        graphs: Sequence[HeteroData],
        root: str | None = None,
        transform: Callable[[HeteroData], Any] | None = None,
    ) -> None:
        super().__init__(root, transform)
        # Under a name of its own: PyG's properties empty `_data_list`, a cache to them.
        self.graphs = list(graphs)

    def len(self) -> int:
        return len(self.graphs)

    def get(self, idx: int) -> HeteroData:
        return copy.copy(self.graphs[idx])

    def copy(self, idx: Any = None) -> GraphTriple:
        """A copy whose graphs own their tensors; of some graphs only, if `idx` is given."""
        chosen = self if idx is None else self.index_select(idx)
        other = copy.copy(self)
        other._indices = None
        other.graphs = [self.get(i).clone() for i in chosen.indices()]
        return other

    def to(self, device: Any) -> GraphTriple:
        """Moves the graphs to a device, in place as PyG does."""
        self.graphs = [graph.to(device) for graph in self.graphs]
        return self
