"""Samplers on the batches of PyG's own loader; needs the extra `sparse`."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import DINS, DNS, RNS, MixGCF

pytest.importorskip("torch_sparse")


def loader(amount: int) -> LinkNeighborLoader:
    data = toy().data
    for name, size in (("user", 7), ("item", 12)):
        data[name].x = torch.randn(size, 5)
    links = data[EDGE_TYPE].edge_index
    return LinkNeighborLoader(
        ToUndirected()(data),
        num_neighbors=[4, 4],
        edge_label_index=(EDGE_TYPE, links),
        neg_sampling={"mode": "triplet", "amount": amount},
        batch_size=6,
    )


def embeddings(batch: HeteroData) -> dict[str, list[torch.Tensor]]:
    return {name: [batch[name].x, batch[name].x + 1] for name in ("user", "item")}


@pytest.mark.parametrize("cls", [RNS, DNS, MixGCF, DINS])
@pytest.mark.parametrize("amount", [1, 8])
def test_chooses_among_what_the_loader_drew(cls: type, amount: int) -> None:
    sampler = cls(num_candidates=amount)
    for batch in loader(amount):
        drawn = batch["item"].dst_neg_index
        out = sampler(batch, embeddings(batch))
        size = len(batch["user"].src_index)
        assert out["item"].dst_neg_xs.shape == (size, 1, 2, 5)
        chosen = out["item"].dst_neg_index.view(size, -1, 1)
        assert (chosen == drawn.view(size, 1, -1)).any(-1).all()
        assert torch.equal(batch["item"].dst_neg_index, drawn)


def test_says_what_to_do_where_the_loader_drew_nothing() -> None:
    sampler = DNS(UniformCandidates(toy().data))
    batch = next(iter(loader(2)))
    del batch["item"].dst_neg_index
    with pytest.raises(ValueError, match="neg_sampling=dict"):
        sampler(batch, embeddings(batch))
