"""Metrics beyond accuracy, against loops over the lists."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch_geometric.metrics as pyg
from torch_geometric.data import Data, HeteroData

from pyg_negsamp.evaluation import (
    METRICS,
    PER_USER,
    Items,
    evaluate,
    evaluate_sampled,
    evaluate_users,
    full_rank,
    item_thirds,
    rank,
)
from pyg_negsamp.graph import EDGE_TYPE

BEYOND = tuple(name for name, metric in METRICS.items() if metric.beyond)
NUM_USERS, NUM_ITEMS = 12, 9


def problem(case: str = "short", seed: int = 0) -> tuple[dict, HeteroData]:
    """12 users and 9 items, in 3 categories; user 0 has 1 item left, user 1 none, user 2 has 2."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.3
    held_out = (torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.3) & ~known
    if case == "nothing known":
        known[:] = False
    if case == "short":
        known[0], known[1], known[2] = True, True, True
        known[0, 4] = known[2, 3] = known[2, 8] = False
        held_out[0] = held_out[1] = False
        held_out[0, 4] = True
        held_out[1, 0] = True  # which is known
    if case == "one user":
        held_out[1:] = False
        held_out[0, 5] = True
        known[0, 5] = False
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = NUM_USERS, NUM_ITEMS
    data["item"].category = torch.tensor([5, 5, 7, 5, 9, 9, 7, 7, 5])
    data[EDGE_TYPE].edge_index = known.nonzero().t()
    data[EDGE_TYPE].edge_label_index = held_out.nonzero().t()
    sizes = {"user": NUM_USERS, "item": NUM_ITEMS}
    return {name: torch.randn(n, 3, generator=generator) for name, n in sizes.items()}, data


def by_hand(lists: list[list[int]], known: list[tuple[int, int]], category: list[int]) -> dict:
    """Every metric, for lists without what fills them."""
    popularity = [len({u for u, i in known if i == item}) for item in range(NUM_ITEMS)]
    tail = {i for i, third in enumerate(item_thirds(torch.tensor(popularity))) if third == 2}
    given = [sum(item in one for one in lists) for item in range(NUM_ITEMS)]
    differences = sum(abs(a - b) for a, b in itertools.product(given, given))
    cosines = [
        len({*a} & {*b}) / math.sqrt(len(a) * len(b))
        for a, b in itertools.combinations(filter(None, lists), 2)
    ]
    varied = [
        sum(category[i] != category[j] for i, j in itertools.permutations(one, 2))
        / (len(one) * (len(one) - 1))
        if len(one) > 1
        else math.nan
        for one in lists
    ]
    return {
        "Coverage": sum(map(bool, given)) / NUM_ITEMS,
        "Gini": differences / (2 * NUM_ITEMS * sum(given)),
        "Personalization": 1 - sum(cosines) / len(cosines) if cosines else 0.0,
        "AveragePopularity": [
            sum(popularity[i] for i in one) / len(one) if one else math.nan for one in lists
        ],
        "TailShare": [sum(i in tail for i in one) / len(one) if one else math.nan for one in lists],
        "Diversity": varied,
    }


@pytest.mark.filterwarnings("ignore:evaluate. . of")
@pytest.mark.parametrize("block_size", [None, 1, 5])
@pytest.mark.parametrize("case", ["short", "full", "one user", "nothing known"])
def test_equals_a_loop_over_lists(
    case: str, block_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_dict, data = problem(case)
    monkeypatch.setattr(full_rank, "USERS_COUNTED", 5)
    ks = (3, 2, 7, 40)
    found = evaluate(x_dict, data, ks, BEYOND, block_size=block_size)
    mine = [name for name in BEYOND if name in PER_USER]
    users, values = evaluate_users(x_dict, data, ks, mine, block_size=block_size)
    (block,) = rank(x_dict, data, max(ks))
    assert users.tolist() == block.user.tolist()
    known = [tuple(pair) for pair in data[EDGE_TYPE].edge_index.t().tolist()]
    for k in ks:
        lists = [[i for i in top[:k] if i < NUM_ITEMS] for top in block.top.tolist()]
        assert (case == "short") == ([] in lists)
        for name, expected in by_hand(lists, known, data["item"].category.tolist()).items():
            if name in PER_USER:
                assert values[f"{name}@{k}"].tolist() == pytest.approx(expected, nan_ok=True)
                there = [x for x in expected if not math.isnan(x)]
                expected = sum(there) / len(there)
            assert found[f"{name}@{k}"] == pytest.approx(expected, abs=1e-12), (name, k)


@pytest.mark.filterwarnings("ignore:evaluate. . of")
def test_full_lists_have_the_numbers_of_pyg() -> None:
    x_dict, data = problem("nothing known")
    data[EDGE_TYPE].edge_index = torch.tensor([[0, 1, 2, 0], [4, 4, 4, 1]])
    items, (block,) = Items.of(data, EDGE_TYPE), rank(x_dict, data, 3)
    theirs = {
        "Coverage": pyg.LinkPredCoverage(3, NUM_ITEMS),
        "AveragePopularity": pyg.LinkPredAveragePopularity(3, items.count),
        "Diversity": pyg.LinkPredDiversity(3, items.category),
        "Personalization": pyg.LinkPredPersonalization(3, max_src_nodes=None),
    }
    found = evaluate(x_dict, data, (3,), tuple(theirs))
    for name, metric in theirs.items():
        metric.update(block.top, block.held_out)
        assert found[f"{name}@3"] == pytest.approx(float(metric.compute()), abs=1e-6), name


@pytest.mark.filterwarnings("ignore:evaluate. . of")
def test_where_nobody_has_a_list_everything_is_zero() -> None:
    data = problem()[1]
    found = evaluate(
        lambda user: torch.full((len(user), NUM_ITEMS), -torch.inf), data, (3,), BEYOND
    )
    assert found == dict.fromkeys((f"{name}@3" for name in BEYOND), 0.0)


def test_a_link_that_is_known_twice_is_one_user() -> None:
    """So that repeated links, which a saved model has once, say the same of popularity."""
    x_dict, data = problem("full")
    once = evaluate(x_dict, data, (3,), BEYOND)
    store = data[EDGE_TYPE]
    store.edge_index = torch.cat([store.edge_index, store.edge_index[:, :9]], dim=1)
    assert evaluate(x_dict, data, (3,), BEYOND) == once


def test_a_homogeneous_graph_has_categories_too() -> None:
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=5)
    data.edge_label_index = torch.tensor([[0], [4]])
    data.category = torch.arange(5)
    assert evaluate(torch.eye(5), data, (2,), ("Diversity",)) == {"Diversity@2": 1.0}


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (evaluate, {"metrics": ["Coverge"]}, "Diversity; did you mean 'Coverage'? (got 'Coverge')"),
        (evaluate, {"metrics": ["Diversity"], "k": (1, 5)}, "'k' must be at least 2 for Diversity"),
        (evaluate_users, {"metrics": ["MAP", "Gini"]}, "TailShare, Diversity (got 'Gini')"),
        (evaluate_sampled, {"metrics": ["Coverage"]}, "MAP, MRR (got 'Coverage')"),
    ],
)
def test_refuses_in_a_line(function: object, options: dict, said: str) -> None:
    x_dict, data = problem("full")
    with pytest.raises(ValueError, match="evaluate: ") as refused:
        function(x_dict, data, **options)  # type: ignore[operator]
    assert said in str(refused.value)


@pytest.mark.parametrize("category", [None, torch.zeros(3).long(), torch.zeros(NUM_ITEMS), [1] * 9])
def test_refuses_categories_that_are_none(category: object) -> None:
    x_dict, data = problem("full")
    del data["item"].category
    if category is not None:
        data["item"].category = category
    with pytest.raises(ValueError, match=r"'category' must be|items have no category"):
        evaluate(x_dict, data, (3,), ("Recall", "Diversity"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_gpu() -> None:
    x_dict, data = problem("full")
    found = evaluate({n: x.cuda() for n, x in x_dict.items()}, data.clone().cuda(), (3,), BEYOND)
    assert found == pytest.approx(evaluate(x_dict, data, (3,), BEYOND), abs=1e-6)
