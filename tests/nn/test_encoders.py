"""Encoders against loops, and against PyG."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn.models import LightGCN as PyGLightGCN

from oracles import lightgcn, pooling
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import POOLS, facing_layers, gather_rows, pool_layers, pool_rows
from pyg_negsamp.nn import MF, Encoder, LightGCN
from pyg_negsamp.references import Popularity

NUM_USERS, NUM_ITEMS = 8, 11


def graph() -> HeteroData:
    """User 7 and item 10 are isolated; link (0, 0) comes twice."""
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = NUM_USERS, NUM_ITEMS
    user = torch.randint(NUM_USERS - 1, (25,), generator=generator)
    item = torch.randint(NUM_ITEMS - 1, (25,), generator=generator)
    links = torch.stack([user, item]).unique(dim=1)
    data[EDGE_TYPE].edge_index = torch.cat([links, torch.tensor([[0, 0], [0, 0]])], dim=1)
    return data


def encoders() -> list[Encoder]:
    torch.manual_seed(0)
    return [MF(graph(), dim=5).double(), LightGCN(graph(), dim=5, num_layers=3).double()]


def test_lightgcn_layers_equal_the_oracle() -> None:
    encoder = encoders()[1]
    x_dict = encoder()
    ego = x_dict["user"][0].detach(), x_dict["item"][0].detach()
    edges = list(map(tuple, graph()[EDGE_TYPE].edge_index.t().tolist()))
    for found, expected in zip(
        (x_dict["user"], x_dict["item"]), lightgcn.propagate(*ego, edges, 3), strict=True
    ):
        assert len(found) == len(expected) == 4
        for x, y in zip(found, expected, strict=True):
            torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-6)  # the matrix is float32


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_lightgcn_equals_pyg_in_values_and_gradients(num_layers: int) -> None:
    data = graph()
    encoder = LightGCN(data, dim=6, num_layers=num_layers)
    peer = PyGLightGCN(NUM_USERS + NUM_ITEMS, 6, num_layers)
    peer.embedding.load_state_dict(encoder.embedding.state_dict())
    user, item = data[EDGE_TYPE].edge_index
    item = item + NUM_USERS
    both_ways = torch.stack([torch.cat([user, item]), torch.cat([item, user])])

    x_dict = encoder()
    ours = torch.cat([pool_layers(x_dict[name], "mean") for name in ("user", "item")])
    theirs = peer.get_embedding(both_ways)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(ours)
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(
        encoder.embedding.weight.grad, peer.embedding.weight.grad, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("per_layer", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_rows_equal_autograd_through_all_layers(which: int, per_layer: bool) -> None:
    """The fused read, with repeated ids, against a gather from `forward`."""
    encoder = encoders()[which]
    user = torch.tensor([0, 3, 3, 7])
    size = (6, encoder.num_layers + 1) if per_layer else (6,)
    item = torch.randint(NUM_ITEMS, size, generator=torch.Generator().manual_seed(1))
    tables = encoder.tables()
    assert not any(x.requires_grad for xs in tables.values() for x in xs)

    def gradient(rows: tuple[Tensor, Tensor]) -> Tensor:
        generator = torch.Generator().manual_seed(2)
        encoder.zero_grad()
        sum(
            (x * torch.randn(x.shape, generator=generator, dtype=x.dtype)).sum() for x in rows
        ).backward()
        return encoder.embedding.weight.grad.clone()

    fast = encoder.rows(tables, user, item)
    slow = Encoder.rows(encoder, encoder(), user, item)
    for x, y in zip(fast, slow, strict=True):
        torch.testing.assert_close(x, y)
    torch.testing.assert_close(gradient(fast), gradient(slow), atol=1e-12, rtol=1e-12)


def test_propagation_passes_gradcheck() -> None:
    encoder = encoders()[1]

    def pooled(weight: Tensor) -> Tensor:
        x_dict = torch.func.functional_call(encoder, {"embedding.weight": weight}, ())
        return torch.cat([pool_layers(x_dict[name], "concat") for name in ("user", "item")])

    weight = encoder.embedding.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(pooled, weight)
    assert torch.autograd.gradgradcheck(pooled, weight)


@pytest.mark.parametrize("which", [0, 1])
def test_copies_saves_and_changes_precision(which: int) -> None:
    encoder = encoders()[which]
    assert {*encoder.state_dict()} - {"model.alpha"} == {"embedding.weight"}
    twin = copy.deepcopy(encoder)
    twin.reset_parameters()
    assert not torch.equal(twin()["user"][0], encoder()["user"][0])
    twin.load_state_dict(encoder.state_dict())
    for x, y in zip(twin()["item"], encoder()["item"], strict=True):
        assert torch.equal(x, y)
    assert encoder.float()()["user"][-1].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("which", [0, 1])
def test_a_batch_adds_up_in_half_precision(which: int, dtype: torch.dtype) -> None:
    """A popular item's gradient is the sum of thousands, of which each alone is hardly a bit."""
    gradients = []
    for encoder in (encoders()[which].to(dtype).double(), encoders()[which].to(dtype)):
        user, item = torch.arange(4096) % NUM_USERS, torch.zeros(4096, dtype=torch.long)
        rows = encoder.rows(encoder.tables(), user, item)
        (pool_rows(rows[0], "mean") * pool_rows(rows[1], "mean")).sum().div(4096).backward()
        gradients.append(encoder.embedding.weight.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 0.02 * gradients[0].norm()


def test_users_and_items_are_initialised_apart() -> None:
    """Xavier's bound depends on the size of the table."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 4000, 40
    data[EDGE_TYPE].edge_index = torch.zeros(2, 1, dtype=torch.long)
    x_dict = MF(data, dim=20)()
    for name, size in (("user", 4000), ("item", 40)):
        bound = (6 / (size + 20)) ** 0.5
        largest = x_dict[name][0].abs().max().item()
        assert 0.95 * bound < largest <= bound


def test_other_node_names() -> None:
    edge_type = ("customer", "buys", "product")
    data = HeteroData()
    data["customer"].num_nodes, data["product"].num_nodes = 3, 4
    data[edge_type].edge_index = torch.tensor([[0, 1], [1, 3]])
    x_dict = LightGCN(data, dim=2, edge_type=edge_type)()
    assert [x.shape for x in x_dict["product"]] == [(4, 2)] * 4


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"dim": 0}, "dim"), ({"num_layers": -1}, "num_layers"), ({"pool": "x"}, "pool")],
)
def test_refuses_bad_arguments(arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"LightGCN: '{name}'"):
        LightGCN(graph(), **arguments)


def test_popularity_ranks_by_links_and_breaks_ties_by_id() -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 3, 5
    data[EDGE_TYPE].edge_index = torch.tensor([[0, 1, 2, 0, 1], [3, 3, 3, 1, 4]])
    scores = Popularity(data)(torch.arange(3))
    assert scores.argsort(dim=1, descending=True).tolist() == [[3, 1, 4, 0, 2]] * 3


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("num_layers", [0, 2])
def test_pooling_equals_the_oracle(pool: str, num_layers: int) -> None:
    xs = [torch.randn(3, 4, dtype=torch.double) for _ in range(num_layers + 1)]
    expected = [pooling.pool_vectors([x[n].tolist() for x in xs], pool) for n in range(3)]
    expected = torch.tensor(expected, dtype=torch.double)
    torch.testing.assert_close(pool_layers(xs, pool), expected)
    torch.testing.assert_close(pool_rows(torch.stack(xs, dim=1), pool), expected)


@pytest.mark.parametrize("pool", POOLS)
def test_the_score_splits_over_the_layers_of_an_item(pool: str) -> None:
    """Which is what makes choosing layer by layer meaningful."""
    user, item = ([torch.randn(1, 4, dtype=torch.double) for _ in range(3)] for _ in range(2))
    score = (pool_layers(user, pool) * pool_layers(item, pool)).sum()
    parts = [(v * x).sum() for v, x in zip(facing_layers(user, pool), item, strict=True)]
    expected = {"mean": sum(parts) / 3, "final": parts[-1]}.get(pool, sum(parts))
    torch.testing.assert_close(score, expected)


def test_gather_rows_reads_one_id_per_layer_or_one_for_all() -> None:
    xs = [torch.arange(6.0).view(3, 2) + 10 * h for h in range(2)]
    assert gather_rows(xs, torch.tensor([2])).tolist() == [[[4, 5], [14, 15]]]
    assert gather_rows(xs, torch.tensor([[2, 0]])).tolist() == [[[4, 5], [10, 11]]]
