"""What every encoder owes to training, to whoever saves it, and to PyG."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

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
    seeded,
    weighted,
)
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE, to_hetero
from torch_geometric.transforms import ToUndirected
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import gather_rows, pool_layers
from pyg_negsamp.nn import ENCODERS, MF, SGL, Encoder, FromModule, LightGCN, SimGCL, XSimGCL

WIDTH, LAYERS = 4, 3


def graphsage(data: HeteroData, dim: int, edge_type: EdgeType | None = None) -> FromModule:
    """On users and items in one graph."""
    return FromModule(GraphSAGE(dim, WIDTH, 2, dropout=0.2, act="elu"), data, edge_type, dim=dim)


def hetero(data: HeteroData, dim: int, edge_type: EdgeType | None = None) -> FromModule:
    """On dictionaries."""
    data = ToUndirected()(data)
    model = GraphSAGE((dim, dim), WIDTH, 2, dropout=0.2, act="elu")
    return FromModule(to_hetero(model, data.metadata()), data, edge_type, dim=dim)


#: Every encoder as it comes, and some with options on.
CASES: dict[str, tuple[Callable[..., Encoder], dict[str, Any]]] = {
    **{name: (cls, {}) for name, cls in ENCODERS.items()},
    "mf with bias": (MF, {"bias": True}),
    "lightgcn with edge dropout": (LightGCN, {"edge_dropout": 0.2}),
    "lightgcn with message dropout": (LightGCN, {"message_dropout": 0.2, "alpha": 0.1}),
    "lightgcn without ego": (LightGCN, {"include_ego": False}),
    "sgl by nodes": (SGL, {"view": "node"}),
    "sgl by walks": (SGL, {"view": "walk"}),
    "graphsage": (graphsage, {}),
    "graphsage by to_hetero": (hetero, {}),
}
every_case = pytest.mark.parametrize("case", list(CASES))
every_class = pytest.mark.parametrize("cls", list(ENCODERS.values()))


def has_layers(cls: Callable[..., Encoder]) -> bool:
    return "num_layers" in inspect.signature(cls).parameters


def build(case: str, **arguments: Any) -> Encoder:
    """In double precision, drawn from seed 0."""
    cls, options = CASES[case]
    depth = {"num_layers": LAYERS} if has_layers(cls) else {}
    data = graph(arguments.get("edge_type", EDGE_TYPE))
    return in_double(cls, data, **{"dim": WIDTH, **depth, **options, **arguments})


def num_tables(case: str) -> int:
    """`H`: the layers, and the ego layer unless the method leaves it out."""
    cls, options = CASES[case]
    if not has_layers(cls):
        return 1
    ego = cls not in (SimGCL, XSimGCL) and options.get("include_ego", True)
    return LAYERS + ego


def step(encoder: Encoder) -> Tensor:
    """The loss of a training step, from what training calls."""
    device = next(encoder.parameters()).device
    user, item = BATCH_USER.to(device), BATCH_ITEM.to(device)
    tables = encoder.tables()
    users, items = encoder.rows(tables, user, item)
    score = (pool_layers(users.unbind(1), "mean") * pool_layers(items.unbind(1), "mean")).sum(-1)
    loss = torch.nn.functional.softplus(-score).mean()
    auxiliary = encoder.auxiliary_loss(tables, user, item)
    return loss if auxiliary is None else loss + auxiliary


def train_once(encoder: Encoder) -> None:
    """An epoch of one step."""
    encoder.start_epoch(torch.Generator(next(encoder.parameters()).device).manual_seed(3))
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)
    step(encoder).backward()
    optimizer.step()
    optimizer.zero_grad()


def tensors(x_dict: dict) -> list[Tensor]:
    return [x.detach() for xs in x_dict.values() for x in xs]


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_shapes_and_number_of_layers(case: str, training: bool) -> None:
    encoder = build(case).train(training)
    for x_dict in (encoder(), encoder.tables()):
        assert list(x_dict) == ["user", "item"]
        assert [x.shape for x in x_dict["user"]] == [(NUM_USERS, encoder.width)] * num_tables(case)
        assert [x.shape for x in x_dict["item"]] == [(NUM_ITEMS, encoder.width)] * num_tables(case)
    users, items = encoder.rows(encoder.tables(), BATCH_USER, BATCH_ITEM[:5])
    assert users.shape == (6, num_tables(case), encoder.width)
    assert items.shape == (5, num_tables(case), encoder.width)
    assert users.requires_grad
    assert items.requires_grad


@every_case
@pytest.mark.parametrize("training", [False, True])
def test_tables_and_rows_equal_forward_and_autograd(case: str, training: bool) -> None:
    """In values and gradients; in training, with the same dropout and noise."""
    encoder = build(case).train(training)
    H = num_tables(case)
    for item in (BATCH_ITEM, torch.randint(NUM_ITEMS, (9, H), generator=seeded(2))):
        encoder.start_epoch(seeded(4))
        encoder.generator = seeded(5)
        tables = encoder.tables()
        rows = encoder.rows(tables, BATCH_USER, item)
        encoder.generator = seeded(5)
        x_dict = encoder()
        same(tensors(tables), tensors(x_dict))
        expected = gather_rows(x_dict["user"], BATCH_USER), gather_rows(x_dict["item"], item)
        same(rows, expected)
        ours = gradients(weighted(rows), encoder.parameters())
        theirs = gradients(weighted(expected), encoder.parameters())
        for (name, _), x, y in zip(encoder.named_parameters(), ours, theirs, strict=True):
            assert bool((y != 0).any()), name
            same(x, y)


class OnlyRows(LightGCN):
    """Reads rows in a way of its own, and says nothing of all items."""

    rows_and_items = Encoder.rows_and_items


CASES_OF_ITEMS = {**CASES, "only rows": (OnlyRows, {})}


@pytest.mark.parametrize("case", CASES_OF_ITEMS)
@pytest.mark.parametrize("layers", [slice(None), slice(-1, None)], ids=["all", "last"])
def test_all_items_are_the_rows_of_each(
    case: str, layers: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In values and gradients, also where a pooling reads a single layer."""
    monkeypatch.setitem(CASES, case, CASES_OF_ITEMS[case])
    encoder = build(case).train()
    encoder.start_epoch(seeded(4))
    encoder.generator = seeded(5)
    tables = encoder.tables()
    users, items = encoder.rows_and_items(tables, BATCH_USER)
    found = users[:, layers], torch.stack(items, dim=1)[:, layers]
    expected = [x[:, layers] for x in encoder.rows(tables, BATCH_USER, torch.arange(NUM_ITEMS))]
    same(found, tuple(expected))
    ours, theirs = (gradients(weighted(x), encoder.parameters()) for x in (found, expected))
    same(ours, theirs)
    assert any(bool((x != 0).any()) for x in ours)


@every_case
def test_evaluation_is_deterministic_and_draws_nothing(case: str) -> None:
    encoder = build(case)
    train_once(encoder)
    encoder.eval()
    mine, torchs = encoder.generator.get_state(), torch.get_rng_state()
    first = tensors(encoder()) + tensors(encoder.tables())
    rows = encoder.rows(encoder.tables(), BATCH_USER, BATCH_ITEM)
    again = encoder.rows(encoder.tables(), BATCH_USER, BATCH_ITEM)
    for x, y in zip(first, tensors(encoder()) + tensors(encoder.tables()), strict=True):
        assert torch.equal(x, y)
    assert all(map(torch.equal, rows, again))
    assert torch.equal(encoder.generator.get_state(), mine)
    assert torch.equal(torch.get_rng_state(), torchs)


@every_case
def test_training_draws_from_its_generator_alone(case: str) -> None:
    """So that the seed decides, whatever else the program draws."""
    losses = []
    for seed in (1, 1, 2):
        encoder = build(case)
        encoder.start_epoch(seeded(seed))
        torchs = torch.get_rng_state()
        losses.append(step(encoder))
        assert torch.equal(torch.get_rng_state(), torchs)
    assert torch.equal(losses[0], losses[1])
    draws = case not in ("mf", "mf with bias", "lightgcn", "lightgcn without ego")
    assert torch.equal(losses[0], losses[2]) != draws


@every_case
def test_state_goes_from_one_to_another(case: str) -> None:
    encoder, twin = build(case), build(case)
    train_once(encoder)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.normal_()
    encoder.eval()
    twin.eval()
    assert not torch.equal(tensors(encoder())[-1], tensors(twin())[-1])
    state = encoder.state_dict()
    names = {name for name, _ in encoder.named_parameters()}
    assert set(state) - {"model.alpha"} == names, "the graph is no state"
    twin.load_state_dict(state)
    for x, y in zip(tensors(encoder()), tensors(twin()), strict=True):
        assert torch.equal(x, y)


@every_case
@pytest.mark.parametrize("trained", [False, True])
def test_copies_are_equal_and_independent(case: str, trained: bool) -> None:
    """Also in the middle of an epoch: the copy goes on as the original does."""
    encoder = build(case)
    if trained:
        train_once(encoder)
    twin = copy.deepcopy(encoder)
    for x, y in zip(tensors(encoder.eval()()), tensors(twin.eval()()), strict=True):
        assert torch.equal(x, y)
    if trained:
        assert torch.equal(step(encoder.train()), step(twin.train()))
    before = tensors(encoder.eval()())
    train_once(twin.train())
    for x, y in zip(before, tensors(encoder()), strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(tensors(twin.eval()())[-1], before[-1])


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
        ),
    ],
)
def test_precisions_and_devices(case: str, dtype: torch.dtype, device: str) -> None:
    exact = build(case).eval()
    encoder = build(case).to(device, dtype).eval()
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10, torch.bfloat16: 5e-2}[dtype]
    for x, y in zip(tensors(encoder()), tensors(exact()), strict=True):
        assert x.dtype == dtype
        assert x.device.type == device
        same(x.double().cpu(), y, tolerance)
    encoder.train()
    encoder.start_epoch(torch.Generator(device).manual_seed(3))
    loss = step(encoder)
    assert bool(loss.isfinite())
    loss.backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == dtype
        assert bool(parameter.grad.isfinite().all()), name
    assert all(bool(parameter.grad.any()) for parameter in encoder.parameters())


@every_case
def test_other_node_names(case: str) -> None:
    edge_type = ("customer", "buys", "product")
    encoder, other = build(case), build(case, edge_type=edge_type)
    for x_dict in (other(), other.tables()):
        assert list(x_dict) == ["customer", "product"]
    for x, y in zip(tensors(encoder.eval()()), tensors(other.eval()()), strict=True):
        assert torch.equal(x, y)
    losses = []
    for model in (encoder, other):
        model.train()
        model.start_epoch(seeded(3))
        losses.append(step(model))
    assert torch.equal(*losses)


@every_class
@pytest.mark.parametrize(
    ("arguments", "owner", "name"),
    [
        ({"dim": 0}, None, "dim"),
        ({"num_layers": -1}, None, "num_layers"),
        ({"pool": "max"}, None, "pool"),
        ({"edge_type": ("user", "rates", "item")}, "known_links", "edge_type"),
    ],
)
def test_refuses_bad_arguments(
    cls: type[Encoder], arguments: dict, owner: str | None, name: str
) -> None:
    if name == "num_layers" and not has_layers(cls):
        with pytest.raises(TypeError, match="num_layers"):
            cls(graph(), **arguments)
        return
    with pytest.raises(ValueError, match=f"^{owner or cls.__name__}: '{name}' must be .* \\(got"):
        cls(graph(), **arguments)


@every_class
def test_a_seed_decides_the_embeddings(cls: type[Encoder]) -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(cls(graph(), 4).embedding.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
