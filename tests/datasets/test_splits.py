"""Splits: exact parts, honest times, and no pair on two sides."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    InteractionSplit,
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
    TemporalSplit,
)
from pyg_negsamp.graph import EDGE_TYPE


def graph(links: Tensor, num_users: int, num_items: int, **fields: Tensor) -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = num_users, num_items
    data[EDGE_TYPE].edge_index = links
    for name, value in fields.items():
        data[EDGE_TYPE][name] = value
    return data


def dense(num_users: int, num_items: int) -> Tensor:
    """Every user with every item."""
    return torch.cartesian_prod(torch.arange(num_users), torch.arange(num_items)).T


def messy(seed: int) -> HeteroData:
    """Unsorted links with many repeats, also across the parts of `split`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int) -> Tensor:
        return torch.randint(high, (600,), generator=generator)

    return graph(
        torch.stack([draw(20), draw(15)]), 20, 15, time=draw(1000), split=draw(3).to(torch.uint8)
    )


def labels(data: HeteroData) -> Tensor:
    return data[EDGE_TYPE].edge_label_index


def pairs(links: Tensor) -> set[tuple[int, int]]:
    return set(zip(*links.tolist(), strict=True))


SPLITS = [
    RandomSplit(),
    RandomSplit(0.0, 0.5, seed=3),
    LatestSplit(),
    TemporalSplit(700, 800),
    PredefinedSplit(),
    LeaveOneOut(),
    TemporalSplit.by_share(),
]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
@pytest.mark.parametrize("seed", range(5))
def test_no_pair_is_in_two_parts(split: InteractionSplit, seed: int) -> None:
    data = messy(seed)
    train, val, test = split(data)
    held_out = [pairs(labels(part)) for part in (train, val, test)]
    assert not held_out[0] & held_out[1]
    assert not (held_out[0] | held_out[1]) & held_out[2]
    for part in (val, test):  # held-out links never repeat
        assert labels(part).size(1) == len(pairs(labels(part)))
    assert pairs(data[EDGE_TYPE].edge_index) == set.union(*held_out)
    assert labels(train).size(1) > len(held_out[0])  # training keeps its repeats


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_known_links_and_order(split: InteractionSplit) -> None:
    train, val, test = split(messy(0))
    store = train[EDGE_TYPE]
    assert store.edge_index is store.edge_label_index
    assert torch.equal(val[EDGE_TYPE].edge_index, store.edge_index)
    known, given = (
        Counter(map(tuple, links.T.tolist()))
        for links in (test[EDGE_TYPE].edge_index, messy(0)[EDGE_TYPE].edge_index)
    )
    assert set(known) == pairs(labels(train)) | pairs(labels(val))
    assert known <= given
    trained = Counter(map(tuple, labels(train).T.tolist()))
    assert {pair: known[pair] for pair in trained} == trained
    if isinstance(split, RandomSplit):  # where all of a pair is in one part
        assert known == Counter({pair: given[pair] for pair in known})
    for part in (train, val, test):
        assert set(part[EDGE_TYPE]) == {"edge_index", "edge_label_index"}
        assert (part["user"].num_nodes, part["item"].num_nodes) == (20, 15)
        for links in part[EDGE_TYPE].values():
            assert links.dtype == torch.int64
            assert links.T.tolist() == sorted(links.T.tolist())


def test_input_is_not_changed_and_features_stay() -> None:
    data = messy(0)
    data["item"].x = torch.rand(15, 2)
    before = copy.deepcopy(data)
    _, _, test = RandomSplit()(data)
    assert test["item"].x is data["item"].x
    for name, value in before[EDGE_TYPE].items():
        assert torch.equal(data[EDGE_TYPE][name], value)


def test_random_split_takes_exact_fractions_per_user() -> None:
    parts = RandomSplit(0.1, 0.2)(graph(dense(50, 20), 50, 20))
    for part, count in zip(parts, (14, 2, 4), strict=True):
        assert labels(part)[0].bincount(minlength=50).eq(count).all()


def test_rounding_is_right_on_average_and_every_user_trains() -> None:
    train, val, test = RandomSplit(0.1, 0.2)(graph(dense(4000, 3), 4000, 3))
    assert labels(test).size(1) / 12_000 == pytest.approx(0.2, abs=0.01)
    assert labels(val).size(1) / 12_000 == pytest.approx(0.1, abs=0.01)
    assert labels(train)[0].unique().numel() == 4000
    greedy, _, _ = RandomSplit(0.5, 0.49)(graph(dense(200, 2), 200, 2))
    assert labels(greedy)[0].bincount(minlength=200).min() == 1


def test_seed_decides_the_random_split() -> None:
    data = graph(dense(30, 20), 30, 20)
    tests = [labels(RandomSplit(seed=seed)(data)[2]) for seed in (1, 1, 2)]
    assert torch.equal(tests[0], tests[1])
    assert pairs(tests[0]) != pairs(tests[2])


def test_random_split_is_uniform_over_items() -> None:
    _, _, test = RandomSplit(0.0, 0.5)(graph(dense(2000, 4), 2000, 4))
    share = labels(test)[1].bincount(minlength=4) / 2000
    assert share.sub(0.5).abs().max() < 0.05


def test_latest_split_holds_out_the_last_items_in_time() -> None:
    links = dense(10, 10)
    time = torch.stack([torch.randperm(10) + 100 * user for user in range(10)]).flatten()
    _, val, test = LatestSplit(0.1, 0.2)(graph(links, 10, 10, time=time))
    when = {pair: int(t) % 100 for pair, t in zip(zip(*links.tolist()), time)}  # noqa: B905
    assert sorted(when[pair] for pair in pairs(labels(test))) == [8] * 10 + [9] * 10
    assert sorted(when[pair] for pair in pairs(labels(val))) == [7] * 10


def test_temporal_split_cuts_at_the_moments() -> None:
    links, time = dense(1, 6), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    train, val, test = TemporalSplit(2, 4)(graph(links, 1, 6, time=time))
    assert [labels(part)[1].tolist() for part in (train, val, test)] == [[0, 1], [2, 3], [4, 5]]


def test_temporal_split_never_trains_on_later_repeats() -> None:
    links = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 1, 2, 3]])
    time = torch.tensor([0, 1, 9, 5, 9])
    train, val, test = TemporalSplit(5, 9)(graph(links, 1, 4, time=time))
    assert labels(train).tolist() == [[0, 0], [1, 1]]  # not the repeat at 9
    assert labels(val).tolist() == [[0], [2]]
    assert labels(test).tolist() == [[0], [3]]


def test_temporal_split_of_the_wrong_time_names_the_range() -> None:
    data = graph(dense(2, 3), 2, 3, time=torch.arange(10, 16))
    with pytest.raises(ValueError, match=r"links to test.*times run from 10 to 15"):
        TemporalSplit(12, 100)(data)
    with pytest.raises(ValueError, match="links to train"):
        TemporalSplit(1, 12)(data)


def test_predefined_split_uses_the_given_parts() -> None:
    links = dense(2, 5)
    split = torch.tensor([0, 0, 0, 1, 2] * 2, dtype=torch.uint8)
    parts = PredefinedSplit(0.5)(graph(links, 2, 5, split=split))
    assert [labels(part)[1].tolist() for part in parts] == [[0, 1, 2] * 2, [3] * 2, [4] * 2]


def test_predefined_split_carves_validation_from_training_only() -> None:
    links = dense(10, 20)
    split = torch.tensor([0] * 10 + [2] * 10, dtype=torch.uint8).repeat(10)
    data = graph(links, 10, 20, split=split)
    train, val, test = PredefinedSplit(0.2)(data)
    assert labels(val)[0].bincount().eq(2).all()
    assert labels(train)[0].bincount().eq(8).all()
    assert labels(val)[1].max() < 10
    assert labels(test)[1].min() == 10
    whole, empty, _ = PredefinedSplit(0.0)(data)
    assert pairs(labels(whole)) == pairs(links[:, split == 0])
    assert labels(empty).shape == (2, 0)


def test_predefined_split_removes_test_pairs_known_from_training() -> None:
    links = torch.tensor([[0, 0, 0], [1, 1, 2]])
    data = graph(links, 1, 3, split=torch.tensor([2, 0, 2], dtype=torch.uint8))
    train, _, test = PredefinedSplit(0.0)(data)
    assert pairs(labels(train)) == {(0, 1)}
    assert pairs(labels(test)) == {(0, 2)}


def test_other_node_and_edge_types() -> None:
    kind = ("reader", "likes", "book")
    data = HeteroData()
    data["reader"].num_nodes, data["book"].num_nodes = 5, 10
    data[kind].edge_index = dense(5, 10)
    train, _, test = RandomSplit(edge_type=kind)(data)
    assert train[kind].edge_label_index.size(1) == 35
    assert test[kind].edge_label_index.size(1) == 10
    with pytest.raises(ValueError, match="edge_type"):
        RandomSplit()(data)


@pytest.mark.parametrize(
    ("val", "test"), [(-0.1, 0.2), (0.1, 1.0), (0.5, 0.5), (0.1, float("nan"))]
)
@pytest.mark.parametrize("split", [RandomSplit, LatestSplit])
def test_ratios_are_checked(split: type[RandomSplit], val: float, test: float) -> None:
    with pytest.raises(ValueError, match=f"{split.__name__}: .*ratio"):
        split(val, test)


def test_other_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="PredefinedSplit: 'val_ratio'"):
        PredefinedSplit(1.0)
    with pytest.raises(ValueError, match=r"TemporalSplit: 'val_time'.*at most test_time = 1"):
        TemporalSplit(2, 1)


@pytest.mark.parametrize(
    ("split", "field"),
    [(LatestSplit(), "time"), (TemporalSplit(1, 2), "time"), (PredefinedSplit(), "split")],
)
def test_missing_fields_are_named(split: InteractionSplit, field: str) -> None:
    with pytest.raises(ValueError, match=f"{type(split).__name__}: '{field}'"):
        split(graph(dense(2, 3), 2, 3))


@pytest.mark.parametrize("split", [RandomSplit(), LatestSplit(), PredefinedSplit()])
def test_empty_interactions_are_refused(split: InteractionSplit) -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    none = torch.empty(0, dtype=torch.long)
    with pytest.raises(ValueError, match="at least one link"):
        split(graph(empty, 2, 3, time=none, split=none))


def test_splits_without_training_or_test_links_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one test link.*out of 6"):
        RandomSplit(0.1, 0.0)(graph(dense(2, 3), 2, 3))
    only_test = torch.full((6,), 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="at least one training link"):
        PredefinedSplit()(graph(dense(2, 3), 2, 3, split=only_test))


def test_leave_one_out_without_times_is_random_by_seed() -> None:
    data = graph(dense(40, 20), 40, 20)
    tests = [labels(LeaveOneOut(seed=seed)(data)[2]) for seed in (0, 0, 1)]
    assert torch.equal(tests[0], tests[1])
    assert not torch.equal(tests[0], tests[2])
    assert tests[0][1].unique().numel() > 10
    split = LeaveOneOut(2, 3)
    parts = split(data)
    assert [labels(part)[0].bincount().unique().tolist() for part in parts] == [[15], [2], [3]]
    assert split.remarks(data, parts) == {"users_with_too_few_links": 0}


def test_ties_are_counted_where_they_decide() -> None:
    links = dense(2, 5)
    time = torch.tensor([1, 2, 3, 4, 4, 1, 2, 3, 3, 3])
    data = graph(links, 2, 5, time=time)
    counts = {(1, 1): 2 + 2, (0, 1): 1 + 1, (2, 1): 2 + 3, (0, 2): 0 + 2}  # of both users
    for (val, test), count in counts.items():
        split = LeaveOneOut(val, test)
        assert split.remarks(data, split(data))["ties_decided_at_random"] == count
