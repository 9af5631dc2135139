"""Popularity ranking: the number every recommender has to beat."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.nn.encoder import XDict


def popularity(data: HeteroData, edge_type: EdgeType = EDGE_TYPE) -> XDict:
    """Embeddings of width one that rank items by their number of training links.

    Scores are ranks, not counts: ties go to the lower item id, so that the list is the same
    everywhere.

    Args:
        data: Training graph. Repeated links count repeatedly.
        edge_type: The interactions in `data`.

    Returns:
        One tensor `[U, 1]` and one `[I, 1]`, in the form that encoders return.
    """
    links = known_links(data, edge_type)
    degree = torch.bincount(links.index[1], minlength=links.num_items)
    best_first = degree.argsort(descending=True, stable=True)
    rank = torch.empty(links.num_items, dtype=torch.double, device=degree.device)
    rank[best_first] = torch.arange(links.num_items, 0, -1, device=degree.device).double()
    return {edge_type[0]: [rank.new_ones(links.num_users, 1)], edge_type[2]: [rank.view(-1, 1)]}
