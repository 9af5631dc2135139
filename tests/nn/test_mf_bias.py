"""Matrix factorisation with biases."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
import torch
from small_graph import (
    BATCH_ITEM,
    BATCH_USER,
    NUM_ITEMS,
    NUM_USERS,
    gradients,
    graph,
    in_double,
    same,
    weighted,
)
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.layers import POOLS, gather_rows, pool_layers
from pyg_negsamp.nn import MF
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling


def encoder() -> MF:
    made = in_double(MF, graph(), 5, bias=True)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("method", ["forward", "tables"])
def test_the_score_is_a_product_plus_three_biases(pool: str, method: str) -> None:
    model = encoder()
    x_dict = getattr(model, method)()
    users, items = (pool_layers(x_dict[name], pool) for name in ("user", "item"))
    assert users.shape == (NUM_USERS, model.width)
    assert items.shape == (NUM_ITEMS, model.width)
    ego, bias = model.embedding.weight, model.biases
    for user in range(NUM_USERS):
        for item in range(NUM_ITEMS):
            expected = (
                (ego[user] * ego[NUM_USERS + item]).sum()
                + bias[user]
                + bias[NUM_USERS + item]
                + model.global_bias
            )
            same((users[user] * items[item]).sum().detach(), expected.detach())


@pytest.mark.parametrize("size", [(), (1,)])
def test_rows_equal_autograd_through_forward(size: tuple[int, ...]) -> None:
    """Values, and gradients of embeddings and all biases; ids come repeatedly."""
    model = encoder()
    item = BATCH_ITEM.view(-1, *size)
    tables = model.tables()
    assert not any(x.requires_grad for xs in tables.values() for x in xs)
    rows = model.rows(tables, BATCH_USER, item)
    x_dict = model()
    expected = gather_rows(x_dict["user"], BATCH_USER), gather_rows(x_dict["item"], item)
    same(rows, expected)
    names = [name for name, _ in model.named_parameters()]
    assert set(names) == {"embedding.weight", "biases", "global_bias"}
    ours = gradients(weighted(rows), model.parameters())
    theirs = gradients(weighted(expected), model.parameters())
    for name, x, y in zip(names, ours, theirs, strict=True):
        assert bool((y != 0).any()), name
        same(x, y)


def test_biases_start_at_zero_and_reset_to_it() -> None:
    plain, model = in_double(MF, graph(), 5), in_double(MF, graph(), 5, bias=True)
    score = [x()["user"][0] @ x()["item"][0].t() for x in (plain, model)]
    same(score[0], score[1])
    model = encoder()
    before = model.embedding.weight.detach().clone()
    model.reset_parameters()
    assert not torch.equal(model.embedding.weight, before)
    assert not model.biases.any()
    assert not model.global_bias.any()


def test_without_bias_there_is_none() -> None:
    model = MF(graph(), 5)
    assert list(model.state_dict()) == ["embedding.weight"]
    assert model.width == 5


def has_width(cls: type[NegativeSampling]) -> bool:
    """Whether a sampler learns rows, which are as wide as the encoder's."""
    return "dim" in inspect.signature(cls.__init__).parameters


@pytest.mark.parametrize("neg", ["rns", *filter(lambda neg: has_width(SAMPLERS[neg]), SAMPLERS)])
def test_trains_with_samplers_that_learn_rows(
    splits: list[HeteroData], tmp_path: Path, neg: str
) -> None:
    torch.manual_seed(0)
    model = MF(splits[0], dim=6, bias=True)
    cls = SAMPLERS[neg]
    own = {"dim": model.width} if has_width(cls) else {}
    recommender = Recommender(model, cls(cls.proposal(splits[0]), **own), lr=1e-2, l2=0.0)
    fitted = fit(
        recommender, splits[0], splits[1], tmp_path, epochs=2, batch_size=256, device="cpu"
    )
    assert len(fitted.history) == 2
    assert all(math.isfinite(epoch["loss"]) for epoch in fitted.history)
    of_user, of_item = model.biases[: model.num_users], model.biases[model.num_users :]
    assert float(of_item.detach().abs().mean()) > 1e-3
    if neg == "rns":  # a difference of scores knows nothing of them
        assert not of_user.any()
        assert not model.global_bias.any()
