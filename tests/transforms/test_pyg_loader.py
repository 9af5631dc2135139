"""Samplers on the batches of PyG's own loaders, with the negatives that these draw."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkLoader, LinkNeighborLoader
from torch_geometric.sampler import BaseSampler, HeteroSamplerOutput
from torch_geometric.sampler import NegativeSampling as LoaderNegatives
from torch_geometric.sampler.neighbor_sampler import edge_sample
from torch_geometric.transforms import ToSparseTensor, ToUndirected

from pyg_negsamp.candidates import BatchCandidates, UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import LightGCN
from pyg_negsamp.testing import toy
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import DINS, DNS, RNS, MixGCF


class SeedsOnly(BaseSampler):
    """PyG's triplet batches without neighbours, so without the extension that samples them."""

    edge_permutation = None

    def __init__(self, data: HeteroData) -> None:
        self.data = data

    def sample_from_nodes(self, *_: Any, **__: Any) -> HeteroSamplerOutput:
        raise NotImplementedError

    def sample_from_edges(self, inputs: Any, neg_sampling: Any = None) -> HeteroSamplerOutput:
        def seeds(seed: dict, seed_time: Any = None) -> HeteroSamplerOutput:
            none = {name: torch.empty(0, dtype=torch.long) for name in self.data.edge_types}
            batch = {name: torch.arange(len(ids)) for name, ids in seed.items()}
            return HeteroSamplerOutput(
                node=dict(seed), row=dict(none), col=dict(none), edge=dict(none), batch=batch
            )

        sizes = {name: self.data[name].num_nodes for name in self.data.node_types}
        # Every row has nodes of its own where links have times, as PyG wants it.
        disjoint = inputs.time is not None
        return edge_sample(inputs, seeds, sizes, disjoint, None, neg_sampling)


def loader(amount: int, time: Tensor | None = None) -> LinkLoader:
    data = toy().data
    for name, size in (("user", 7), ("item", 12)):
        data[name].x = torch.randn(size, 5)
    links = data[EDGE_TYPE].edge_index
    data = ToUndirected()(data)
    return LinkLoader(
        data,
        SeedsOnly(data),
        edge_label_index=(EDGE_TYPE, links),
        edge_label_time=time,
        neg_sampling=LoaderNegatives("triplet", amount) if amount else None,
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


# With torch-sparse -------------------------------------------------------------------------------


def neighbours(data: HeteroData, **options: Any) -> HeteroData:
    """The first batch of PyG's neighbour loader."""
    links = toy().data[EDGE_TYPE].edge_index
    return next(
        iter(
            LinkNeighborLoader(
                data,
                num_neighbors=[3, 2],
                edge_label_index=(EDGE_TYPE, links),
                neg_sampling={"mode": "triplet", "amount": 4},
                batch_size=6,
                **options,
            )
        )
    )


def undirected() -> HeteroData:
    """With features, weights and times, and edges in both directions."""
    data = toy().data
    for name, size in (("user", 7), ("item", 12)):
        data[name].x = torch.randn(size, 5)
    data = ToUndirected()(data)
    for store in data.edge_stores:
        store.weight = torch.rand(store.num_edges)
        store.when = torch.arange(store.num_edges)
    return data


#: Options of the loader, and whether they need pyg-lib; a table in docs/from_pyg.md.
OPTIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain": ({}, False),
    "replace": ({"replace": True}, False),
    "bidirectional": ({"subgraph_type": "bidirectional"}, False),
    "disjoint": ({"disjoint": True}, True),
    "weights": ({"weight_attr": "weight"}, True),
    "times": ({"time_attr": "when", "edge_label_time": None}, True),
}


@pytest.mark.skipif(not find_spec("torch_sparse"), reason="needs the extra 'sparse'")
@pytest.mark.parametrize("name", OPTIONS)
def test_loader_options_and_what_they_need(name: str) -> None:
    data = undirected()
    options, needs_pyg_lib = OPTIONS[name]
    if "edge_label_time" in options:
        options = {**options, "edge_label_time": torch.arange(data[EDGE_TYPE].num_edges)}
    if needs_pyg_lib and not find_spec("pyg_lib"):
        with pytest.raises((ImportError, ValueError), match="pyg-lib"):
            neighbours(data, **options)
        return
    out = DNS(data)(batch := neighbours(data, **options), embeddings(batch))
    assert out["item"].dst_neg_xs.shape == (6, 1, 2, 5)


def test_a_loader_over_sparse_tensors() -> None:
    torch_sparse = pytest.importorskip("torch_sparse", exc_type=ImportError)
    data = ToSparseTensor()(undirected())
    assert isinstance(data[EDGE_TYPE].adj_t, torch_sparse.SparseTensor)
    batch = neighbours(data)
    out = DNS(data)(batch, embeddings(batch))
    known = DNS(toy().data).candidates.known  # type: ignore[union-attr]
    user, item = batch["user"].n_id[batch["user"].src_index], batch["item"].n_id
    weight = out["item"].dst_neg_weight[:, 0] > 0
    assert not known.hold(user, item[out["item"].dst_neg_index[:, 0]])[weight].any()


def test_fit_on_sparse_tensors_is_fit_on_links() -> None:
    pytest.importorskip("torch_sparse", exc_type=ImportError)
    found = []
    for convert in (lambda data: data, lambda data: ToSparseTensor()(data.clone())):
        train, val, _ = map(convert, SyntheticInteractions("tiny"))
        torch.manual_seed(0)
        model = Recommender(LightGCN(train, dim=4), DNS(train), lr=0.05)
        found.append(fit(model, train, val, epochs=3, progress=False).best)
    assert found[0] == found[1] > 0


@pytest.mark.parametrize("amount", [8, 0])
def test_times_of_links_come_with_the_batches(amount: int) -> None:
    """In either of the loader's forms; what it draws, it draws of all times."""
    data, K = toy().data, 5
    since = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    links = data[EDGE_TYPE].edge_index
    source = (UniformCandidates if amount else BatchCandidates)(data, time=since)
    useful, early = 0, 0
    for batch in loader(amount, since[links[1]]):
        out, n_id = RNS(source, num_negatives=K)(batch), batch["item"].n_id
        if amount:  # the triplet form
            time = batch["user"].seed_time
            index, weight = out["item"].dst_neg_index, out["item"].dst_neg_weight
            early += int((since[n_id[batch["item"].dst_neg_index]] > time[:, None]).sum())
        else:  # the binary form
            time = batch[EDGE_TYPE].edge_label_time
            index = out[EDGE_TYPE].edge_label_index[1, len(time) :].view(-1, K)
            weight = out[EDGE_TYPE].edge_label_weight[len(time) :].view(-1, K)
        assert (since[n_id[index]] <= time[:, None])[weight > 0].all()
        useful += int((weight > 0).sum())
    assert useful > 0
    assert early > 0 or not amount
