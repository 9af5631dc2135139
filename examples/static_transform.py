"""Negatives drawn by the loader's workers: RNS and PNS as `transform=`.

python examples/static_transform.py

Samplers that read no embeddings need no model, so they can run ahead in other processes. What
a batch draws depends on the seed, the epoch and its number alone: no two workers repeat each
other, and the result is the same for any number of them.
"""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from pyg_negsamp.candidates import PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import RandomSplit, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.training import LinkLoader
from pyg_negsamp.transforms import PNS, RNS, NegativeSampling


def train(sampler: NegativeSampling, num_workers: int, epochs: int = 30) -> float:
    """Matrix factorisation by hand; returns the test NDCG@20."""
    torch.manual_seed(0)
    users, items = (torch.nn.Embedding(data[name].num_nodes, 16) for name in ("user", "item"))
    optimizer = torch.optim.Adam([users.weight, items.weight], lr=0.05)
    loader = LinkLoader(data, batch_size=128, transform=sampler, num_workers=num_workers)
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            user = users(batch["user"].src_index)
            pos, neg = items(batch["item"].dst_pos_index), items(batch["item"].dst_neg_index)
            margin = (user * pos).sum(-1, keepdim=True) - (user.unsqueeze(1) * neg).sum(-1)
            optimizer.zero_grad()
            softplus(-margin).mean().backward()
            optimizer.step()
    return evaluate({"user": users.weight, "item": items.weight}, test_data)["NDCG@20"]


data, _, test_data = SyntheticInteractions("tiny", split=RandomSplit(0.1, 0.2))


def make_samplers() -> list[NegativeSampling]:
    """Those that read no embeddings."""
    return [
        RNS(UniformCandidates(data), num_negatives=4),
        PNS(PopularityCandidates(data), num_negatives=4),
    ]


if __name__ == "__main__":
    for sampler in make_samplers():
        results = {workers: train(sampler, workers) for workers in (0, 2)}
        assert results[0] == results[2]
        print(f"{type(sampler).__name__}: test NDCG@20 {results[2]:.4f}, with 0 and 2 workers")
