"""Groups of users and of items, against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.evaluation import (
    METRICS,
    evaluate,
    evaluate_groups,
    evaluate_users,
    full_rank,
    item_thirds,
    measure,
    measured,
    user_quartiles,
)
from pyg_negsamp.graph import EDGE_TYPE


def test_quartiles_keep_equally_active_users_together() -> None:
    assert user_quartiles(torch.arange(8)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert user_quartiles(torch.tensor([5, 1, 1, 1, 5, 5, 5, 5])).tolist() == [
        1,
        0,
        0,
        0,
        1,
        1,
        1,
        1,
    ]
    assert user_quartiles(torch.tensor([5, 5, 1, 5, 5])).tolist() == [0] * 5
    assert user_quartiles(torch.tensor([3])).tolist() == [0]


def test_thirds_have_equally_many_links() -> None:
    count = torch.tensor([1, 6, 0, 2, 2, 3, 4, 0])
    assert item_thirds(count).tolist() == [2, 0, 2, 2, 2, 1, 1, 2]
    assert item_thirds(torch.zeros(3).long()).tolist() == [2, 2, 2]
    assert item_thirds(torch.tensor([9, 1])).tolist() == [0, 2]


@pytest.fixture
def problem() -> tuple[dict, HeteroData, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(40, 30, generator=generator) < torch.linspace(0.05, 0.5, 30)
    held_out = (torch.rand(40, 30, generator=generator) < 0.15) & ~known
    held_out[3] = False
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 40, 30
    data[EDGE_TYPE].edge_index = known.nonzero().t()
    data[EDGE_TYPE].edge_label_index = held_out.nonzero().t()
    x_dict = {
        "user": torch.randn(40, 4, generator=generator),
        "item": torch.randn(30, 4, generator=generator),
    }
    return x_dict, data, known.sum(dim=1), known.sum(dim=0)


def test_counts_are_one_for_each(problem: tuple) -> None:
    x_dict, data, by_user, by_item = problem
    for wrong in (by_user[:1], by_user.repeat(2), by_user.float(), by_user.tolist()):
        with pytest.raises(ValueError, match=r"'user_count' must be \[40\] integers"):
            evaluate_groups(x_dict, data, wrong, by_item)
    with pytest.raises(ValueError, match=r"'item_count' must be \[30\] integers"):
        evaluate_groups(x_dict, data, by_user, by_item[1:])


def test_groups_of_users_are_means_over_their_members(problem: tuple) -> None:
    x_dict, data, by_user, by_item = problem
    user, values = evaluate_users(x_dict, data, (5,), ("Recall", "NDCG"))
    found = [
        group
        for group in evaluate_groups(x_dict, data, by_user, by_item, (5,), ("Recall", "NDCG"))
        if group.by == "users"
    ]
    assert [group.name for group in found] == [f"quartile {n}" for n in range(1, 5)]
    assert sum(group.users for group in found) == len(user)
    for group in found:
        within = (by_user[user] >= group.least) & (by_user[user] <= group.most)
        assert int(within.sum()) == group.users
        members = set(user[within].tolist())
        links = data[EDGE_TYPE].edge_label_index[0].tolist()
        assert group.held_out == sum(owner in members for owner in links)
        for name, value in values.items():
            assert group.metrics[name] == pytest.approx(float(value[within].mean()))


def test_groups_of_items_have_their_held_out_links_only(problem: tuple) -> None:
    """All items compete: a group's metrics are those of the split with the others left out."""
    x_dict, data, by_user, by_item = problem
    data["item"].category = torch.arange(30) % 4  # so that there is something of every metric
    names = tuple(METRICS)
    found = [
        group
        for group in evaluate_groups(x_dict, data, by_user, by_item, (5, 10), names)
        if group.by == "items"
    ]
    assert [group.name for group in found] == ["head", "middle", "tail"]
    index = data[EDGE_TYPE].edge_label_index
    for number, group in enumerate(found):
        only = data.clone()
        only[EDGE_TYPE].edge_label_index = index[:, item_thirds(by_item)[index[1]] == number]
        assert group.held_out == only[EDGE_TYPE].edge_label_index.size(1)
        assert group.metrics == pytest.approx(evaluate(x_dict, only, (5, 10), names))
    assert sum(group.held_out for group in found) == index.size(1)


def test_users_without_any_known_link_are_a_group_of_their_own(problem: tuple) -> None:
    """And not in the first quartile, where a user is whose links are known but not trained on."""
    x_dict, data, by_user, by_item = problem
    store = data[EDGE_TYPE]
    new, untrained = (
        [u for u in store.edge_label_index[0].unique().tolist() if bool(by_user[u] > 4)][n::2]
        for n in (0, 1)
    )
    store.edge_index = store.edge_index[:, ~torch.isin(store.edge_index[0], torch.tensor(new))]
    by_user[new], by_user[untrained] = 0, 0
    names = ("Recall", "Coverage")
    first, *quartiles = evaluate_groups(x_dict, data, by_user, by_item, (5,), names)[:-3]
    assert (first.by, first.name, first.least, first.most) == ("users", "new", 0, 0)
    assert quartiles[0].name == "quartile 1"
    assert quartiles[0].least == 0
    assert first.users == len(new)
    only = data.clone()
    mine = torch.isin(store.edge_label_index[0], torch.tensor(new))
    only[EDGE_TYPE].edge_label_index = store.edge_label_index[:, mine]
    assert first.held_out == int(mine.sum())
    assert first.metrics == pytest.approx(evaluate(x_dict, only, (5,), names))
    assert first.users + sum(g.users for g in quartiles) == len(store.edge_label_index[0].unique())


def test_one_ranking_tells_what_several_do(problem: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    x_dict, data, by_user, by_item = problem
    ranked: list[int] = []
    rank = measured.rank
    monkeypatch.setattr(measured, "rank", lambda *args: ranked.append(1) or rank(*args))
    monkeypatch.setattr(full_rank, "USERS_COUNTED", 7)
    found = measure(x_dict, data, by_user, by_item, (5, 10))
    assert len(ranked) == 1
    assert found.metrics == pytest.approx(evaluate(x_dict, data, (5, 10)))
    groups = evaluate_groups(x_dict, data, by_user, by_item, (5, 10))
    for group, other in zip(found.groups, groups, strict=True):
        assert group.metrics == pytest.approx(other.metrics)
        assert replace(group, metrics={}) == replace(other, metrics={})
    user, values = evaluate_users(x_dict, data, (5, 10))
    assert torch.equal(found.user, user)
    assert found.by_user.keys() == values.keys()
    for name, value in values.items():
        torch.testing.assert_close(found.by_user[name], value)
    # Held-out links, sorted; the share of a user's that is hit is that user's recall.
    assert torch.equal(found.link, data[EDGE_TYPE].edge_label_index.unique(dim=1))
    for number, one in enumerate(user.tolist()):
        recall = found.hit[found.link[0] == one].double().mean()
        assert float(recall) == pytest.approx(float(values["Recall@5"][number]), abs=1e-6)
    # Where users have no values, there are none.
    found = measure(x_dict, data, by_user, by_item, (5,), ("Coverage",))
    assert (found.metrics.keys(), found.by_user) == ({"Coverage@5"}, {})


@pytest.mark.parametrize("k", [(5, 10), (10, 5)])
def test_blocks_and_the_order_of_lengths_do_not_show(
    problem: tuple, k: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three users at a time, and metrics of each length by itself."""
    whole = [evaluate_groups(*problem, (n,)) for n in k]
    monkeypatch.setitem(full_rank.BLOCK_BYTES, "cpu", 3 * 30 * 4)
    for group, *alone in zip(evaluate_groups(*problem, k), *whole, strict=True):
        metrics = alone[0].metrics | alone[1].metrics
        assert group.metrics == pytest.approx(metrics, abs=1e-6)
        assert replace(group, metrics={}) == replace(alone[0], metrics={})


def test_groups_without_held_out_links_are_left_out(problem: tuple) -> None:
    x_dict, data, by_user, by_item = problem
    store = data[EDGE_TYPE]
    head = item_thirds(by_item)[store.edge_label_index[1]] == 0
    store.edge_label_index = store.edge_label_index[:, head]
    names = {group.name for group in evaluate_groups(x_dict, data, by_user, by_item)}
    assert "head" in names
    assert not names & {"middle", "tail"}


def test_quartiles_of_many_users() -> None:
    """Torch's own quantiles are of 2^24 numbers at most."""
    quartile = user_quartiles(torch.arange(2**24 + 4))
    assert quartile.bincount().tolist() == [2**22 + 1] * 4
