"""DINS in somebody else's pipeline: PyG's LinkNeighborLoader and a heterogeneous GraphSAGE.

python examples/link_neighbor_loader.py        # needs pip install "pyg_negsamp[sparse]"

The loader samples neighbourhoods and draws 32 candidates for every positive, without looking
whether they are positives too. The sampler sorts those out through the batch's global ids, and
makes the hardest negative of the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.nn import GraphSAGE, to_hetero
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import RandomSplit, SyntheticInteractions
from pyg_negsamp.evaluation import check_leakage, evaluate
from pyg_negsamp.transforms import DINS

LINKS = ("user", "interacts", "item")


def with_features(data: HeteroData, dim: int = 16) -> HeteroData:
    """Random features for every node, and edges in both directions to pass messages over."""
    generator = torch.Generator().manual_seed(0)
    for name in ("user", "item"):
        data[name].x = torch.randn(data[name].num_nodes, dim, generator=generator)
    return ToUndirected()(data)


def main(epochs: int = 20) -> float:
    """Trains and returns the test NDCG@20."""
    torch.manual_seed(0)
    data, val_data, test_data = SyntheticInteractions("tiny", split=RandomSplit(0.1, 0.2))
    # Which links are known, before the loader numbers nodes anew.
    sampler = DINS(UniformCandidates(data), beta=2.0)
    data = with_features(data)
    check_leakage(data, val_data, test_data)

    loader = LinkNeighborLoader(
        data,
        num_neighbors=[10, 10],
        edge_label_index=(LINKS, data[LINKS].edge_index),
        neg_sampling=dict(mode="triplet", amount=32),
        batch_size=256,
        shuffle=True,
    )
    model = to_hetero(GraphSAGE(16, 32, num_layers=2), data.metadata(), debug=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def embed(batch: HeteroData) -> dict[str, Tensor]:
        return model(batch.x_dict, batch.edge_index_dict)

    for epoch in range(epochs):
        total = 0.0
        for batch in loader:
            x_dict = embed(batch)
            batch = sampler(batch, x_dict)  # the one line: second pass over the loader's own
            user = x_dict["user"][batch["user"].src_index]
            pos = x_dict["item"][batch["item"].dst_pos_index]
            neg = batch["item"].dst_neg_xs[:, 0, 0]  # K = 1, one layer
            # A row whose candidates were all positives has weight 0.
            weight = batch["item"].dst_neg_weight[:, 0]
            loss = (weight * softplus((user * neg).sum(-1) - (user * pos).sum(-1))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}")

    with torch.no_grad():
        x_dict = embed(data)
    result = evaluate(x_dict, test_data)["NDCG@20"]
    print(f"test NDCG@20 {result:.4f}")
    return result


if __name__ == "__main__":
    main()
