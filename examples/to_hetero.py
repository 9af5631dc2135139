"""GraphSAGE over features, made heterogeneous by `to_hetero`; MixGCF mixes each of its layers.

python examples/to_hetero.py

JumpingKnowledge puts the layers side by side, `[N, 3 * D]`. `layers=3` says so, and `pool='concat'`
that a score is the product of whole rows; the sampler needs to be told no more.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric.nn import JumpingKnowledge, SAGEConv, to_hetero
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import MixGCF

dataset = SyntheticInteractions(
    "small", num_users=400, num_items=600, num_links=10_000, num_tastes=60, num_factors=16
)
train_data, val_data, test_data = dataset
user, pos = train_data[EDGE_TYPE].edge_index
data = ToUndirected()(train_data)
# Features of items tell roughly what they are; users have vectors to be learned.
torch.manual_seed(0)
item_x = dataset.item_factors + torch.randn(600, 16)
sampler = MixGCF(train_data, layers=3, pool="concat", num_candidates=8)


class SAGE(torch.nn.Module):
    """The features and two layers over them, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = SAGEConv((16, 16), 16), SAGEConv((16, 16), 16)
        self.join = JumpingKnowledge("cat")

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        first = self.first(x, edge_index).tanh()
        return self.join([x, first, self.second(first, edge_index).tanh()])


def train(with_sampler: bool, seed: int, epochs: int) -> float:
    """Trains in full batches; returns the test Recall@20 of the epoch that validates best."""
    torch.manual_seed(seed)
    users, model = torch.nn.Embedding(400, 16), to_hetero(SAGE(), data.metadata())
    optimizer = torch.optim.Adam([*users.parameters(), *model.parameters()], lr=0.03)
    best = [0.0, 0.0]
    for epoch in range(epochs):
        x_dict = model({"user": users.weight, "item": item_x}, data.edge_index_dict)
        if epoch % 20 == 0:
            best = max(best, [evaluate(x_dict, s)["Recall@20"] for s in (val_data, test_data)])
        if with_sampler:
            neg = sampler.sample(user, pos, x_dict["user"], x_dict["item"]).xs.flatten(1)
        else:
            neg = x_dict["item"][torch.randint(600, pos.shape)]
        margin = (x_dict["user"][user] * (x_dict["item"][pos] - neg)).sum(-1)
        optimizer.zero_grad()
        softplus(-margin).mean().backward()
        optimizer.step()
    return best[1]


def main(epochs: int = 200, seeds: int = 3) -> dict[str, Tensor]:
    """Trains without and with the sampler, and prints both."""
    table = {}
    print(f"test Recall@20 at the best validation of {epochs} epochs, {seeds} seeds")
    for name, with_sampler in (("without: random items", False), ("with: MixGCF", True)):
        table[name] = torch.tensor([train(with_sampler, seed, epochs) for seed in range(seeds)])
        print(f"{name:22} {table[name].mean():.4f} ± {table[name].std(correction=0):.4f}")
    return table


if __name__ == "__main__":
    main()
