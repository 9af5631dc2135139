"""PyG's own LightGCN in a plain loop: hard negatives in the place of random ones, one line changed.

python examples/pyg_lightgcn.py

As in PyG's examples/lightgcn.py the graph is homogeneous, users before items, and the model is
`torch_geometric.nn.LightGCN` with its own loss. The line is the one after `if with_sampler`.
"""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.nn import LightGCN
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import DNS

USERS, ITEMS = 800, 1000
train_data, val_data, test_data = SyntheticInteractions(
    "small", num_users=USERS, num_items=ITEMS, num_links=20_000, num_tastes=100
)
links = train_data[EDGE_TYPE].edge_index + torch.tensor([[0], [USERS]])
data: Data = ToUndirected()(Data(edge_index=links, num_nodes=USERS + ITEMS))
sampler = DNS(UniformCandidates(data, items=range(USERS, USERS + ITEMS)), num_candidates=8)


def train(with_sampler: bool, seed: int, epochs: int) -> float:
    """Trains PyG's LightGCN; returns the test Recall@20 of the epoch that validates best."""
    torch.manual_seed(seed)
    model = LightGCN(USERS + ITEMS, embedding_dim=32, num_layers=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    best = (0.0, 0.0)
    for epoch in range(1, epochs + 1):
        for index in torch.randperm(links.size(1)).split(2048):
            pos = Data(edge_label_index=links[:, index])
            if with_sampler:
                both = sampler(pos, model.get_embedding(data.edge_index)).edge_label_index
            else:
                item = torch.randint(USERS, USERS + ITEMS, index.shape)
                both = torch.cat([links[:, index], torch.stack([links[0, index], item])], dim=1)
            pos_rank, neg_rank = model(data.edge_index, both).chunk(2)
            loss = model.recommendation_loss(pos_rank, neg_rank, node_id=both.unique())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 == 0 or epoch == epochs:
            x = model.get_embedding(data.edge_index).detach()
            tables = {"user": x[:USERS], "item": x[USERS:]}
            val, test = (evaluate(tables, split)["Recall@20"] for split in (val_data, test_data))
            best = max(best, (val, test))
    return best[1]


def main(epochs: int = 40, seeds: int = 3) -> dict[str, torch.Tensor]:
    """Trains without and with the sampler, and prints both."""
    table = {}
    print(f"test Recall@20 at the best validation of {epochs} epochs, {seeds} seeds")
    for name, with_sampler in (("without: random items", False), ("with: DNS", True)):
        table[name] = torch.tensor([train(with_sampler, seed, epochs) for seed in range(seeds)])
        print(f"{name:22} {table[name].mean():.4f} ± {table[name].std(correction=0):.4f}")
    return table


if __name__ == "__main__":
    main()
