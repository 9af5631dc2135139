"""PyG's own LightGCN as an encoder, links that have weights, and layers whose weights learn."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from small_graph import (
    BATCH_ITEM,
    BATCH_USER,
    NUM_ITEMS,
    NUM_NODES,
    NUM_USERS,
    double_precision,
    graph,
    in_double,
    same,
    seeded,
    weighted,
)
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GCNConv, LGConv
from torch_geometric.nn.models import LightGCN as PyGLightGCN

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.nn import ENCODERS, SGL, LightGCN, SimGCL
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import DNS, MixGCF

ROWS = torch.tensor([0, 3, 3, 7, 2])


def joint(data: HeteroData) -> tuple[Tensor, Tensor | None]:
    """Both directions in PyG's numbering, repetitions as they are, and their weights."""
    user, item = data[EDGE_TYPE].edge_index
    item = item + NUM_USERS
    weight = data[EDGE_TYPE].get("edge_weight")
    index = torch.stack([torch.cat([user, item]), torch.cat([item, user])])
    return index, None if weight is None else torch.cat([weight, weight])


def weighted_graph() -> HeteroData:
    data = graph()
    num = data[EDGE_TYPE].edge_index.size(1)
    weight = torch.rand(num, generator=torch.Generator().manual_seed(1)) * 3
    weight[4] = 0.0
    data[EDGE_TYPE].edge_weight = weight
    return data


def pooled(encoder: LightGCN) -> Tensor:
    return torch.cat([pool_layers(xs, encoder.pool) for xs in encoder().values()])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("data", [graph(), weighted_graph()], ids=["alike", "weighted"])
@pytest.mark.parametrize(
    ("pool", "alpha"),
    [("mean", None), ("mean", [0.1, 0.7, 0.4, 0.0]), ("sum", None), ("final", None)],
)
def test_values_and_gradients_are_pygs(
    data: HeteroData, pool: Pool, alpha: list[float] | None, normalize: bool
) -> None:
    encoder = in_double(LightGCN, data, 5, 3, pool, alpha=alpha, normalize=normalize)
    expected = encoder.model.get_embedding(*joint(data))
    same(pooled(encoder), expected, 1e-6)
    same(encoder.model.get_embedding(*encoder.adjacency.links()), expected, 1e-6)
    tables = encoder.tables()
    users, items = encoder.rows(tables, ROWS, ROWS)
    rows = torch.cat([pool_layers(x.unbind(1), pool) for x in (users, items)])
    theirs = torch.cat([expected[ROWS], expected[ROWS + NUM_USERS]])
    same(rows, theirs, 1e-6)
    coefficients = torch.randn(rows.shape, generator=torch.Generator().manual_seed(2)).double()
    for name, parameter in encoder.named_parameters():
        mine, pygs = (
            torch.autograd.grad((x * coefficients).sum(), parameter, retain_graph=True)
            for x in (rows, theirs)
        )
        assert bool(pygs[0].any()), name
        same(mine, pygs, 1e-6)


def test_taking_a_model_shares_its_weights() -> None:
    model = PyGLightGCN(NUM_NODES, 6, 2, alpha=torch.tensor([0.5, 0.2, 0.9]))
    torchs = torch.get_rng_state()
    encoder = LightGCN.from_pyg(model, graph())
    assert torch.equal(torch.get_rng_state(), torchs)
    assert encoder.model is model
    assert encoder.embedding is model.embedding
    assert [*encoder.state_dict()] == ["embedding.weight", "model.alpha"]
    assert encoder.alpha == pytest.approx([0.5, 0.2, 0.9])
    same(pooled(encoder), model.get_embedding(*joint(graph())), 1e-6)


@pytest.mark.parametrize("sampler", [DNS, MixGCF])
def test_fit_on_pygs_model_is_fit_on_ours_step_for_step(sampler: Any) -> None:
    train_data, val_data, _ = SyntheticInteractions("tiny")
    torch.manual_seed(0)
    ours = LightGCN(train_data, 8, 2)
    model = PyGLightGCN(ours.num_users + ours.num_items, 8, 2)
    model.load_state_dict({**ours.model.state_dict()})
    histories = []
    for encoder in (ours, LightGCN.from_pyg(model, train_data)):
        made = Recommender(encoder, sampler(train_data, num_candidates=4), lr=1e-2)
        found = fit(made, train_data, val_data, epochs=2, batch_size=100, progress=False)
        histories.append([{**epoch, "seconds": 0} for epoch in found.history])
    assert histories[0] == histories[1]
    assert torch.equal(ours.embedding.weight, model.embedding.weight)
    # PyG's own methods, on what was trained.
    edge_index, edge_weight = ours.adjacency.links()
    tables = torch.cat([*ours.scorer().values()])
    out = model.get_embedding(edge_index, edge_weight)
    same(out, tables, 1e-6)
    users = torch.arange(5)
    items = torch.arange(ours.num_users, ours.num_users + ours.num_items)
    best = model.recommend(edge_index, edge_weight, users, items, k=3)
    same(best, (tables[users] @ tables[items].t()).topk(3).indices + ours.num_users)
    assert model.predict_link(edge_index, edge_index[:, :4], edge_weight, prob=True).shape == (4,)
    rank = model(edge_index, edge_index[:, :4], edge_weight)
    assert bool(model.link_pred_loss(rank, torch.ones(4)).isfinite())
    assert bool(model.recommendation_loss(rank[:2], rank[2:], users).isfinite())


def test_an_alpha_that_learns_learns_as_pygs() -> None:
    with double_precision():
        model = PyGLightGCN(NUM_NODES, 5, 2)
        start = model.alpha
        del model.alpha
        model.alpha = torch.nn.Parameter(start.clone())
        encoder = LightGCN.from_pyg(model, graph())
    assert [*encoder.state_dict()] == ["embedding.weight", "model.alpha"]
    users, items = encoder.rows(encoder.tables(), ROWS, ROWS)
    found = (users.mean(1) * items.mean(1)).sum()
    out = model.get_embedding(*joint(graph()))
    expected = (out[ROWS] * out[ROWS + NUM_USERS]).sum()
    same(found, expected, 1e-6)
    parameters = [model.embedding.weight, model.alpha]
    for mine, pygs in zip(
        *(torch.autograd.grad(x, parameters) for x in (found, expected)), strict=True
    ):
        assert bool(pygs.any())
        same(mine, pygs, 1e-6)
    twin = LightGCN.from_pyg(PyGLightGCN(NUM_NODES, 5, 2, alpha=0.7), graph()).double()
    twin.load_state_dict(encoder.state_dict())
    same(twin.model.alpha, model.alpha.data)


def loaded(encoder: LightGCN, alpha: Tensor) -> None:
    learned = LightGCN(graph(), 5, 3)
    learned.model.alpha = torch.nn.Parameter(alpha)
    encoder.load_state_dict(learned.state_dict())


def replaced(encoder: LightGCN, alpha: Tensor) -> None:
    encoder.model.alpha = torch.nn.Parameter(alpha)


def written_to(encoder: LightGCN, alpha: Tensor) -> None:
    encoder.model.alpha.copy_(alpha)


def written_behind_its_back(encoder: LightGCN, alpha: Tensor) -> None:
    encoder.model.alpha.data.copy_(alpha)


@pytest.mark.parametrize("change", [loaded, replaced, written_to, written_behind_its_back])
def test_an_alpha_that_changes_later_counts(change: Any) -> None:
    encoder, twin = LightGCN(graph(), 5, 3), LightGCN(graph(), 5, 3)
    assert encoder.alpha is None
    change(encoder, torch.tensor([0.6, 0.3, 0.1, 0.0]))
    same(pooled(encoder), encoder.model.get_embedding(*joint(graph())), 1e-6)
    assert encoder.alpha == pytest.approx([0.6, 0.3, 0.1, 0.0])
    twin.load_state_dict(encoder.state_dict())
    same(pooled(twin), pooled(encoder))


@pytest.mark.parametrize("alpha", ["usual", "written", "learned"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["lightgcn", "sgl", "simgcl", "xsimgcl"])
def test_gradients_are_slopes_of_the_loss(name: str, training: bool, alpha: str) -> None:
    """Of a whole step with its views, along a line through all parameters."""
    encoder = in_double(ENCODERS[name], graph(), 5, 2).train(training)
    ours = torch.tensor([0.6 if encoder.include_ego else 0.0, -0.3, 0.8], dtype=torch.double)
    if alpha == "written":
        encoder.model.alpha.copy_(ours)
    elif alpha == "learned":
        encoder.model.alpha = torch.nn.Parameter(ours)

    def loss() -> Tensor:
        encoder.start_epoch(seeded(3))
        tables = encoder.tables()
        total = weighted(encoder.rows(tables, BATCH_USER, BATCH_ITEM))
        auxiliary = encoder.auxiliary_loss(tables, BATCH_USER, BATCH_ITEM)
        return total if auxiliary is None else total + auxiliary

    parameters = [*encoder.parameters()]
    assert len(parameters) == 1 + (alpha == "learned")
    line = [torch.randn(x.shape, generator=seeded(4), dtype=x.dtype) for x in parameters]
    if not encoder.include_ego and alpha == "learned":
        line[0 if parameters[0].dim() == 1 else 1][0] = 0  # the layer that is left out
    found = torch.autograd.grad(loss(), parameters)
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            torch._foreach_add_(parameters, line, alpha=step)
        ends.append(loss().item())
    slope = (ends[0] - ends[1]) / 2e-5
    same(sum((x * y).sum() for x, y in zip(found, line, strict=True)).item(), slope, 1e-6)


@pytest.mark.parametrize(
    ("options", "alpha", "expected"),
    [
        ({"pool": "sum"}, torch.full((3,), 0.5), r"\[1.0, 1.0, 1.0\], with pool='sum'"),
        ({"pool": "final"}, torch.nn.Parameter(torch.tensor([0.0, 0, 1])), "with pool='final'"),
        ({"include_ego": False}, torch.tensor([0.2, 0.4, 0.4]), "include_ego=False"),
        ({}, torch.ones(4), r"\[3\], a weight for each layer"),
    ],
)
def test_refuses_a_later_alpha_that_would_not_count(
    options: dict[str, Any], alpha: Tensor, expected: str
) -> None:
    encoder = LightGCN(graph(), 5, 2, **options)
    encoder.model.alpha = alpha
    with pytest.raises(ValueError, match=f"'model.alpha' must be .*{expected}"):
        encoder()


def test_refuses_an_alpha_that_would_not_learn() -> None:
    alpha = torch.nn.Parameter(torch.full((3,), 0.5))
    with pytest.raises(ValueError, match=r"'alpha' must be numbers; to learn them: encoder\.model"):
        LightGCN(graph(), 5, 2, alpha=alpha)
    with pytest.raises(ValueError, match=r"'model' must be one whose alpha is a torch"):
        LightGCN.from_pyg(PyGLightGCN(NUM_NODES, 5, 2, alpha=alpha), graph())


def test_states_of_earlier_versions_load() -> None:
    torch.manual_seed(0)
    encoder, other = LightGCN(graph(), 4), LightGCN(graph(), 4)
    other.load_state_dict({"embedding.weight": encoder.embedding.weight.detach()})
    same(other.model.embedding.weight, encoder.embedding.weight)
    with pytest.raises(RuntimeError, match=r"embedding\.weight"):
        other.load_state_dict({})


@pytest.mark.parametrize("name", list(ENCODERS))
def test_who_does_not_read_weights_says_so(name: str) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        encoder = ENCODERS[name](weighted_graph(), 4)
    texts = [str(warning.message) for warning in said]
    ignored = f"{type(encoder).__name__}: edge_weight of the graph is not read"
    assert texts == ([] if isinstance(encoder, LightGCN) else [ignored])


def test_thinned_views_keep_the_weights() -> None:
    torch.manual_seed(0)
    encoder = SGL(weighted_graph(), 4)
    whole = encoder.thinning.renormalised(torch.ones_like(encoder.thinning.user, dtype=torch.bool))
    same(whole, encoder.adjacency.value, 1e-6)


@pytest.mark.parametrize(
    ("weight", "got"),
    [
        (torch.ones(3), r"Tensor|\[3\]"),
        (torch.full((25,), -1.0), "-1.0"),
        (torch.full((25,), torch.nan), "nan"),
        ("heavy", "heavy"),
    ],
)
def test_refuses_weights_that_are_none(weight: Any, got: str) -> None:
    data = graph()
    num = data[EDGE_TYPE].edge_index.size(1)
    data[EDGE_TYPE].edge_weight = weight[:1].expand(num) if len(weight) == 25 else weight
    with pytest.raises(ValueError, match=f"'edge_weight' must be .*({got})"):
        LightGCN(data)


def changed(**convs: Any) -> PyGLightGCN:
    model = PyGLightGCN(NUM_NODES, 4, 2)
    for at, conv in convs.items():
        model.convs[int(at[1:])] = conv
    return model


@pytest.mark.parametrize(
    ("cls", "model", "expected"),
    [
        (LightGCN, torch.nn.Linear(2, 2), r"a torch_geometric.nn.models.LightGCN \(got"),
        (LightGCN, PyGLightGCN(NUM_NODES + 1, 4, 2), f"{NUM_USERS} users and {NUM_ITEMS} items"),
        (LightGCN, changed(_0=GCNConv(4, 4)), "of LGConv layers"),
        (LightGCN, changed(_1=LGConv(normalize=False)), "of LGConv layers"),
        (SimGCL, PyGLightGCN(NUM_NODES, 4, 2), "LightGCN.from_pyg"),
    ],
)
def test_refuses_what_is_not_that_model(
    cls: type[LightGCN], model: torch.nn.Module, expected: str
) -> None:
    with pytest.raises(ValueError, match=f"'model' must be .*{expected}"):
        cls.from_pyg(model, graph())  # type: ignore[arg-type]
