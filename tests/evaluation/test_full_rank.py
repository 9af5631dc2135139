"""Full ranking against a loop over users."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn.models import LightGCN

from oracles import ranking
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import (
    ACCURACY,
    PER_USER,
    evaluate,
    evaluate_sampled,
    evaluate_users,
    full_rank,
    rank,
)
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import POOLS


def problem(seed: int = 0) -> tuple[dict, HeteroData]:
    """20 users, 15 items; some users have nothing held out, one has seen all but its held-out."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(20, 15, generator=generator) < 0.3
    held_out = (torch.rand(20, 15, generator=generator) < 0.2) & ~known
    held_out[[2, 9]] = False
    known[4] = True
    known[4, 6:8] = False
    held_out[4] = ~known[4]
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 20, 15
    data[EDGE_TYPE].edge_index = known.nonzero().t()
    shuffled = torch.randperm(int(held_out.sum()), generator=generator)
    data[EDGE_TYPE].edge_label_index = held_out.nonzero()[shuffled].t()
    x_dict = {
        name: [torch.randn(size, 3, generator=generator, dtype=torch.double) for _ in range(2)]
        for name, size in (("user", 20), ("item", 15))
    }
    return x_dict, data


def pairs(index: torch.Tensor) -> list[tuple[int, int]]:
    return list(map(tuple, index.t().tolist()))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_oracle(pool: str, seed: int) -> None:
    x_dict, data = problem(seed)
    ks = [1, 3, 10, 15, 40]
    expected = ranking.evaluate(
        x_dict["user"],
        x_dict["item"],
        pairs(data[EDGE_TYPE].edge_index),
        pairs(data[EDGE_TYPE].edge_label_index),
        ks,
        pool,
    )
    found = evaluate(x_dict, data, ks, ACCURACY, pool=pool)
    assert set(found) == {f"{name}@{k}" for name in ACCURACY for k in ks} == set(expected)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("block_size", [1, 3, 7, 18, 500])
@pytest.mark.parametrize("users_counted", [1, 4, 1024])
def test_does_not_depend_on_the_block_size(
    block_size: int, users_counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_dict, data = problem()
    whole = evaluate(x_dict, data, (2, 5))
    for name, value in (("USERS_COUNTED", users_counted), ("ENTRIES_COUNTED", 5 * users_counted)):
        with monkeypatch.context() as patch:
            patch.setattr(full_rank, name, value)
            found = evaluate(x_dict, data, (2, 5), block_size=block_size)
        assert found == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("users", [1, 7])
def test_blocks_are_as_large_as_memory_allows(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x_dict, data = problem()
    whole, (_, values) = evaluate(x_dict, data, (2, 5)), evaluate_users(x_dict, data, (2, 5))
    (block,) = rank(x_dict, data, 5)
    monkeypatch.setitem(full_rank.BLOCK_BYTES, "cpu", users * 15 * 4)
    assert len(list(rank(x_dict, data, 5))) == -(-len(block.user) // users)
    assert evaluate(x_dict, data, (2, 5)) == pytest.approx(whole, abs=1e-6)
    torch.testing.assert_close(evaluate_users(x_dict, data, (2, 5))[1], values)


@pytest.mark.parametrize("k", [(2, 5, 15), (15, 2, 5), (5, 15, 2), (5, 5, 2)])
def test_lengths_of_lists_come_in_any_order(k: tuple[int, ...]) -> None:
    x_dict, data = problem()
    alone = {name: value for n in k for name, value in evaluate(x_dict, data, (n,)).items()}
    assert evaluate(x_dict, data, k) == pytest.approx(alone, abs=1e-6)
    means = {name: float(x.mean()) for name, x in evaluate_users(x_dict, data, k)[1].items()}
    assert means == pytest.approx({name: alone[name] for name in means}, abs=1e-6)


def test_repeated_and_known_held_out_links() -> None:
    """A repeated pair counts once; one that is known cannot be recommended, and is missed."""
    x_dict, data = problem()
    store = data[EDGE_TYPE]
    store.edge_label_index = torch.cat(
        [store.edge_label_index, store.edge_label_index[:, :9], store.edge_index[:, :5]], dim=1
    )
    expected = ranking.evaluate(
        x_dict["user"],
        x_dict["item"],
        pairs(store.edge_index),
        pairs(store.edge_label_index),
        [5, 15],
        "mean",
    )
    assert evaluate(x_dict, data, (5, 15), ACCURACY) == pytest.approx(expected, abs=1e-6)


def test_lists_hold_no_known_item_and_end_where_nothing_is_left() -> None:
    x_dict, data = problem()
    known = set(pairs(data[EDGE_TYPE].edge_index))
    blocks = list(rank(x_dict, data, k=15, block_size=4))
    users = torch.cat([block.user for block in blocks])
    assert users.tolist() == data[EDGE_TYPE].edge_label_index[0].unique().tolist()
    for block in blocks:
        for user, top in zip(block.user.tolist(), block.top.tolist(), strict=True):
            real = [item for item in top if item < 15]
            assert len(set(real)) == len(real)
            assert not known & {(user, item) for item in real}
            assert len(real) == 15 - sum(u == user for u, _ in known)


def test_one_table_is_one_layer_and_names_are_free() -> None:
    x_dict, data = problem()
    edge_type = ("reader", "reads", "book")
    renamed = HeteroData()
    renamed["reader"].num_nodes, renamed["book"].num_nodes = 20, 15
    renamed[edge_type].edge_index = data[EDGE_TYPE].edge_index
    renamed[edge_type].edge_label_index = data[EDGE_TYPE].edge_label_index
    tables = {"reader": x_dict["user"][1], "book": x_dict["item"][1]}
    found = evaluate(tables, renamed, (3,), edge_type=edge_type)
    assert found == pytest.approx(evaluate(x_dict, data, (3,), pool="final"))


def test_perfect_and_worst_rankings() -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 2, 6
    data[EDGE_TYPE].edge_index = torch.tensor([[0, 1], [0, 1]])
    data[EDGE_TYPE].edge_label_index = torch.tensor([[0, 0, 1, 1], [1, 2, 2, 3]])
    table = {"user": torch.eye(2), "item": torch.zeros(6, 2)}
    table["item"][[1, 2], 0] = table["item"][[2, 3], 1] = 1.0
    best = dict.fromkeys([f"{m}@2" for m in ACCURACY], 1.0)
    assert evaluate(table, data, (2,), ACCURACY) == pytest.approx(best, abs=1e-6)
    worst = {"user": table["user"], "item": -table["item"]}
    assert evaluate(worst, data, (2,), ACCURACY) == dict.fromkeys([f"{m}@2" for m in ACCURACY], 0.0)


def test_refuses_what_it_cannot_rank() -> None:
    x_dict, data = problem()
    for bad in (torch.nan, torch.inf):
        broken = {"user": x_dict["user"], "item": [x.clone() for x in x_dict["item"]]}
        broken["item"][0][3, 1] = bad
        with pytest.raises(ValueError, match="'x_dict' must be finite for 'item'"):
            evaluate(broken, data)
    short = {"user": [x[1:] for x in x_dict["user"]], "item": x_dict["item"]}
    with pytest.raises(ValueError, match=r"\[20, 3\] for 'user'"):
        evaluate(short, data)
    with pytest.raises(ValueError, match="'metrics'"):
        evaluate(x_dict, data, metrics=["AUC"])
    with pytest.raises(ValueError, match="'metrics' must be names out of"):
        evaluate(x_dict, data, metrics=())
    for k in ((), (0,), 20, (2.5,), (20, None), None):
        with pytest.raises(ValueError, match="'k'"):
            evaluate(x_dict, data, k)
    with pytest.raises(ValueError, match=r"'x_dict' must be .* of 'user' and 'item' .*\['user'\]"):
        evaluate({"user": x_dict["user"]}, data)
    del data[EDGE_TYPE].edge_label_index
    with pytest.raises(ValueError, match="held-out"):
        evaluate(x_dict, data)


def test_a_function_that_scores_keeps_its_table() -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 2, 3
    data[EDGE_TYPE].edge_index = torch.tensor([[0, 1], [0, 1]])
    data[EDGE_TYPE].edge_label_index = torch.tensor([[0, 1], [1, 2]])
    table = torch.arange(6.0).view(2, 3)
    before = table.clone()
    assert evaluate(lambda user: table[: len(user)], data, (1,), ("Recall",))["Recall@1"] == 0.5
    assert torch.equal(table, before)


@pytest.mark.parametrize("function", [evaluate, evaluate_users, evaluate_sampled])
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.zeros(20, 14), r"scores are \[\d+, 15\].*, 14\] torch.float32"),
        (torch.zeros(20, 16), r"scores are \[\d+, 15\]"),
        (torch.zeros(20), r"scores are \[\d+, 15\]"),
        (torch.zeros(20, 15, dtype=torch.long), "floating point.*torch.int64"),
    ],
)
def test_refuses_a_function_of_other_scores(
    function: Callable, scores: torch.Tensor, message: str
) -> None:
    _, data = problem()
    with pytest.raises(ValueError, match=f"'x_dict' must be a function whose .*{message}"):
        function(lambda user: scores[user], data)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("num_items", [80, 2001])  # as one list, and in lanes
def test_refuses_scores_that_are_not_finite(bad: float, num_items: int) -> None:
    """Wherever they are, unless the item is known and left out anyway."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 2, num_items
    data[EDGE_TYPE].edge_index = torch.tensor([[0], [7]])
    data[EDGE_TYPE].edge_label_index = torch.tensor([[0, 1], [3, 4]])
    for row, column in ((0, 0), (1, num_items // 2), (1, num_items - 1)):
        scores = torch.rand(2, num_items)
        scores[row, column] = bad
        with pytest.raises(ValueError, match="'x_dict' must be of finite scores"):
            evaluate(lambda user, scores=scores: scores[user], data)
    scores = torch.rand(2, num_items)
    scores[0, 7] = bad
    evaluate(lambda user: scores[user], data)
    tables = {"user": torch.full((2, 2), 1e30), "item": torch.full((num_items, 2), 1e30)}
    with pytest.raises(ValueError, match="'x_dict' must be of finite scores"):
        evaluate(tables, data)  # whose products are not


def test_minus_infinity_is_never_recommended() -> None:
    _, data = problem()
    scores = torch.rand(20, 15)
    scores[:, 1:] = -torch.inf
    for block in rank(lambda user: scores[user], data, k=3):
        assert set(block.top.flatten().tolist()) <= {0, 15}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block_size", [None, 1, 7])
def test_users_average_to_the_whole(seed: int, block_size: int | None) -> None:
    x_dict, data = problem(seed)
    names = [name for name in PER_USER if name != "Diversity"]
    users, values = evaluate_users(x_dict, data, (1, 3, 15, 40), names, block_size=block_size)
    assert users.tolist() == sorted(set(data[EDGE_TYPE].edge_label_index[0].tolist()))
    assert all(value.shape == users.shape for value in values.values())
    whole = evaluate(x_dict, data, (1, 3, 15, 40), names)
    assert list(values) == list(whole)
    means = {name: float(value.mean()) for name, value in values.items()}
    assert means == pytest.approx(whole, abs=1e-6)


def test_every_user_gets_what_is_right_for_that_user() -> None:
    """As the oracle has it, and as :func:`evaluate` has it for a split of that user alone."""
    x_dict, data = problem()
    ks, held_out = [2, 10], data[EDGE_TYPE].edge_label_index
    users, values = evaluate_users(x_dict, data, ks, ACCURACY, pool="concat")
    for row, user in enumerate(users.tolist()):
        found = {name: float(value[row]) for name, value in values.items()}
        alone = copy.copy(data)
        alone[EDGE_TYPE].edge_label_index = held_out[:, held_out[0] == user]
        assert found == pytest.approx(evaluate(x_dict, alone, ks, ACCURACY, "concat"), abs=1e-6)
        expected = ranking.evaluate(
            x_dict["user"],
            x_dict["item"],
            pairs(data[EDGE_TYPE].edge_index),
            pairs(alone[EDGE_TYPE].edge_label_index),
            ks,
            "concat",
        )
        assert found == pytest.approx(expected, abs=1e-6)


def test_users_are_evaluated_with_names_metrics_and_functions() -> None:
    x_dict, data = problem()
    edge_type = ("reader", "reads", "book")
    renamed = HeteroData()
    renamed["reader"].num_nodes, renamed["book"].num_nodes = 20, 15
    for name in ("edge_index", "edge_label_index"):
        renamed[edge_type][name] = data[EDGE_TYPE][name]
    tables = {"reader": x_dict["user"][1], "book": x_dict["item"][1]}
    users, values = evaluate_users(tables, renamed, (3,), ("MRR", "MAP"), edge_type=edge_type)
    assert list(values) == ["MRR@3", "MAP@3"]
    scores = tables["reader"] @ tables["book"].t()
    again, same = evaluate_users(lambda user: scores[user], data, (3,))
    assert torch.equal(users, again)
    for name in values:
        torch.testing.assert_close(values[name], same[name])


def test_users_are_refused_as_the_whole_is() -> None:
    x_dict, data = problem()
    with pytest.raises(ValueError, match="'k'"):
        evaluate_users(x_dict, data, (0,))
    with pytest.raises(ValueError, match="'metrics'"):
        evaluate_users(x_dict, data, metrics=["AUC"])
    del data[EDGE_TYPE].edge_label_index
    with pytest.raises(ValueError, match="held-out"):
        evaluate_users(x_dict, data)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("function", [evaluate_users, evaluate_sampled])
def test_on_a_gpu(function: Callable) -> None:
    x_dict, data = problem()
    tables = {name: [x.cuda() for x in xs] for name, xs in x_dict.items()}
    found = function(tables, data.clone().cuda(), (3,))
    if function is evaluate_sampled:  # of at most 100 others, which are all
        assert found == [pytest.approx(evaluate(x_dict, data, (3,), ACCURACY), abs=1e-6)] * 10
    else:
        for name, value in function(x_dict, data, (3,))[1].items():
            torch.testing.assert_close(found[1][name].cpu(), value, check_dtype=False)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 3, "block_size": 0}])
def test_rank_refuses_nothing(wrong: dict[str, int]) -> None:
    x_dict, data = problem()
    with pytest.raises(ValueError, match="must be a whole number, at least 1"):
        list(rank(x_dict, data, **wrong))


def test_in_a_homogeneous_graph_nobody_is_recommended_to_oneself() -> None:
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=5)
    data.edge_label_index = torch.tensor([[0, 3], [4, 0]])
    x = torch.eye(5) + 0.1 * torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    for tables in (x, {"user": x, "item": x}):
        (block,) = rank(tables, data, k=5)
        assert block.user.tolist() == [0, 3]
        assert 0 not in block.top[0]
        assert 3 not in block.top[1]
        assert 1 not in block.top[0], "which it knows"


@pytest.mark.parametrize("by_type", [False, True])
def test_users_and_items_in_one_homogeneous_graph_are_refused(by_type: bool) -> None:
    """Users would be ranked as items."""
    data = Data(edge_index=torch.tensor([[0, 1], [3, 4]]), num_nodes=5)
    data.edge_label_index = torch.tensor([[0], [4]])
    if by_type:
        data.edge_index = torch.cat([data.edge_index, data.edge_index.flip(0)], dim=1)
        data.node_type = torch.tensor([0, 0, 0, 1, 1])
    with pytest.raises(
        ValueError, match="evaluate: 'data' must be HeteroData with two node types, as some nodes"
    ):
        evaluate(torch.rand(5, 2), data)


def test_a_pyg_model_is_named_the_way() -> None:
    model = LightGCN(30, 4, 1)
    with pytest.raises(ValueError, match=r"'x_dict' must be .*LightGCN\.from_pyg\(model, train"):
        evaluate(model, SyntheticInteractions("tiny")[2])


def test_links_to_find_that_are_known_are_counted_in_a_warning() -> None:
    data = SyntheticInteractions("tiny")[2].clone()
    store = data[EDGE_TYPE]
    num = store.edge_label_index.size(1)
    store.edge_label_index = torch.cat([store.edge_index[:, :5], store.edge_label_index], dim=1)
    tables = {"user": torch.rand(60, 3), "item": torch.rand(80, 3)}
    with pytest.warns(UserWarning, match=f"evaluate: 5 of {num + 5} held-out links are known"):
        evaluate(tables, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(tables, SyntheticInteractions("tiny")[2])


def test_labels_are_one_for_each_link() -> None:
    x_dict, data = problem()
    for label in (torch.ones(1), torch.ones(3, 1), [1.0]):
        data[EDGE_TYPE].edge_label = label
        with pytest.raises(ValueError, match=r"'edge_label' must be \[\d+\], one for each link"):
            evaluate(x_dict, data)


def test_mixed_precision_of_the_caller_does_not_reach_the_ranking() -> None:
    """In bfloat16, items that score nearly the same would be tied."""
    _, val, _ = SyntheticInteractions("tiny")
    generator = torch.Generator().manual_seed(0)
    tables = {
        name: 1 + 0.01 * torch.randn(val[name].num_nodes, 8, generator=generator)
        for name in ("user", "item")
    }
    expected = evaluate(tables, val)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert evaluate(tables, val) == expected


def test_a_module_that_runs_out_of_memory_says_so() -> None:
    class Large(torch.nn.Module):
        def forward(self, user: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("out of memory: 80 GiB")

    with pytest.raises(torch.OutOfMemoryError, match="80 GiB"):
        evaluate(Large(), SyntheticInteractions("tiny")[1])
