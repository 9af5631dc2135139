"""Sampled evaluation against a loop over users and the items they compete with."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import chi2, chisquare
from torch import Tensor
from torch_geometric.data import HeteroData

from oracles.ranking import user_metrics
from pyg_negsamp.evaluation import ACCURACY, evaluate, evaluate_sampled, rank, sampled
from pyg_negsamp.graph import EDGE_TYPE

NUM_USERS, NUM_ITEMS = 12, 30


def problem(seed: int = 0) -> tuple[dict[str, Tensor], HeteroData]:
    """Some users have nothing held out; user 4 has 3 unseen items, user 5 none."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.3
    held_out = (torch.rand(NUM_USERS, NUM_ITEMS, generator=generator) < 0.15) & ~known
    held_out[:, 0] = ~known[:, 0]  # everybody has something
    held_out[[2, 9]] = False
    known[4:6], held_out[4:6] = True, False
    known[4, 6:11] = known[5, 6:8] = False
    held_out[4, 6:8] = held_out[5, 6:8] = True
    x_dict = {
        name: torch.randn(size, 3, generator=generator, dtype=torch.double)
        for name, size in (("user", NUM_USERS), ("item", NUM_ITEMS))
    }
    return x_dict, split(known, held_out, generator)


def split(known: Tensor, held_out: Tensor, generator: torch.Generator) -> HeteroData:
    """A graph of two tables `[U, I]` of what is known and held out; its links in any order."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = known.shape
    for name, table in (("edge_index", known), ("edge_label_index", held_out)):
        links = table.nonzero().t()
        data[EDGE_TYPE][name] = links[:, torch.randperm(links.size(1), generator=generator)]
    return data


def items_of(data: HeteroData, name: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for user, item in data[EDGE_TYPE][name].t().tolist():
        found.setdefault(user, set()).add(item)
    return found


def unseen(data: HeteroData) -> dict[int, set[int]]:
    """What may be drawn for each user with held-out items."""
    known, held_out = (items_of(data, name) for name in ("edge_index", "edge_label_index"))
    everything = set(range(data["item"].num_nodes))
    return {u: everything - known.get(u, set()) - held_out[u] for u in held_out}


class Watched:
    """`evaluate`, and who competes in each of its calls: who is in lists long enough for all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sets: list[dict[int, set[int]]] = []
        monkeypatch.setattr(sampled, "evaluate", self)

    def __call__(
        self,
        score: Callable[[Tensor], Tensor],
        data: HeteroData,
        *args: Any,
        block_size: int,
        **options: Any,
    ) -> dict[str, float]:
        once: dict[int, Tensor] = {}

        def scored(user: Tensor) -> Tensor:
            first = int(user[0])
            if first not in once:
                once[first] = score(user)
            return once[first]

        num_items = data["item"].num_nodes
        competitors = {
            user: set(top) - {num_items}
            for block in rank(scored, data, num_items, block_size=block_size)
            for user, top in zip(block.user.tolist(), block.top.tolist(), strict=True)
        }
        self.sets.append(competitors)
        return evaluate(scored, data, *args, block_size=block_size, **options)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.mark.parametrize("num_negatives", [1, 4, 15])
@pytest.mark.parametrize("seed", range(3))
def test_held_out_items_compete_with_unseen_ones(
    watched: Watched, num_negatives: int, seed: int
) -> None:
    """And with nothing else, as many as asked for, or as there are."""
    x_dict, data = problem(seed)
    evaluate_sampled(x_dict, data, num_negatives=num_negatives, num_sets=5, seed=seed)
    held_out, may_draw = items_of(data, "edge_label_index"), unseen(data)
    assert len(watched.sets) == 5
    for competitors in watched.sets:
        assert set(competitors) == set(held_out)
        for user, items in competitors.items():
            assert held_out[user] <= items
            drawn = items - held_out[user]
            assert drawn <= may_draw[user]
            # A set without repetitions: that many are that many different ones.
            assert len(drawn) == min(num_negatives, len(may_draw[user]))
    assert len(may_draw[4]) == 3
    assert not may_draw[5]


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_oracle(watched: Watched, seed: int) -> None:
    x_dict, data = problem(seed)
    ks = (1, 3, 10)
    found = evaluate_sampled(x_dict, data, ks, num_negatives=6, num_sets=3, seed=seed)
    scores = (x_dict["user"] @ x_dict["item"].t()).tolist()
    held_out = items_of(data, "edge_label_index")
    for result, competitors in zip(found, watched.sets, strict=True):
        expected = {f"{name}@{k}": 0.0 for name in ACCURACY for k in ks}
        for user, items in competitors.items():
            order = sorted(items, key=lambda item, own=scores[user]: -own[item])
            for k in ks:
                for name, value in user_metrics(order, held_out[user], k).items():
                    expected[f"{name}@{k}"] += value / len(held_out)
        assert result == pytest.approx(expected, abs=1e-6)


def test_with_all_unseen_items_it_is_full_ranking() -> None:
    x_dict, data = problem()
    store = data[EDGE_TYPE]
    # A repeated held-out link, and one that is known.
    more = [store.edge_label_index, store.edge_label_index[:, :3], store.edge_index[:, :2]]
    store.edge_label_index = torch.cat(more, dim=1)
    for num_negatives in (NUM_ITEMS, 10_000):
        found = evaluate_sampled(x_dict, data, (2, 5), num_negatives=num_negatives, num_sets=2)
        assert found == [evaluate(x_dict, data, (2, 5), ACCURACY)] * 2


def alike(num_users: int) -> tuple[dict[str, Tensor], HeteroData, list[int]]:
    """Users with the same links, so that they are repetitions; and what may be drawn for them."""
    known, held_out = (torch.zeros(num_users, 12, dtype=torch.bool) for _ in range(2))
    known[:, [0, 4, 5]] = held_out[:, [6, 8, 11]] = True
    data = split(known, held_out, torch.Generator().manual_seed(0))
    x_dict = {"user": torch.ones(num_users, 1), "item": torch.ones(12, 1)}
    return x_dict, data, [1, 2, 3, 7, 9, 10]


@pytest.mark.parametrize("num_negatives", [1, 2, 5])
def test_every_unseen_item_is_as_likely(watched: Watched, num_negatives: int) -> None:
    """By the chi-square of samples without replacement, whose counts vary less."""
    users = 6000
    x_dict, data, may_draw = alike(users)
    evaluate_sampled(x_dict, data, (1,), ("MRR",), num_negatives, num_sets=1, seed=1)
    drawn = list(watched.sets[0].values())
    counts = torch.tensor([sum(item in own for own in drawn) for item in may_draw]).double()
    assert counts.sum() == users * num_negatives
    share = num_negatives / len(may_draw)
    variance = users * share * (1 - share) * len(may_draw) / (len(may_draw) - 1)
    statistic = float(((counts - users * share) ** 2).sum() / variance)
    assert chi2.sf(statistic, len(may_draw) - 1) > 1e-3


def test_items_of_a_sample_users_and_sets_are_independent(watched: Watched) -> None:
    """All pairs are as likely: in one sample, of two users' samples, of samples in two sets."""
    x_dict, data, may_draw = alike(9000)
    evaluate_sampled(x_dict, data, (1,), ("MRR",), num_negatives=2, num_sets=2, seed=2)
    first, second = (
        [tuple(sorted(own & set(may_draw))) for own in competitors.values()]
        for competitors in watched.sets
    )
    pairs = list(itertools.combinations(may_draw, 2))
    cells = list(itertools.product(pairs, pairs))
    for possible, drawn in (
        (pairs, first),
        (cells, list(zip(first[::2], first[1::2], strict=True))),
        (cells, list(zip(first, second, strict=True))),
    ):
        counts = Counter(drawn)
        assert set(counts) <= set(possible)
        assert chisquare([counts[one] for one in possible]).pvalue > 1e-3


def test_sets_and_seeds_differ_and_the_same_seed_repeats(watched: Watched) -> None:
    x_dict, data = problem()
    options = {"num_negatives": 5, "num_sets": 4}
    first = evaluate_sampled(x_dict, data, **options, seed=3)
    before = torch.get_rng_state()
    assert evaluate_sampled(x_dict, data, **options, seed=3) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert evaluate_sampled(x_dict, data, num_negatives=5, num_sets=2, seed=3) == first[:2]
    assert evaluate_sampled(x_dict, data, **options, seed=4) != first
    drawn = watched.sets
    assert drawn[:4] == drawn[4:8]
    for one, other in itertools.combinations([*drawn[:4], *drawn[-4:]], 2):
        assert one != other
    assert len({tuple(result.items()) for result in first}) == 4


def test_draws_depend_neither_on_scores_nor_on_what_is_measured(watched: Watched) -> None:
    x_dict, data = problem()
    table = torch.arange(float(NUM_USERS * NUM_ITEMS)).view(NUM_USERS, NUM_ITEMS)
    before = table.clone()
    worse = {name: -x.float() for name, x in x_dict.items()}
    layers = {name: [x, 2 * x] for name, x in x_dict.items()}
    for scorer in (x_dict, worse, lambda user: table[user], lambda user: table[: len(user)]):
        evaluate_sampled(scorer, data, num_negatives=5, num_sets=2)
    evaluate_sampled(layers, data, (1, 7), ("MRR",), num_negatives=5, num_sets=2, pool="final")
    for start in range(2, len(watched.sets), 2):
        assert watched.sets[start : start + 2] == watched.sets[:2]
    assert torch.equal(table, before)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_the_same_holds_in_small_blocks(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    x_dict, data = problem()
    monkeypatch.setitem(sampled.BLOCK_BYTES, "cpu", rows * NUM_ITEMS * 4)
    found = evaluate_sampled(x_dict, data, num_negatives=NUM_ITEMS, num_sets=1)
    assert found == [pytest.approx(evaluate(x_dict, data, metrics=ACCURACY), abs=1e-6)]
    evaluate_sampled(x_dict, data, num_negatives=5, num_sets=1)
    held_out, may_draw = items_of(data, "edge_label_index"), unseen(data)
    for user, items in watched.sets[1].items():
        drawn = items - held_out[user]
        assert drawn <= may_draw[user]
        assert len(drawn) == min(5, len(may_draw[user]))


def test_names_are_free_and_layers_are_pooled() -> None:
    x_dict, data = problem()
    edge_type = ("reader", "reads", "book")
    renamed = HeteroData()
    renamed["reader"].num_nodes, renamed["book"].num_nodes = NUM_USERS, NUM_ITEMS
    for name in ("edge_index", "edge_label_index"):
        renamed[edge_type][name] = data[EDGE_TYPE][name]
    tables = {"reader": [x_dict["user"]] * 2, "book": [torch.zeros(NUM_ITEMS, 3), x_dict["item"]]}
    found = evaluate_sampled(tables, renamed, (3,), pool="final", edge_type=edge_type)
    assert found == evaluate_sampled(x_dict, data, (3,))


def test_defaults_are_ten_sets_of_a_hundred(watched: Watched) -> None:
    known, held_out = torch.zeros(1, 200, dtype=torch.bool), torch.zeros(1, 200, dtype=torch.bool)
    held_out[0, 0] = True
    data = split(known, held_out, torch.Generator().manual_seed(0))
    found = evaluate_sampled({"user": torch.ones(1, 1), "item": torch.ones(200, 1)}, data)
    assert [set(result) for result in found] == [{f"{name}@20" for name in ACCURACY}] * 10
    assert [len(competitors[0]) for competitors in watched.sets] == [101] * 10


@pytest.mark.parametrize("name", ["num_negatives", "num_sets"])
@pytest.mark.parametrize("value", [0, -1])
def test_refuses_numbers_out_of_range(name: str, value: int) -> None:
    with pytest.raises(
        ValueError, match=f"^evaluate_sampled: '{name}' must be a whole number, at least 1"
    ):
        evaluate_sampled(*problem(), **{name: value})


def test_refuses_what_it_cannot_rank() -> None:
    x_dict, data = problem()
    with pytest.raises(ValueError, match="'seed' must be a whole number, at least 0"):
        evaluate_sampled(x_dict, data, seed=-1)
    with pytest.raises(ValueError, match="'metrics'"):
        evaluate_sampled(x_dict, data, metrics=["AUC"])
    with pytest.raises(ValueError, match="'k'"):
        evaluate_sampled(x_dict, data, (0,))
    with pytest.raises(ValueError, match=r"\[12, 3\] for 'user'"):
        evaluate_sampled({"user": x_dict["user"][1:], "item": x_dict["item"]}, data)
    with pytest.raises(ValueError, match="finite for 'item'"):
        evaluate_sampled({"user": x_dict["user"], "item": x_dict["item"] * torch.nan}, data)
    with pytest.raises(ValueError, match="edge_type"):
        evaluate_sampled(x_dict, data, edge_type=("user", "rates", "item"))
    del data[EDGE_TYPE].edge_label_index
    with pytest.raises(ValueError, match="held-out"):
        evaluate_sampled(x_dict, data)
