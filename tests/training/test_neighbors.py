"""Training on sampled neighbourhoods: rows are those of the whole graph, and draws repeat."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GAT, GCN, GIN, EdgeCNN, GraphSAGE, to_hetero
from torch_geometric.transforms import ToUndirected

from pyg_negsamp.candidates import BatchCandidates, PopularityCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import FromModule, module
from pyg_negsamp.training import FalseNegatives, LinkLoader, NeighborLinkLoader, Recommender, fit
from pyg_negsamp.transforms import (
    ANS,
    DNS,
    IRGAN,
    RNS,
    SRNS,
    ContrastiveDNS,
    MixGCF,
    NegativeSampling,
)

needs_a_library = pytest.mark.skipif(
    not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE),
    reason="needs torch-sparse or pyg-lib",
)
pytestmark = [
    needs_a_library,
    pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without a 'pyg-lib'"),
]
WIDTH, EVERYBODY = 6, [-1, -1]
HOMOGENEOUS, HETERO = "one graph", "dictionaries"


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def encoder_on(data: HeteroData, kind: str = HOMOGENEOUS, **arguments: Any) -> FromModule:
    torch.manual_seed(0)
    if kind == HETERO:
        data = ToUndirected()(data.clone())
        model = to_hetero(GraphSAGE((8, 8), WIDTH, 2), data.metadata())
    else:
        model = GraphSAGE(8, WIDTH, 2)
    return FromModule(model, data, EDGE_TYPE, **{"dim": 8, "num_neighbors": EVERYBODY, **arguments})


def loader_of(
    encoder: FromModule, data: HeteroData, sampler: NegativeSampling, seed: int = 0
) -> NeighborLinkLoader:
    hops = encoder.num_neighbors or EVERYBODY
    links = data[EDGE_TYPE].edge_index
    return NeighborLinkLoader(encoder.graph, links, None, EDGE_TYPE, sampler, hops, 200, seed)


def batches(loader: Any, epoch: int) -> Iterator[HeteroData]:
    loader.sampler.set_epoch(epoch)
    yield from loader


@pytest.mark.parametrize("kind", [HOMOGENEOUS, HETERO])
def test_with_all_neighbours_rows_are_those_of_the_whole_graph(
    kind: str, splits: list[HeteroData]
) -> None:
    data = splits[0]
    encoder = encoder_on(data, kind).eval()
    sampler = DNS(data, num_candidates=3)
    whole = encoder()
    plain = LinkLoader(data, 200)
    for batch, other in zip(loader_of(encoder, data, sampler), plain, strict=True):
        users, items = batch["user"], batch["item"]
        ids = (users.n_id[users.src_index], items.n_id[items.dst_pos_index])
        assert torch.equal(ids[0], other["user"].src_index), "in the order of the plain loader"
        assert torch.equal(ids[1], other["item"].dst_pos_index)
        assert items.dst_neg_index.shape == (len(ids[0]), 3)
        tables = encoder.sampled(batch)
        for name, local in (
            ("user", users.src_index),
            ("item", torch.cat([items.dst_pos_index, items.dst_neg_index.flatten()])),
        ):
            found = tables[name][0][local]
            expected = whole[name][0][batch[name].n_id[local]]
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_candidates_are_the_samplers_own(splits: list[HeteroData]) -> None:
    """Never a known link; drawn by its proposal, here in proportion to popularity."""
    data = splits[0]
    sampler = DNS(PopularityCandidates(data), num_candidates=16)
    encoder = encoder_on(data)
    drawn = torch.zeros(encoder.num_items)
    for epoch in range(8):
        for batch in batches(loader_of(encoder, data, sampler), epoch):
            users, items = batch["user"], batch["item"]
            user = users.n_id[users.src_index].unsqueeze(1)
            item = items.n_id[items.dst_neg_index]
            assert not bool(sampler.candidates.known.hold(user, item).any())
            drawn += torch.bincount(item.flatten(), minlength=encoder.num_items)
    expected = torch.zeros(encoder.num_items, dtype=torch.double)
    every = torch.arange(encoder.num_items)
    for user in data[EDGE_TYPE].edge_index[0].tolist():
        mass = sampler.candidates.log_mass(every).exp()
        mass[sampler.candidates.known.of(torch.tensor([user]))[1]] = 0
        expected += mass / mass.sum()
    expected *= drawn.sum() / expected.sum()
    chi_square = float(((drawn - expected).square() / expected.clamp(min=1e-9)).sum())
    assert chi_square < 2 * encoder.num_items


@pytest.mark.parametrize("hops", [[2, 2], [3]])
def test_batches_depend_on_seed_and_epoch_alone(hops: list[int], splits: list[HeteroData]) -> None:
    data = splits[0]
    encoder = encoder_on(data, num_neighbors=hops)

    def seen(seed: int, epoch: int, noise: int) -> list[Tensor]:
        loader = loader_of(encoder, data, RNS(data, num_candidates=2), seed)
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        found = [
            x
            for batch in batches(loader, epoch)
            for x in (batch["user"].n_id, batch["item"].dst_neg_index, batch[EDGE_TYPE].edge_index)
        ]
        assert torch.equal(torch.get_rng_state(), before)
        return found

    first = seen(0, 0, 1)
    assert all(map(torch.equal, first, seen(0, 0, 2)))
    for other in (seen(1, 0, 1), seen(0, 1, 1)):
        assert not all(
            x.shape == y.shape and torch.equal(x, y) for x, y in zip(first, other, strict=True)
        )


@pytest.mark.parametrize("kind", [HOMOGENEOUS, HETERO])
@pytest.mark.parametrize("sampler", [RNS, DNS, MixGCF, ANS])
def test_fit_learns(kind: str, sampler: Any, splits: list[HeteroData]) -> None:
    encoder = encoder_on(splits[0], kind, num_neighbors=[5, 5])
    own = {"dim": WIDTH} if sampler is ANS else {}
    made = Recommender(encoder, sampler(splits[0], num_candidates=4, **own), lr=2e-2)
    before = [x.detach().clone() for x in made.parameters()]
    false = FalseNegatives(splits[2])
    found = fit(
        made, splits[0], splits[1], epochs=4, batch_size=200, progress=False, callbacks=[false]
    )
    assert found.best > found.history[0]["val/NDCG@20"] or found.best_epoch == 0
    for (name, x), y in zip(made.named_parameters(), before, strict=True):
        # The margin of ANS is too small here for its gradient to be another number than 0.
        assert name == "sampler.margin_map.weight" or not torch.equal(x, y), name


def test_in_batch_candidates_need_no_more_nodes(splits: list[HeteroData]) -> None:
    data = splits[0]
    encoder = encoder_on(data, num_neighbors=[2])
    made = Recommender(encoder, DNS(BatchCandidates(data), num_candidates=8))
    (batch, *_) = loader_of(encoder, data, made.sampler)
    assert "dst_neg_index" not in batch["item"]
    fit(made, data, splits[1], epochs=1, batch_size=200, progress=False)
    positives = set(data[EDGE_TYPE].edge_index[1].tolist())
    assert set(made.chosen.flatten().tolist()) <= positives


def test_a_resumed_run_is_the_uninterrupted_one(splits: list[HeteroData], tmp_path: Path) -> None:
    def run(out: Path, epochs: int, resume: bool = False) -> FromModule:
        encoder = encoder_on(splits[0], num_neighbors=[3, 2])
        torch.manual_seed(epochs)
        made = Recommender(encoder, DNS(splits[0], num_candidates=4), lr=1e-2)
        fit(made, *splits[:2], out, epochs, 200, resume=resume, progress=False, planned=3)
        return encoder

    whole = run(tmp_path / "whole", 3)
    run(tmp_path / "parts", 2)
    resumed = run(tmp_path / "parts", 3, resume=True)
    for x, y in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(x, y)


class UnitSAGE(GraphSAGE):
    """Does more than PyG's `inference` knows of."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # type: ignore[override]
        return torch.nn.functional.normalize(super().forward(x, edge_index), dim=-1)


@pytest.mark.parametrize(
    ("make", "by_layer"),
    [
        (GraphSAGE, True),
        (partial(GAT, v2=True), True),
        (GIN, True),
        (EdgeCNN, True),
        (partial(GraphSAGE, norm="BatchNorm"), True),
        (partial(GraphSAGE, norm="BatchNorm", norm_kwargs={"track_running_stats": False}), False),
        (partial(GraphSAGE, norm="LayerNorm"), False),
        (partial(GIN, norm="GraphNorm"), False),
        (partial(GraphSAGE, norm="PairNorm"), False),
        (partial(GraphSAGE, jk="cat"), False),
        (GCN, False),
        (UnitSAGE, False),
    ],
)
def test_ranking_layer_by_layer_is_one_pass(
    make: Any, by_layer: bool, splits: list[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INFERENCE_BATCH", 50)
    torch.manual_seed(0)
    model = make(8, WIDTH, 2)
    assert module.goes_by_layer(model) == by_layer
    sampled = FromModule(model, splits[0], dim=8, num_neighbors=EVERYBODY)
    found, expected = sampled.settled_tables(), sampled.eval()()
    for name, (x,) in found.items():
        torch.testing.assert_close(x, expected[name][0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampler", [SRNS, ContrastiveDNS, partial(IRGAN, dim=4)])
def test_a_sampler_of_the_whole_graph_is_refused(sampler: Any, splits: list[HeteroData]) -> None:
    encoder = encoder_on(splits[0], num_neighbors=[2])
    with pytest.raises(ValueError, match="Recommender: 'sampler' must be one that knows no more"):
        Recommender(encoder, sampler(splits[0]))


def test_without_the_libraries_it_says_which(
    monkeypatch: pytest.MonkeyPatch, splits: list[HeteroData]
) -> None:
    monkeypatch.setattr(torch_geometric.typing, "WITH_PYG_LIB", False)
    monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SPARSE", False)
    made = Recommender(encoder_on(splits[0]), DNS(splits[0]))
    with pytest.raises(ValueError, match="'num_neighbors' must be left out, unless torch-sparse"):
        fit(made, *splits[:2], epochs=1, progress=False)
