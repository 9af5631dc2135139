"""SimGCL and XSimGCL against their oracles, with the noise drawn again."""

from __future__ import annotations

import pytest
import torch
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

from oracles import simgcl
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.nn import SimGCL, XSimGCL

WIDTH, LAYERS, EPSILON = 5, 3, 0.3
LOSS = {"weight": 0.7, "temperature": 0.4}


def encoder(cls: type[SimGCL], **arguments: object) -> SimGCL:
    made = in_double(cls, graph(), WIDTH, LAYERS, epsilon=EPSILON, **LOSS, **arguments)
    made.start_epoch(seeded(6))
    return made


def noise(replay: torch.Generator) -> list[Tensor]:
    """What one pass draws, a layer after the other."""
    size = (NUM_NODES, WIDTH)
    return [torch.rand(size, dtype=torch.double, generator=replay) for _ in range(LAYERS)]


def layers(model: SimGCL, uniforms: list[Tensor] | None) -> list[Tensor]:
    return simgcl.layers(
        model.embedding.weight, dense_adjacency(edges(graph())), LAYERS, uniforms, EPSILON
    )


def batch() -> tuple[list[int], list[int]]:
    return BATCH_USER.tolist(), BATCH_ITEM.tolist()


def test_noisy_layers_equal_the_oracle() -> None:
    model = encoder(XSimGCL)
    found = stacked(model.tables())
    expected = layers(model, noise(seeded(6)))
    assert len(found) == len(expected) == LAYERS
    for x, y in zip(found, expected, strict=True):
        same(x, y.detach())
    model.start_epoch(seeded(6))
    for x, y in zip(stacked(model()), expected, strict=True):  # `forward` is as noisy
        same(x.detach(), y.detach())
    same(
        gradients(weighted(stacked(model())), [model.embedding.weight]),
        gradients(weighted(expected), [model.embedding.weight]),
    )


@pytest.mark.parametrize("cls", [SimGCL, XSimGCL])
def test_ranks_without_noise_and_without_the_ego_layer(cls: type[SimGCL]) -> None:
    model = encoder(cls).eval()
    state = model.generator.get_state()
    for tables in (model.tables(), model()):
        assert len(tables["user"]) == LAYERS
        for x, y in zip(stacked(tables), layers(model, None), strict=True):
            same(x.detach(), y.detach())
    assert torch.equal(model.generator.get_state(), state)


def test_simgcl_scores_without_noise_in_training_too() -> None:
    model = encoder(SimGCL)
    assert model.training
    for tables in (model.tables(), model()):
        for x, y in zip(stacked(tables), layers(model, None), strict=True):
            same(x.detach(), y.detach())


def test_noise_has_length_epsilon_and_stays_in_the_orthant() -> None:
    """But for isolated nodes, whose vector is zero and has no orthant."""
    model = encoder(XSimGCL)
    isolated = [NUM_USERS - 1, NUM_NODES - 1]
    matrix = dense_adjacency(edges(graph()))
    below = model.embedding.weight.detach()
    for x in stacked(model.tables()):
        clean = matrix @ below
        length = (x - clean).norm(dim=1)
        expected = torch.full_like(length, EPSILON)
        expected[isolated] = 0
        same(length, expected)
        assert torch.equal(x.sign(), clean.sign())
        below = x  # the next layer reads the shifted one


def test_simgcl_auxiliary_loss_equals_the_oracle() -> None:
    model = encoder(SimGCL)
    found = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    replay = seeded(6)
    expected = simgcl.simgcl_auxiliary(
        model.embedding.weight,
        dense_adjacency(edges(graph())),
        NUM_USERS,
        LAYERS,
        noise(replay),
        noise(replay),
        EPSILON,
        *batch(),
        LOSS["temperature"],
        LOSS["weight"],
    )
    same(found, expected)
    again = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    assert not torch.isclose(found, again, atol=1e-6), "noise is to be drawn anew"


@pytest.mark.parametrize("contrast_layer", [1, 2, 3])
def test_xsimgcl_auxiliary_loss_equals_the_oracle(contrast_layer: int) -> None:
    model = encoder(XSimGCL, contrast_layer=contrast_layer)
    found = model.auxiliary_loss(model.tables(), BATCH_USER, BATCH_ITEM)
    expected = simgcl.xsimgcl_auxiliary(
        model.embedding.weight,
        dense_adjacency(edges(graph())),
        NUM_USERS,
        LAYERS,
        noise(seeded(6)),
        EPSILON,
        contrast_layer,
        *batch(),
        LOSS["temperature"],
        LOSS["weight"],
    )
    same(found, expected)


def dense(model: SimGCL, pool: Pool) -> tuple[list[Tensor], Tensor]:
    """The layers that score and the auxiliary loss, by dense products and autograd."""
    replay = seeded(6)
    passes = [layers(model, noise(replay)) for _ in range(2)]
    if isinstance(model, XSimGCL):
        scored = passes[0]
        views = pool_layers(scored, pool), scored[model.contrast_layer - 1]
    else:
        scored = layers(model, None)
        views = pool_layers(passes[0], pool), pool_layers(passes[1], pool)
    loss = simgcl.batch_loss(*views, NUM_USERS, *batch(), LOSS["temperature"])
    return scored, LOSS["weight"] * loss


@pytest.mark.parametrize(
    ("cls", "pool"),
    [(SimGCL, "mean"), (SimGCL, "concat"), (SimGCL, "final"), (XSimGCL, "mean"), (XSimGCL, "sum")],
)
@pytest.mark.parametrize("per_layer", [False, True])
def test_gradients_of_a_step_equal_dense_autograd(
    cls: type[SimGCL], pool: Pool, per_layer: bool
) -> None:
    """Of the rows that the ranking loss reads and of the auxiliary loss, apart and together."""
    model = encoder(cls, pool=pool)
    size = (6, LAYERS) if per_layer else (6,)
    item = torch.randint(NUM_ITEMS, size, generator=seeded(8))
    tables = model.tables()
    rows = model.rows(tables, BATCH_USER, item)
    auxiliary = model.auxiliary_loss(tables, BATCH_USER, BATCH_ITEM)

    scored, expected_auxiliary = dense(model, pool)
    users = torch.stack([x[BATCH_USER] for x in scored], dim=1)
    ids = item if per_layer else item.unsqueeze(1).expand(-1, LAYERS)
    items = torch.stack([x[NUM_USERS + ids[:, h]] for h, x in enumerate(scored)], dim=1)
    for found, expected in (
        (weighted(rows), weighted([users, items])),
        (auxiliary, expected_auxiliary),
        (weighted(rows) + auxiliary, weighted([users, items]) + expected_auxiliary),
    ):
        same(found, expected)
        (ours,) = gradients(found, [model.embedding.weight])
        (theirs,) = gradients(expected, [model.embedding.weight])
        assert bool((theirs != 0).any())
        same(ours, theirs)


@pytest.mark.parametrize(
    ("cls", "arguments", "name"),
    [
        (SimGCL, {"epsilon": -0.1}, "epsilon"),
        (SimGCL, {"weight": -1.0}, "weight"),
        (SimGCL, {"temperature": 0.0}, "temperature"),
        *(
            (SimGCL, {name: value}, name)
            for name in ("epsilon", "weight", "temperature")
            for value in (torch.nan, torch.inf)
        ),
        (SimGCL, {"num_layers": 0}, "num_layers"),
        (XSimGCL, {"epsilon": -0.1}, "epsilon"),
        (XSimGCL, {"pool": "concat"}, "pool"),
        (XSimGCL, {"contrast_layer": 0}, "contrast_layer"),
        (XSimGCL, {"contrast_layer": 4}, "contrast_layer"),
    ],
)
def test_refuses_bad_arguments(cls: type[SimGCL], arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{cls.__name__}: '{name}'"):
        cls(graph(), 4, **{"num_layers": 3, **arguments})
