"""Negatives out of a pool of your own: what a user was shown, what is in stock, the same category.

python examples/precomputed_pool.py

An item that was shown and left alone says more than one that was never seen.
"""

from __future__ import annotations

import torch

from pyg_negsamp.candidates import Candidates, PoolCandidates, UniformCandidates
from pyg_negsamp.datasets import RandomSplit, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.nn import MF
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import DNS

data, val_data, test_data = SyntheticInteractions("tiny", split=RandomSplit(0.1, 0.2))
num_users, num_items = data["user"].num_nodes, data["item"].num_nodes
generator = torch.Generator().manual_seed(0)


def make_pools() -> dict[str, Candidates]:
    """A pool per user, one for all, and one per item: an edge type and two sparse matrices."""
    # An exposure log, as one would read it from a file: 30 items shown to every user.
    shown = torch.rand(num_users, num_items, generator=generator).topk(30).indices
    user = torch.arange(num_users).repeat_interleave(30)
    data["user", "was_shown", "item"].edge_index = torch.stack([user, shown.flatten()])

    in_stock = (torch.rand(1, num_items, generator=generator) < 0.8).float().to_sparse_csr()
    category = torch.randint(5, (num_items,), generator=generator)
    members = torch.nn.functional.one_hot(category).t().float().to_sparse_csr()
    everybody = torch.zeros(num_users, dtype=torch.long)
    return {
        "any unobserved item": UniformCandidates(data),
        "shown to the user": PoolCandidates(data, ("user", "was_shown", "item")),
        "in stock": PoolCandidates(data, in_stock, row=everybody),
        "of the positive's category": PoolCandidates(data, members, row=category, by="item"),
    }


def train(candidates: Candidates, epochs: int = 20) -> float:
    """Matrix factorisation with DNS out of a pool; returns the test NDCG@20."""
    torch.manual_seed(0)
    model = Recommender(MF(data, dim=16), DNS(candidates, num_candidates=4), lr=0.02)
    fit(model, data, val_data, epochs=epochs, batch_size=128)
    return evaluate(model.scoring_tables(), test_data)["NDCG@20"]


if __name__ == "__main__":
    for name, candidates in make_pools().items():
        print(f"{name}: test NDCG@20 {train(candidates):.4f}\n")
