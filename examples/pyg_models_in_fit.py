"""PyG's models trained by `fit`: early stopping, full ranking, and hard negatives by one word.

python examples/pyg_models_in_fit.py

LightGCN is taken as it is; GraphSAGE is any module from `(x, edge_index)`, here on learned rows. It
scores by products, or by an MLP. That gets fewer candidates: the hardest of 8, under a decoder that
knows nothing yet, teach it nothing (.08).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.models import LightGCN as PyGLightGCN

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.nn import Encoder, FromModule, LightGCN
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import DNS, RNS, NegativeSampling

USERS, ITEMS = 400, 500
train_data, val_data, test_data = SyntheticInteractions(
    "small", num_users=USERS, num_items=ITEMS, num_links=10_000, num_tastes=50
)


class Decoder(torch.nn.Module):
    """An MLP from rows of users `[B, D]` and items `[B, K, D]` to scores `[B, K]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(width, width), torch.nn.Linear(width, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Looks at the products of the rows, entry by entry."""
        return self.outer(self.inner(user.unsqueeze(1) * item).relu()).squeeze(2)


def graphsage(decoder: torch.nn.Module | None = None) -> Encoder:
    """PyG's GraphSAGE, with a table of rows to learn from."""
    return FromModule(GraphSAGE(-1, 32, num_layers=2), train_data, dim=32, decoder=decoder)


#: Models, and of how many candidates DNS takes the hardest.
MODELS: dict[str, tuple[Callable[[], Encoder], int]] = {
    "LightGCN": (lambda: LightGCN.from_pyg(PyGLightGCN(USERS + ITEMS, 32, 2), train_data), 8),
    "GraphSAGE": (graphsage, 8),
    "GraphSAGE and an MLP": (lambda: graphsage(Decoder(32)), 3),
}


def train(make: Callable[[], Encoder], sampler: NegativeSampling, seed: int, epochs: int) -> float:
    """Trains a model; returns the test Recall@20 of the weights that validate best."""
    torch.manual_seed(seed)
    recommender = Recommender(make(), sampler, lr=0.01, seed=seed)
    fit(recommender, train_data, val_data, epochs=epochs, patience=5, progress=False)
    return evaluate(recommender, test_data)["Recall@20"]


def main(epochs: int = 40, seeds: int = 3) -> dict[str, Tensor]:
    """Trains every model without and with hard negatives, and prints both."""
    table = {}
    print(f"test Recall@20 at the best validation of {epochs} epochs, {seeds} seeds")
    for name, (make, M) in MODELS.items():
        samplers = {"without: RNS": RNS(train_data), "with: DNS": DNS(train_data, num_candidates=M)}
        for label, sampler in samplers.items():
            found = torch.tensor([train(make, sampler, seed, epochs) for seed in range(seeds)])
            print(f"{name:20} {label:12} {found.mean():.4f} ± {found.std(correction=0):.4f}")
            table[f"{name} {label}"] = found
    return table


if __name__ == "__main__":
    main()
