"""SGL against its oracle on the links that were kept, and what it takes to resume a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from power_cut import PowerCut
from small_graph import (
    BATCH_ITEM,
    BATCH_USER,
    NUM_ITEMS,
    NUM_NODES,
    NUM_USERS,
    dense_adjacency,
    edges,
    gradients,
    graph,
    in_double,
    same,
    seeded,
    stacked,
    weighted,
)
from torch import Tensor
from torch_geometric.data import HeteroData

from oracles import sgl
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.nn import NGCF, SGL, Encoder, LightGCN, SimGCL, XSimGCL
from pyg_negsamp.nn.propagation import propagate
from pyg_negsamp.training import Fitted, Recommender, fit
from pyg_negsamp.transforms import DINS

VIEWS = ["edge", "node", "walk"]
LAYERS, RATE = 3, 0.3
LOSS = {"weight": 0.7, "temperature": 0.4}

Links = list[tuple[int, int]]


def encoder(view: str, rate: float = RATE, **arguments: Any) -> SGL:
    made = in_double(SGL, graph(), 5, LAYERS, view=view, dropout=rate, **LOSS, **arguments)
    made.start_epoch(seeded(6))
    return made


def kept_links(view: str, replay: torch.Generator) -> list[Links]:
    """The links of every layer of a view, from the stream that it was drawn from.

    A link that comes repeatedly is one link, dropped or kept with all its repetitions.
    """
    links = edges(graph())
    distinct = sorted(set(links))
    assert len(distinct) < len(links)
    if view == "node":
        keep = (torch.rand(NUM_NODES, generator=replay) >= RATE).tolist()
        return [sgl.node_dropout(links, keep[:NUM_USERS], keep[NUM_USERS:])] * LAYERS
    layers = []
    for _ in range(LAYERS if view == "walk" else 1):
        keep = (torch.rand(len(distinct), generator=replay) >= RATE).tolist()
        kept = dict(zip(distinct, keep, strict=True))
        layers.append(sgl.edge_dropout(links, [kept[link] for link in links]))
    return layers if view == "walk" else layers * LAYERS


def views_kept(view: str) -> tuple[list[Links], list[Links]]:
    replay = seeded(6)
    return kept_links(view, replay), kept_links(view, replay)


def matrices(model: SGL, view: list[Tensor]) -> list[Tensor]:
    found = [model.adjacency(value) for value in view]
    return found if model.view == "walk" else found * LAYERS


@pytest.mark.parametrize("view", VIEWS)
def test_views_equal_the_oracle(view: str) -> None:
    """Every matrix, with the degrees that are left, and the pooled embeddings it leads to."""
    model = encoder(view)
    assert len(model.views) == 2
    for drawn, kept in zip(model.views, views_kept(view), strict=True):
        assert len(drawn) == (LAYERS if view == "walk" else 1)
        assert all(0 < len(links) < len(edges(graph())) for links in kept)
        for matrix, links in zip(matrices(model, drawn), kept, strict=True):
            same(matrix.to_dense(), dense_adjacency(links))
        ego = model.embedding.weight.detach()
        found = pool_layers(propagate(ego, matrices(model, drawn)), "mean")
        same(found, torch.cat(sgl.view(ego[:NUM_USERS], ego[NUM_USERS:], kept)))


@pytest.mark.parametrize("view", VIEWS)
def test_repeated_links_keep_their_count(view: str) -> None:
    """Over many draws, some of which keep the triple link and some of which do not."""
    model = encoder(view)
    seen = set()
    for seed in range(6):
        model.start_epoch(seeded(seed))
        replay = seeded(seed)
        for drawn in model.views:
            kept = kept_links(view, replay)
            for matrix, links in zip(matrices(model, drawn), kept, strict=True):
                same(matrix.to_dense(), dense_adjacency(links))
                seen |= {links.count((0, 0)), links.count((3, 4))}
    assert seen == {0, 2, 3}


@pytest.mark.parametrize("view", VIEWS)
def test_without_dropout_a_view_is_the_whole_graph(view: str) -> None:
    model = encoder(view, rate=0.0)
    for drawn in model.views:
        for matrix in matrices(model, drawn):
            same(matrix.to_dense(), dense_adjacency(edges(graph())))


@pytest.mark.parametrize("view", VIEWS)
def test_auxiliary_loss_and_its_gradient_equal_the_oracle(view: str) -> None:
    """The oracle multiplies dense matrices, and autograd goes through it."""
    model = encoder(view)
    found = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    ego = model.embedding.weight
    first, second = (sgl.view(ego[:NUM_USERS], ego[NUM_USERS:], kept) for kept in views_kept(view))
    expected = sgl.auxiliary(
        first[0], second[0], first[1], second[1],
        BATCH_USER.tolist(), BATCH_ITEM.tolist(), LOSS["temperature"], LOSS["weight"],
    )  # fmt: skip
    same(found, expected)
    (ours,), (theirs,) = gradients(found, [ego]), gradients(expected, [ego])
    assert bool((theirs != 0).any())
    same(ours, theirs)


@pytest.mark.parametrize("pool", ["sum", "concat", "final"])
@pytest.mark.parametrize("view", VIEWS)
def test_contrasts_what_scores(pool: Pool, view: str) -> None:
    """The pooled embeddings of the views. With `'final'`, nodes without a link there are zero."""
    model = encoder(view, pool=pool)
    found = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    pooled = []
    for kept in views_kept(view):
        xs = [model.embedding.weight]
        for links in kept:
            xs.append(dense_adjacency(links) @ xs[-1])
        x = pool_layers(xs, pool)
        pooled.append((x[:NUM_USERS], x[NUM_USERS:]))
    (a, b), (c, d) = pooled
    expected = sgl.auxiliary(
        a, c, b, d, BATCH_USER.tolist(), BATCH_ITEM.tolist(), LOSS["temperature"], LOSS["weight"]
    )
    same(found, expected)
    same(
        gradients(found, [model.embedding.weight]),
        gradients(expected, [model.embedding.weight]),
    )


@pytest.mark.parametrize("view", VIEWS)
def test_the_same_stream_gives_the_same_views_and_every_epoch_others(view: str) -> None:
    model, twin = encoder(view), encoder(view)
    for mine, others in zip(model.views, twin.views, strict=True):
        assert all(map(torch.equal, mine, others))
    first, second = model.views
    assert not torch.equal(first[0], second[0])
    before = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    same(model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM), before, 0.0)
    model.start_epoch(seeded(7))
    assert not torch.equal(model.views[0][0], first[0])
    assert not torch.equal(model.views[1][0], second[0])
    after = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    assert not torch.isclose(after, before, atol=1e-6)
    if view == "walk":
        assert not torch.equal(model.views[0][0], model.views[0][1])


def test_works_before_the_first_epoch_has_started() -> None:
    model = in_double(SGL, graph(), 5, LAYERS)
    assert not model.views
    loss = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    assert bool(loss.isfinite())
    same(model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM), loss, 0.0)


def test_ranks_on_the_whole_graph() -> None:
    """In training too: tables, rows and their gradients are those of LightGCN."""
    model, peer = encoder("edge"), in_double(LightGCN, graph(), 5, LAYERS)
    same(stacked(model.tables()), stacked(peer.tables()), 0.0)
    item = torch.randint(NUM_ITEMS, (6, LAYERS + 1), generator=seeded(1))
    found, expected = (weighted(x.rows(x.tables(), BATCH_USER, item)) for x in (model, peer))
    same(found, expected, 0.0)
    same(
        gradients(found, [model.embedding.weight]), gradients(expected, [peer.embedding.weight]), 0
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"view": "vertex"}, "view"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"weight": -1.0}, "weight"),
        ({"temperature": 0.0}, "temperature"),
        *(
            ({name: value}, name)
            for name in ("weight", "temperature")
            for value in (torch.nan, torch.inf)
        ),
    ],
)
def test_refuses_bad_arguments(arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^SGL: '{name}'"):
        SGL(graph(), 4, **arguments)


# Resuming ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def train(model: Recommender, splits: list[HeteroData], out: Path, **options: object) -> Fitted:
    return fit(
        model,
        splits[0],
        splits[1],
        out,
        epochs=3,
        batch_size=256,
        patience=50,
        device="cpu",
        diagnostics="none",
        **options,
    )


def last_weights(out: Path) -> Tensor:
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    return state["state_dict"]["encoder.embedding.weight"]


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (SGL, {"view": "walk"}),
        (SimGCL, {}),
        (XSimGCL, {}),
        (NGCF, {"message_dropout": 0.2}),
        (LightGCN, {"edge_dropout": 0.2, "message_dropout": 0.1}),
    ],
)
def test_resume_is_bit_identical(
    splits: list[HeteroData], tmp_path: Path, cls: type[Encoder], arguments: dict
) -> None:
    """What an encoder draws depends on seed and epoch, not on how training got there."""

    def recommender(seed: int) -> Recommender:
        torch.manual_seed(seed)
        network = cls(splits[0], dim=8, **arguments)
        torch.manual_seed(seed + 10)  # the state of torch's own stream is not to matter
        sampler = DINS(UniformCandidates(splits[0]), pool=network.pool)
        return Recommender(network, sampler, lr=1e-2)

    whole = train(recommender(0), splits, tmp_path / "whole")
    cut = recommender(0)
    with pytest.raises(RuntimeError, match="power cut"):
        train(cut, splits, tmp_path / "parts", callbacks=[PowerCut(1)])
    assert not torch.equal(last_weights(tmp_path / "whole"), last_weights(tmp_path / "parts"))
    parts = train(recommender(1), splits, tmp_path / "parts", resume=True)
    assert torch.equal(last_weights(tmp_path / "whole"), last_weights(tmp_path / "parts"))
    for a, b in zip(whole.history, parts.history, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
