"""Popularity ranking: the number every recommender has to beat."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.csr import binary_matrix
from pyg_negsamp.graph import known_links
from pyg_negsamp.references.base import Reference


class Popularity(Reference):
    """Ranks items by their number of training links, for everybody alike.

    Scores are ranks, not counts: the most popular of `I` items has `I`, the least popular 1. Ties
    go to the lower item id, so that the list is the same everywhere.

    Args:
        data: Training graph. Repeated links count repeatedly.
        edge_type: The interactions in `data`.

    Attributes:
        rank: `[I]` float64, the scores.
    """

    rank: Tensor

    def __init__(self, data: HeteroData, edge_type: EdgeType | None = None) -> None:
        links = known_links(data, edge_type)
        self.seen = binary_matrix(data, edge_type)
        degree = torch.bincount(links.index[1].cpu(), minlength=links.num_items)
        best_first = degree.argsort(descending=True, stable=True)
        self.rank = torch.empty(links.num_items, dtype=torch.double)
        self.rank[best_first] = torch.arange(links.num_items, 0, -1).double()

    def __call__(self, user: Tensor) -> Tensor:
        """The ranks, for users `[b]`: `[b, I]`."""
        return self.rank.to(user.device).expand(len(user), -1)

    def score_rows(self, rows: Tensor) -> Tensor:
        """The ranks, whatever somebody took."""
        return self.rank.expand(len(rows), -1)

    def similar(self, item: Tensor) -> Tensor:
        """The ranks of all but the item itself: nothing else is known of any."""
        ranks = self.rank.repeat(len(item), 1)
        ranks[torch.arange(len(item)), item] = -torch.inf
        return ranks

    def tensors(self) -> dict[str, Tensor]:
        """The ranks."""
        return {"rank": self.rank}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self.rank = tensors["rank"]
