"""Link prediction on a homogeneous graph, with PyG's GCN, in PyG's binary form.

python examples/homogeneous_link_prediction.py

As in PyG's examples/link_pred.py. The sampler appends negatives to `edge_label_index`, labelled 0.
They are no self-loops and no known edges, in either direction (an undirected graph lists both).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import negative_sampling, stochastic_blockmodel_graph
from torchmetrics.functional.classification import binary_auroc

from pyg_negsamp.evaluation import check_leakage
from pyg_negsamp.transforms import DNS

# Twelve communities of twenty-five nodes. The negatives of training are drawn anew in every epoch.
seed_everything(0)
edges = stochastic_blockmodel_graph([25] * 12, torch.full((12, 12), 0.01).fill_diagonal_(0.4))
split = RandomLinkSplit(is_undirected=True, add_negative_train_samples=False)
train_data, val_data, test_data = split(Data(edge_index=edges, num_nodes=300))
check_leakage(train_data, val_data, test_data)
sampler = DNS(train_data, num_candidates=4)


def scores(x: Tensor, links: Tensor) -> Tensor:
    """Dot products of the ends of links."""
    return (x[links[0]] * x[links[1]]).sum(-1)


def with_random(data: Data) -> Data:
    """What PyG's example does by itself: random pairs of nodes that are no edges."""
    pos = data.edge_label_index
    neg = negative_sampling(data.edge_index, data.num_nodes, pos.size(1))
    label = torch.cat([torch.ones(pos.size(1)), torch.zeros(neg.size(1))])
    return Data(edge_label_index=torch.cat([pos, neg], dim=1), edge_label=label)


def train(with_sampler: bool, seed: int, epochs: int) -> float:
    """Trains a GCN; returns the test AUC of the epoch that validates best."""
    seed_everything(seed)
    embedding, gcn = torch.nn.Embedding(300, 32), GCN(32, 32, num_layers=2)
    optimizer = torch.optim.Adam([*embedding.parameters(), *gcn.parameters()], lr=0.01)
    best = [0.0, 0.0]
    for _ in range(epochs):
        x = gcn(embedding.weight, train_data.edge_index)
        batch = sampler(train_data, x) if with_sampler else with_random(train_data)
        loss = binary_cross_entropy_with_logits(scores(x, batch.edge_label_index), batch.edge_label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        aucs = []
        for data in (val_data, test_data):
            x = gcn(embedding.weight, data.edge_index).detach()
            found = scores(x, data.edge_label_index)
            aucs.append(float(binary_auroc(found, data.edge_label.long())))
        best = max(best, aucs)
    return best[1]


def main(epochs: int = 60, seeds: int = 3) -> dict[str, Tensor]:
    """Trains without and with the sampler, and prints both."""
    table = {}
    print(f"test AUC at the best validation of {epochs} epochs, {seeds} seeds")
    for name, with_sampler in (("without: random pairs", False), ("with: DNS", True)):
        table[name] = torch.tensor([train(with_sampler, seed, epochs) for seed in range(seeds)])
        print(f"{name:22} {table[name].mean():.4f} ± {table[name].std(correction=0):.4f}")
    return table


if __name__ == "__main__":
    main()
