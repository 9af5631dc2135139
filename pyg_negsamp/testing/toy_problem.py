"""A small random problem to test samplers on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE


@dataclass
class Toy:
    """A small random problem: a graph, a batch of its links, and embeddings.

    Attributes:
        data: Bipartite graph of 7 users and 12 items; every user has 2 to 5 links.
        user: `[B]` users of the batch.
        pos: `[B]` their positives.
        user_xs: `H` tensors `[7, D]`.
        item_xs: `H` tensors `[12, D]`.
    """

    data: HeteroData
    user: Tensor
    pos: Tensor
    user_xs: list[Tensor]
    item_xs: list[Tensor]

    def generator(self) -> torch.Generator:
        """The same stream at every call."""
        return torch.Generator().manual_seed(12)

    def batch(self, edge_type: EdgeType = EDGE_TYPE, **fields: Tensor) -> HeteroData:
        """The batch in PyG's form; `fields` go to the items."""
        batch = HeteroData()
        batch[edge_type[0]].src_index = self.user
        batch[edge_type[2]].dst_pos_index = self.pos
        for name, value in fields.items():
            batch[edge_type[2]][name] = value
        return batch

    def x_dict(self, edge_type: EdgeType = EDGE_TYPE) -> dict[str, Sequence[Tensor]]:
        """The embeddings in the form that encoders return."""
        return {edge_type[0]: self.user_xs, edge_type[2]: self.item_xs}


def toy(
    num_layers: int = 3,
    seed: int = 0,
    dtype: torch.dtype = torch.double,
    edge_type: EdgeType = EDGE_TYPE,
) -> Toy:
    """Makes a random problem with `H = num_layers + 1` layers of width 5."""
    generator = torch.Generator().manual_seed(seed)
    num_users, num_items, width = 7, 12, 5
    links = []
    for user in range(num_users):
        degree = int(torch.randint(2, 6, (1,), generator=generator))
        links += [(user, item) for item in torch.randperm(num_items, generator=generator)[:degree]]
    index = torch.tensor(links).t()
    data = HeteroData()
    data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes = num_users, num_items
    data[edge_type].edge_index = index
    batch = torch.randperm(index.size(1), generator=generator)[:9]

    def layers(num_nodes: int) -> list[Tensor]:
        size = (num_nodes, width)
        return [
            torch.randn(size, generator=generator, dtype=torch.double).to(dtype)
            for _ in range(num_layers + 1)
        ]

    return Toy(data, index[0, batch], index[1, batch], layers(num_users), layers(num_items))
