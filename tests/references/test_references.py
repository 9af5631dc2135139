"""ItemKNN and EASE against their oracles, and in full ranking."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch
from small_graph import NUM_ITEMS, NUM_USERS, edges, graph, same
from torch import Tensor
from torch_geometric.data import HeteroData

from oracles import ease, neighbours
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.references import EASE, ItemKNN, Popularity, item_knn

EVERYONE = torch.arange(NUM_USERS)


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


# ItemKNN ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [NUM_ITEMS - 1, 100])
@pytest.mark.parametrize("shrink", [0.0, 0.5, 10.0])
def test_item_knn_of_all_neighbours_equals_the_oracle(k: int, shrink: float) -> None:
    """With repeated links, a user without links and an item without links."""
    found = ItemKNN(graph(), k, shrink)(EVERYONE)
    expected = neighbours.item_knn(edges(graph()), NUM_USERS, NUM_ITEMS, NUM_ITEMS - 1, shrink)
    same(found.double(), expected, 1e-6)
    assert bool(found.any())
    assert not found[NUM_USERS - 1].any()
    assert not found[:, NUM_ITEMS - 1].any()


def test_item_knn_of_nothing() -> None:
    empty = HeteroData()
    empty["user"].num_nodes, empty["item"].num_nodes = 2, 0
    empty[EDGE_TYPE].edge_index = torch.zeros(2, 0, dtype=torch.long)
    assert ItemKNN(empty)(torch.arange(2)).shape == (2, 0)


@pytest.mark.parametrize("block_bytes", [item_knn.BLOCK_BYTES, 4 * 80 * 7])
@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("shrink", [0.0, 5.0])
def test_item_knn_equals_the_oracle_where_neighbours_are_unambiguous(
    splits: list[HeteroData], monkeypatch: pytest.MonkeyPatch, k: int, shrink: float,
    block_bytes: int,
) -> None:  # fmt: skip
    """In one block of similarities, and in blocks of seven items."""
    monkeypatch.setattr(item_knn, "BLOCK_BYTES", block_bytes)
    links, num_users, num_items = edges(splits[0]), 60, 80
    found = ItemKNN(splits[0], k, shrink)(torch.arange(num_users))
    expected = neighbours.item_knn(links, num_users, num_items, k, shrink)
    similarity = torch.tensor(neighbours.similarity(links, num_items, shrink)).double()
    best = similarity.sort(dim=1, descending=True).values
    clear = best[:, k - 1] - best[:, k] > 1e-6
    assert int(clear.sum()) > num_items // 2
    same(found[:, clear].double(), expected[:, clear], 1e-5)


def test_item_knn_scores_by_the_neighbours_of_the_scored_item() -> None:
    """Which is not symmetric: item 1 is nearest to item 2, and item 0 to item 1."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 4, 3
    links = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2)]
    data[EDGE_TYPE].edge_index = torch.tensor(links).t()
    scores = ItemKNN(data, k=1)(torch.arange(4))
    near, far = 2 / 6**0.5, 1 / 3**0.5
    same(scores, torch.tensor([[near, near, far]] * 2 + [[near, 0, far], [0, 0, 0]]), 1e-6)


def test_item_knn_of_a_single_item() -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 2, 1
    data[EDGE_TYPE].edge_index = torch.tensor([[0], [0]])
    assert ItemKNN(data)(torch.arange(2)).tolist() == [[0.0], [0.0]]


# EASE -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.5, 10.0, 500.0])
def test_ease_equals_the_oracle(l2: float) -> None:
    """With repeated links, a user without links and an item without links."""
    model = EASE(graph(), l2)
    weight, scores = ease.ease(edges(graph()), NUM_USERS, NUM_ITEMS, l2)
    torch.testing.assert_close(model.weight.double(), weight, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(model(EVERYONE).double(), scores, atol=1e-7, rtol=1e-4)
    assert not model.weight.diagonal().any()
    assert not model(EVERYONE)[NUM_USERS - 1].any()
    assert not model(EVERYONE)[:, NUM_ITEMS - 1].any()


def test_ease_equals_the_oracle_on_more_items(splits: list[HeteroData]) -> None:
    weight, scores = ease.ease(edges(splits[0]), 60, 80, 20.0)
    model = EASE(splits[0], 20.0)
    torch.testing.assert_close(model.weight.double(), weight, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(model(torch.arange(60)).double(), scores, atol=1e-6, rtol=1e-4)


def test_ease_of_more_items_than_a_block_has() -> None:
    """More than 1024, and users who took items on both sides of the bound."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 40, 1100
    taken = torch.rand(40, 1100, generator=torch.Generator().manual_seed(0)) < 0.05
    data[EDGE_TYPE].edge_index = taken.nonzero().t()
    X = taken.double()
    P = torch.linalg.inv(X.t() @ X + 20.0 * torch.eye(1100))
    expected = (-P / P.diagonal()).fill_diagonal_(0)
    torch.testing.assert_close(EASE(data, 20.0).weight.double(), expected, atol=1e-6, rtol=1e-4)


def test_ease_refuses_when_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 3 * 4 * NUM_ITEMS**2
    for available in (needed, needed - 1):
        memory = SimpleNamespace(available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        if available >= needed:
            EASE(graph())
        else:
            with pytest.raises(ValueError, match=f"^EASE: 'data'.* GiB .*{NUM_ITEMS} items.* free"):
                EASE(graph())


# Both -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [ItemKNN, EASE])
def test_scores_the_users_asked_for_in_their_order(cls: type) -> None:
    model = cls(graph())
    whole = model(EVERYONE)
    user = torch.tensor([5, 7, 0, 5])
    same(model(user), whole[user], 1e-6)
    assert model(user[:0]).shape == (0, NUM_ITEMS)


@pytest.mark.parametrize("cls", [ItemKNN, EASE])
@pytest.mark.parametrize("block_size", [None, 7])
def test_evaluates_like_embeddings_with_the_same_scores(
    splits: list[HeteroData], cls: type, block_size: int | None
) -> None:
    model = cls(splits[0])
    found = evaluate(model, splits[2], (5, 20), block_size=block_size)
    embeddings: dict[str, Tensor] = {"user": model(torch.arange(60)), "item": torch.eye(80)}
    assert found == pytest.approx(evaluate(embeddings, splits[2], (5, 20)), abs=1e-6)
    reference = evaluate(Popularity(splits[0]), splits[2], (5, 20))
    assert found["NDCG@20"] > reference["NDCG@20"]


@pytest.mark.parametrize("cls", [ItemKNN, EASE])
def test_a_user_without_links_is_ranked(cls: type) -> None:
    data = graph()
    held_out = torch.tensor([[0, NUM_USERS - 1], [NUM_ITEMS - 1, 3]])
    data[EDGE_TYPE].edge_label_index = held_out
    metrics = evaluate(cls(data), data, (NUM_ITEMS,))
    assert metrics[f"Recall@{NUM_ITEMS}"] == 1.0


@pytest.mark.parametrize("cls", [ItemKNN, EASE])
def test_other_node_names(cls: type) -> None:
    edge_type = ("customer", "buys", "product")
    same(cls(graph(edge_type), edge_type=edge_type)(EVERYONE), cls(graph())(EVERYONE))
    with pytest.raises(ValueError, match="'edge_type'"):
        cls(graph(), edge_type=edge_type)


@pytest.mark.parametrize("cls", [ItemKNN, EASE])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_answers_on_the_device_of_the_users(cls: type, splits: list[HeteroData]) -> None:
    model = cls(splits[0].clone().to("cuda"))
    assert model(torch.arange(60, device="cuda")).device.type == "cuda"
    found = evaluate(model, splits[2].clone().to("cuda"))
    assert found == pytest.approx(evaluate(cls(splits[0]), splits[2]), abs=1e-6)


@pytest.mark.parametrize(
    ("cls", "arguments", "name"),
    [
        (ItemKNN, {"k": 0}, "k"),
        (ItemKNN, {"shrink": -1.0}, "shrink"),
        (EASE, {"l2": 0.0}, "l2"),
        (EASE, {"l2": -1.0}, "l2"),
        *((ItemKNN, {"shrink": value}, "shrink") for value in (torch.nan, torch.inf)),
        *((EASE, {"l2": value}, "l2") for value in (torch.nan, torch.inf, 1e-200, 1e-8, 1e300)),
    ],
)
def test_refuses_bad_arguments(cls: type, arguments: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{cls.__name__}: '{name}'"):
        cls(graph(), **arguments)


# What a saved model asks of them ---------------------------------------------------------------

ALL = [ItemKNN, EASE, Popularity]


@pytest.mark.parametrize("cls", ALL)
def test_folding_in_is_exactly_what_the_user_had(splits: list[HeteroData], cls: type) -> None:
    """Somebody it has never met is scored as a user who took the same; repeats count once."""
    model, (user, item) = cls(splits[0]), splits[0][EDGE_TYPE].edge_index
    scores = model.fold_in(user, item, 60)
    assert torch.equal(scores, model(torch.arange(60)))
    twice = model.fold_in(torch.cat([user, user]), torch.cat([item, item]), 60)
    assert torch.equal(scores, twice)


@pytest.mark.parametrize("cls", ALL)
def test_restored_from_its_tensors(splits: list[HeteroData], cls: type) -> None:
    model = cls(splits[0])
    again = cls.restored(model.seen, model.tensors())
    everyone, items = torch.arange(60), torch.arange(80)
    assert torch.equal(model(everyone), again(everyone))
    assert torch.equal(model.similar(items), again.similar(items))
    assert all(x.layout == torch.strided for x in model.tensors().values())


@pytest.mark.parametrize("shrink", [0.0, 5.0])
def test_item_knn_finds_similar_items_by_the_oracles_similarities(
    splits: list[HeteroData], shrink: float
) -> None:
    found = ItemKNN(splits[0], 79, shrink).similar(torch.arange(80))
    expected = torch.tensor(neighbours.similarity(edges(splits[0]), 80, shrink))
    expected = expected.masked_fill(expected == 0, -torch.inf)
    same(found.double(), expected.double(), 1e-6)


def test_ease_finds_similar_items_by_its_weights(splits: list[HeteroData]) -> None:
    """Which are the scores of somebody who took that item alone."""
    model, items = EASE(splits[0], 20.0), torch.arange(80)
    found, alone = model.similar(items), model.fold_in(items, items, 80)
    listed = found > -torch.inf
    same(found[listed], alone[listed])
    assert not listed.diagonal().any()
    assert not alone[~listed].any()


def test_popularity_knows_nothing_of_similarity_but_its_list() -> None:
    model = Popularity(graph())
    found = model.similar(torch.tensor([4, 0]))
    assert found[0, 4] == found[1, 0] == -torch.inf
    assert found[0, 0] == model.rank[0]
