"""Link prediction on a homogeneous graph, with a GCN, in PyG's binary form.

python examples/homogeneous_link_prediction.py

The sampler appends negatives to `edge_label_index`, with label 0. Self-loops and known edges, in
either direction (an undirected graph lists both), are never drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import stochastic_blockmodel_graph
from torchmetrics.functional.classification import binary_auroc

from pyg_negsamp.candidates import PopularityCandidates, UniformCandidates
from pyg_negsamp.evaluation import check_leakage
from pyg_negsamp.transforms import DNS, PNS, RNS, NegativeSampling


class GCN(torch.nn.Module):
    """Two graph convolutions over learned embeddings."""

    def __init__(self, num_nodes: int, dim: int = 32) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(num_nodes, dim)
        self.first, self.second = GCNConv(dim, dim), GCNConv(dim, dim)

    def forward(self, edge_index: Tensor) -> Tensor:
        """Embeddings of all nodes."""
        x = self.first(self.embedding.weight, edge_index).relu()
        return self.second(x, edge_index)


def score(x: Tensor, links: Tensor) -> Tensor:
    """Dot products of the ends of links."""
    return (x[links[0]] * x[links[1]]).sum(-1)


def make_data() -> tuple[Data, Data, Data]:
    """Twelve communities of twenty-five nodes, split into train, validation and test."""
    torch.manual_seed(0)
    inside, across = 0.4, 0.01
    probability = torch.full((12, 12), across).fill_diagonal_(inside)
    edge_index = stochastic_blockmodel_graph([25] * 12, probability)
    data = Data(edge_index=edge_index, num_nodes=300)
    # The transform draws the training negatives anew every epoch; RandomLinkSplit draws those of
    # the validation and test links once.
    return RandomLinkSplit(is_undirected=True, add_negative_train_samples=False)(data)


def train(sampler: NegativeSampling, epochs: int = 60) -> float:
    """Trains a GCN with the sampler's negatives; returns the test AUC."""
    torch.manual_seed(0)
    model = GCN(train_data.num_nodes)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(epochs):
        x = model(train_data.edge_index)
        batch = sampler(train_data, x.detach())
        loss = binary_cross_entropy_with_logits(score(x, batch.edge_label_index), batch.edge_label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        x = model(test_data.edge_index)
    return float(binary_auroc(score(x, test_data.edge_label_index), test_data.edge_label.long()))


train_data, val_data, test_data = make_data()
check_leakage(train_data, val_data, test_data)


def make_samplers() -> list[NegativeSampling]:
    """Three that find existing nodes; those that mix new ones have no place in the binary form."""
    uniform = UniformCandidates(train_data)
    return [
        RNS(uniform),
        PNS(PopularityCandidates(train_data)),
        DNS(uniform, num_candidates=4),
    ]


if __name__ == "__main__":
    for sampler in make_samplers():
        print(f"{type(sampler).__name__}: test AUC {train(sampler):.4f}")
