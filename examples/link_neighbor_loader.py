"""DINS on the sampled subgraphs of PyG's LinkNeighborLoader, under a heterogeneous GraphSAGE.

python examples/link_neighbor_loader.py        # needs pip install "pyg_negsamp[sparse]"

The loader draws candidates for every positive, without looking whether they are positives too; the
sampler sorts those out by the batch's global ids (`n_id`). For `disjoint=True`, `time_attr=` and
`weight_attr=` the loader needs pyg-lib, see docs/from_pyg.md; torch-sparse does for the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric import seed_everything
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.nn import GraphSAGE, to_hetero
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import DINS

dataset = SyntheticInteractions(
    "small", num_users=300, num_items=400, num_links=6000, num_tastes=40, num_factors=16
)
train_data, val_data, test_data = dataset
torch.manual_seed(0)
train_data["user"].x = dataset.user_factors + torch.randn(300, 16)  # roughly what they like
train_data["item"].x = dataset.item_factors + torch.randn(400, 16)
data = ToUndirected()(train_data)
sampler = DINS(train_data, beta=2.0)


def train(with_sampler: bool, seed: int, epochs: int) -> float:
    """Trains; returns the test Recall@20 of the epoch that validates best."""
    seed_everything(seed)
    loader = LinkNeighborLoader(
        data,
        num_neighbors=[10, 10],
        edge_label_index=(EDGE_TYPE, data[EDGE_TYPE].edge_index),
        neg_sampling={"mode": "triplet", "amount": 8 if with_sampler else 1},
        batch_size=512,
        shuffle=True,
    )
    model = to_hetero(GraphSAGE(16, 32, num_layers=2), data.metadata())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    best = [0.0, 0.0]
    for _ in range(epochs):
        for batch in loader:
            x_dict = model(batch.x_dict, batch.edge_index_dict)
            if with_sampler:
                batch = sampler(batch, x_dict)
                neg, weight = batch["item"].dst_neg_xs[:, 0, 0], batch["item"].dst_neg_weight[:, 0]
            else:
                neg, weight = x_dict["item"][batch["item"].dst_neg_index], torch.ones(1)
            pos = x_dict["item"][batch["item"].dst_pos_index]
            margin = (x_dict["user"][batch["user"].src_index] * (pos - neg)).sum(-1)
            optimizer.zero_grad()
            (weight * softplus(-margin)).mean().backward()
            optimizer.step()
        x_dict = model(data.x_dict, data.edge_index_dict)
        best = max(best, [evaluate(x_dict, s)["Recall@20"] for s in (val_data, test_data)])
    return best[1]


def main(epochs: int = 30, seeds: int = 3) -> dict[str, Tensor]:
    """Trains without and with the sampler, and prints both."""
    table = {}
    print(f"test Recall@20 at the best validation of {epochs} epochs, {seeds} seeds")
    for name, with_sampler in (("without: random items", False), ("with: DINS", True)):
        table[name] = torch.tensor([train(with_sampler, seed, epochs) for seed in range(seeds)])
        print(f"{name:22} {table[name].mean():.4f} ± {table[name].std(correction=0):.4f}")
    return table


if __name__ == "__main__":
    main()
