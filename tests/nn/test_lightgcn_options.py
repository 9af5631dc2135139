"""What LightGCN can do besides: dropout, layers left out, weights of layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_graph import (
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
from torch_geometric.nn.models import LightGCN as PyGLightGCN

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import pool_layers
from pyg_negsamp.nn import LightGCN
from pyg_negsamp.nn.lightgcn import Drawn

WIDTH, LAYERS, RATE = 5, 3, 0.3


def encoder(**arguments: Any) -> LightGCN:
    made = in_double(LightGCN, graph(), WIDTH, **{"num_layers": LAYERS, **arguments})
    made.start_epoch(seeded(6))
    return made


def dropped_matrix(replay: torch.Generator) -> Tensor:
    """Dense: what is left of the adjacency, links in order of user and item."""
    matrix = dense_adjacency(edges(graph())) / (1 - RATE)
    links = sorted(set(edges(graph())))
    for (user, item), draw in zip(links, torch.rand(len(links), generator=replay), strict=True):
        if draw < RATE:
            matrix[user, NUM_USERS + item] = matrix[NUM_USERS + item, user] = 0
    return matrix


def message_masks(replay: torch.Generator) -> list[Tensor]:
    kept = [torch.rand(NUM_NODES, WIDTH, generator=replay) >= RATE for _ in range(LAYERS)]
    return [(mask / (1 - RATE)).double() for mask in kept]


def dense_layers(x: Tensor, matrix: Tensor, masks: list[Tensor] | None = None) -> list[Tensor]:
    xs = [x]
    for h in range(LAYERS):
        x = matrix @ xs[-1]
        xs.append(x if masks is None else x * masks[h])
    return xs


def read(xs: list[Tensor], item: Tensor) -> list[Tensor]:
    """Rows of the batch's users, and of items, with an id per layer."""
    users = torch.stack([x[BATCH_USER] for x in xs], dim=1)
    items = torch.stack([x[NUM_USERS + item[:, h]] for h, x in enumerate(xs)], dim=1)
    return [users, items]


def some_items(num_layers: int) -> Tensor:
    return torch.randint(NUM_ITEMS, (9, num_layers), generator=seeded(8))


def drawn(model: LightGCN) -> Tensor:
    """The entries that tables come from, another time."""
    tables = model.tables()
    assert isinstance(tables, Drawn)
    assert tables.entries is not None
    return tables.entries


# Edge dropout -----------------------------------------------------------------------------------


def test_edge_dropout_drops_both_directions_and_rescales_the_others() -> None:
    model = encoder(edge_dropout=RATE)
    found = model.adjacency(drawn(model)).to_dense()
    whole = dense_adjacency(edges(graph()))
    assert torch.equal(found, found.t())
    dropped = (found == 0) & (whole != 0)
    assert 0 < int(dropped.sum()) < int((whole != 0).sum())
    same(found[~dropped], whole[~dropped] / (1 - RATE))
    same(found, dropped_matrix(seeded(6)))


def test_edge_dropout_leaves_the_matrix_as_it_was_in_expectation() -> None:
    model = encoder(edge_dropout=RATE)
    num_draws = 3000
    total = torch.zeros_like(model.adjacency.value)
    for _ in range(num_draws):
        total += drawn(model)
    deviation = (RATE / (1 - RATE) / num_draws) ** 0.5  # of the mean of an entry that is one
    ratio = total / num_draws / model.adjacency.value
    assert bool((ratio - 1).abs().max() < 5 * deviation)
    assert bool((ratio - 1).abs().max() > deviation)  # links are dropped one by one


def test_edge_dropout_draws_for_every_step_and_not_in_evaluation() -> None:
    model = encoder(edge_dropout=RATE)
    first, second = (stacked(model.tables())[1] for _ in range(2))
    assert not torch.equal(first, second)
    state = model.generator.get_state()
    whole = dense_layers(model.embedding.weight.detach(), dense_adjacency(edges(graph())))
    model.eval()
    for x_dict in (model.tables(), model()):
        same([x.detach() for x in stacked(x_dict)], whole)
    assert torch.equal(model.generator.get_state(), state)


@pytest.mark.parametrize("evaluated", ["before", "between", "not"])
def test_rows_see_the_links_that_tables_saw(evaluated: str) -> None:
    """Values and gradients of a step against autograd through the same dropped matrix."""
    model = encoder(edge_dropout=RATE)
    if evaluated == "before":  # as once per epoch
        model.settled_tables()
    tables = model.tables()
    if evaluated == "between":
        model.settled_tables()
    item = some_items(LAYERS + 1)
    rows = model.rows(tables, BATCH_USER, item)
    xs = dense_layers(model.embedding.weight, dropped_matrix(seeded(6)))
    same(stacked(tables), [x.detach() for x in xs])
    expected = read(xs, item)
    same(list(rows), expected)
    same(
        gradients(weighted(rows), [model.embedding.weight]),
        gradients(weighted(expected), [model.embedding.weight]),
    )

    model.start_epoch(seeded(6))
    x_dict = model()  # the same links, through `forward`
    same(stacked(x_dict), xs)
    same(
        gradients(weighted(stacked(x_dict)), [model.embedding.weight]),
        gradients(weighted(xs), [model.embedding.weight]),
    )


# Message dropout --------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_dropout", [0.0, RATE])
def test_message_dropout_equals_masks_on_dense_layers(edge_dropout: float) -> None:
    """Values and gradients, alone and with edge dropout, whose links are drawn first."""
    model = encoder(message_dropout=RATE, edge_dropout=edge_dropout)
    tables = model.tables()
    item = some_items(LAYERS + 1)
    rows = model.rows(tables, BATCH_USER, item)

    replay = seeded(6)
    matrix = dropped_matrix(replay) if edge_dropout else dense_adjacency(edges(graph()))
    xs = dense_layers(model.embedding.weight, matrix, message_masks(replay))
    same(stacked(tables), xs, 1e-6)  # the masks are single precision
    expected = read(xs, item)
    same(list(rows), expected, 1e-6)
    same(
        gradients(weighted(rows), [model.embedding.weight]),
        gradients(weighted(expected), [model.embedding.weight]),
        1e-6,
    )
    assert torch.equal(stacked(tables)[0], model.embedding.weight), "the ego layer is no message"


def test_message_dropout_is_for_training_only() -> None:
    model = encoder(message_dropout=RATE).eval()
    state = model.generator.get_state()
    tables = model.tables()
    assert not any(x.requires_grad for xs in tables.values() for x in xs)
    whole = dense_layers(model.embedding.weight, dense_adjacency(edges(graph())))
    same(stacked(tables), [x.detach() for x in whole])
    assert torch.equal(model.generator.get_state(), state)
    item = some_items(LAYERS + 1)
    found, expected = model.rows(tables, BATCH_USER, item), read(whole, item)
    same(
        gradients(weighted(found), [model.embedding.weight]),
        gradients(weighted(expected), [model.embedding.weight]),
    )


# Layers and their weights -----------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("alpha", [None, "given"])
def test_without_the_ego_layer(num_layers: int, alpha: str | None) -> None:
    weights = None if alpha is None else [0.5, -1.0, 2.0][:num_layers]
    model = encoder(num_layers=num_layers, include_ego=False, alpha=weights)
    tables = model.tables()
    assert len(tables["user"]) == len(tables["item"]) == num_layers
    x, matrix = model.embedding.weight, dense_adjacency(edges(graph()))
    xs = []
    for h in range(num_layers):
        x = matrix @ x
        xs.append(x if weights is None else x * weights[h] * num_layers)
    same(stacked(tables), [x.detach() for x in xs])
    item = some_items(num_layers)
    rows, expected = model.rows(tables, BATCH_USER, item), read(xs, item)
    same(list(rows), expected)
    for found, wanted in ((rows, expected), (stacked(model()), xs)):
        same(
            gradients(weighted(found), [model.embedding.weight]),
            gradients(weighted(wanted), [model.embedding.weight]),
        )


@pytest.mark.parametrize(
    "alpha", [None, 1, 0.3, [0.1, 0.2, 0.3, 0.4], torch.tensor([1.0, 0.0, -0.5, 2.0])]
)
def test_alpha_means_what_it_means_in_pyg(alpha: Any) -> None:
    """Values, and gradients through `forward` and through `rows`."""
    model = encoder(alpha=alpha)
    theirs = torch.tensor(alpha).double() if isinstance(alpha, list) else alpha
    peer = in_double(PyGLightGCN, NUM_NODES, WIDTH, LAYERS, theirs)
    peer.embedding.load_state_dict(model.embedding.state_dict())
    user, item = graph()[EDGE_TYPE].edge_index
    item = item + NUM_USERS
    both_ways = torch.stack([torch.cat([user, item]), torch.cat([item, user])])
    expected = peer.get_embedding(both_ways)
    wanted = gradients(weighted([expected]), [peer.embedding.weight])

    found = pool_layers(stacked(model()), "mean")
    tolerance = 1e-6  # PyG's own weights are single precision
    same(found, expected, tolerance)
    same(gradients(weighted([found]), [model.embedding.weight]), wanted, tolerance)

    everyone = torch.arange(NUM_USERS), torch.arange(NUM_ITEMS)
    rows = torch.cat(model.rows(model.tables(), *everyone)).mean(dim=1)
    same(rows, expected, tolerance)
    same(gradients(weighted([rows]), [model.embedding.weight]), wanted, tolerance)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"edge_dropout": 1.0}, "edge_dropout"),
        ({"edge_dropout": -0.1}, "edge_dropout"),
        ({"edge_dropout": float("nan")}, "edge_dropout"),
        ({"message_dropout": 1.0}, "message_dropout"),
        ({"message_dropout": -0.1}, "message_dropout"),
        ({"num_layers": 0, "include_ego": False}, "num_layers"),
        ({"alpha": [0.5] * 3}, "alpha"),
        ({"alpha": torch.ones(5)}, "alpha"),
        ({"alpha": [0.5] * 4, "include_ego": False}, "alpha"),
        ({"alpha": 0.5, "pool": "sum"}, "alpha"),
    ],
)
def test_refuses_bad_arguments(arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^LightGCN: '{name}'"):
        LightGCN(graph(), **arguments)
