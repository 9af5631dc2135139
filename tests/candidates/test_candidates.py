"""Both first passes against probabilities written down one by one."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch_geometric.data import Data, HeteroData

from oracles.candidates import popularity_probabilities, uniform_probabilities
from pyg_negsamp.candidates import Candidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.candidates.bit_filter import BitFilter
from pyg_negsamp.candidates.numbers import integers_below, small_integers_below
from pyg_negsamp.graph import EDGE_TYPE

BOTH = [UniformCandidates, PopularityCandidates]


def graph(num_users: int, num_items: int, links: list[tuple[int, int]]) -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = num_users, num_items
    data[EDGE_TYPE].edge_index = torch.tensor(links, dtype=torch.long).view(-1, 2).t()
    return data


# Users 0..5: some links, neighbours in a row, both ends, all but one, none, repeated links.
LINKS = [(0, 3), (0, 1), (1, 4), (1, 5), (1, 6), (2, 0), (2, 9)]
LINKS += [(3, i) for i in range(10) if i != 7] + [(5, 2), (5, 2), (5, 7)]
DATA = graph(6, 10, LINKS)


def seen(user: int) -> set[int]:
    return {i for u, i in LINKS if u == user}


def frequencies(source: Candidates, user: int, num: int = 40_000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(user)
    drawn = source(torch.full((num // 100,), user), 100, generator)
    assert drawn.shape == (num // 100, 100)
    return torch.bincount(drawn.flatten(), minlength=source.num_items)


def check(counts: torch.Tensor, expected: list[float]) -> None:
    probability = torch.tensor(expected, dtype=torch.double)
    possible = probability > 0
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        assert chisquare(counts[possible], counts.sum() * probability[possible]).pvalue > 1e-3


@pytest.mark.parametrize("user", range(6))
def test_uniform_over_exactly_the_unobserved(user: int) -> None:
    check(frequencies(UniformCandidates(DATA), user), uniform_probabilities(10, seen(user)))


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0, 3.0])
@pytest.mark.parametrize("user", range(6))
def test_proportional_to_popularity_over_exactly_the_unobserved(user: int, power: float) -> None:
    degrees = [sum(i == item for _, i in LINKS) for item in range(10)]
    expected = popularity_probabilities(degrees, seen(user), power)
    check(frequencies(PopularityCandidates(DATA, power), user), expected)


def test_items_without_links_have_no_popularity() -> None:
    source = PopularityCandidates(graph(3, 4, [(0, 1), (1, 3), (2, 3)]))
    assert frequencies(source, 0).tolist() == [0, 0, 0, 40_000]


@pytest.mark.parametrize("cls", BOTH)
def test_never_draws_what_was_seen_on_a_random_graph(cls: type[Candidates]) -> None:
    generator = torch.Generator().manual_seed(3)
    links = torch.stack(
        [
            torch.randint(50, (600,), generator=generator),
            torch.randint(40, (600,), generator=generator),
        ]
    )
    data = graph(50, 40, links.t().tolist())
    drawn = cls(data)(torch.arange(50), 500, generator)
    known = set((links[0] * 40 + links[1]).tolist())
    assert not known & set((torch.arange(50).view(-1, 1) * 40 + drawn).flatten().tolist())
    assert drawn.min() >= 0
    assert drawn.max() < 40


def dense_graph(num_users: int = 60, num_items: int = 150) -> tuple[HeteroData, torch.Tensor]:
    """Users who have seen nothing, a little, a lot, and all but one; and a matrix of it."""
    generator = torch.Generator().manual_seed(9)
    share = torch.linspace(0, 1.1, num_users).unsqueeze(1)
    known = torch.rand(num_users, num_items, generator=generator) < share
    known[:, 17] &= ~known.all(1)
    return graph(num_users, num_items, known.nonzero().tolist()), known


def test_every_unseen_item_is_the_outcome_of_exactly_one_number() -> None:
    data, known = dense_graph()
    source = UniformCandidates(data)
    for user in range(60):
        numbers = torch.arange(150 - int(known[user].sum()))
        outcome = source._outcome(torch.full_like(numbers, user), numbers)
        assert outcome.sort().values.tolist() == (~known[user]).nonzero().flatten().tolist()


def test_the_filter_changes_no_draw() -> None:
    data, _ = dense_graph()
    source, user = UniformCandidates(data), torch.arange(60).repeat(5)
    drawn = source(user, 40, torch.Generator().manual_seed(2))
    limit = 150 - source.known.first.diff()[user].unsqueeze(1)
    number = small_integers_below(limit, 40, torch.Generator().manual_seed(2))
    assert torch.equal(drawn, source._outcome(user.unsqueeze(1), number))
    assert not torch.equal(drawn, number)


def test_the_filter_forgets_no_link_and_rules_out_most_others() -> None:
    generator = torch.Generator().manual_seed(4)
    known = torch.rand(300, 2000, generator=generator) < torch.rand(300, 1) * 0.05
    known[5], known[299] = False, False
    user, item = known.nonzero().unbind(1)
    first = torch.nn.functional.pad(known.sum(1).cumsum(0), (1, 0))
    look = BitFilter(first, user, item)
    perhaps = look(torch.arange(300), torch.arange(2000).expand(300, -1))
    assert perhaps[known].all()
    assert perhaps[~known].double().mean() < 1 / 100


@pytest.mark.parametrize("cls", BOTH)
def test_a_generator_decides(cls: type[Candidates]) -> None:
    source, user = cls(DATA), torch.tensor([0, 1, 0, 2])
    first, second = (source(user, 7, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, source(user, 7, torch.Generator().manual_seed(6)))


@pytest.mark.parametrize("cls", BOTH)
def test_users_who_have_seen_everything_are_named(cls: type[Candidates]) -> None:
    links = [(1, i) for i in range(3)] + [(4, i) for i in range(3)] + [(0, 0)]
    with pytest.raises(ValueError, match=f"{cls.__name__}: 'data' .*drop.*2 users.*1, 4"):
        cls(graph(5, 3, links))


def test_many_such_users_are_not_all_named() -> None:
    with pytest.raises(ValueError, match=r"9 users without: 0, 1, 2, 3, 4, \.\.\."):
        UniformCandidates(graph(9, 1, [(u, 0) for u in range(9)]))


def test_users_who_have_seen_all_that_is_popular_are_named() -> None:
    data = graph(2, 3, [(0, 0), (0, 1), (1, 0)])
    UniformCandidates(data)
    with pytest.raises(ValueError, match="1 users without: 0"):
        PopularityCandidates(data)


@pytest.mark.parametrize("cls", BOTH)
def test_refuses_bad_calls(cls: type[Candidates]) -> None:
    source = cls(DATA)
    with pytest.raises(ValueError, match="'num'"):
        source(torch.tensor([0]), 0)
    for user in (-1, 6):
        with pytest.raises(ValueError, match=r"'user' must be ids in \[0, 6\)"):
            source(torch.tensor([user]), 1)
        with pytest.raises(ValueError, match=r"'user' must be ids in \[0, 6\)"):
            source.can_draw(torch.tensor([user]))
    for no_ids in (torch.tensor([1.9]), torch.tensor([True])):
        with pytest.raises(ValueError, match=f"'user' must be .*integers .*{no_ids.dtype}"):
            source(no_ids, 3)


def test_refuses_bad_graphs_and_powers() -> None:
    for power in (-0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="'power'"):
            PopularityCandidates(DATA, power)
    with pytest.raises(ValueError, match="links"):
        PopularityCandidates(graph(2, 2, []))
    with pytest.raises(ValueError, match="at least one item"):
        UniformCandidates(graph(2, 0, []))
    with pytest.raises(ValueError, match="edge_type"):
        UniformCandidates(DATA, edge_type=("user", "rates", "item"))
    with pytest.raises(ValueError, match="items in"):
        UniformCandidates(graph(2, 2, [(0, 2)]))


def test_a_graph_without_links_leaves_everything_open() -> None:
    check(frequencies(UniformCandidates(graph(1, 5, [])), 0), [0.2] * 5)


def test_homogeneous_graphs_exclude_known_links_and_oneself() -> None:
    data = Data(edge_index=torch.tensor([[0, 0, 2], [1, 3, 0]]), num_nodes=5)
    check(frequencies(UniformCandidates(data), 0), [0, 0, 0.5, 0, 0.5])
    check(frequencies(UniformCandidates(data), 4), [0.25, 0.25, 0.25, 0.25, 0])


def test_arithmetic_holds_for_more_keys_than_a_double_can_tell_apart() -> None:
    """Keys reach 10^16, beyond float64 and far beyond int32, and nothing of that size is made."""
    num_users, num_items = 4 * 10**6, 3 * 10**9  # more, and PyG refuses to sort the links
    user, item = num_users - 1, num_items - 1
    links = [(user, 0), (user, 1), (user, item), (user - 1, 17), (0, item)]
    source = UniformCandidates(graph(num_users, num_items, links))
    assert source.known.key.numel() == len(links)
    assert source.known.key.max() > 2**53
    drawn = source(torch.tensor([user, 0, user - 1]), 1000)
    assert 0 <= drawn.min() <= drawn.max() < num_items
    # The last user's numbers reach item - 3; the first two unseen items above stand in for 0 and 1.
    assert source.stand_in[-3:-1].tolist() == [item - 2, item - 1]


def test_popularity_line_is_shortened_where_users_would_overflow() -> None:
    num = 10**7
    data = graph(num, 4, [(num - 1, 0), (num - 1, 1), (0, 1), (0, 2), (5, 3)])
    source = PopularityCandidates(data)
    assert source.num_users * source.total < 2**63
    degrees = [1, 2, 1, 1]
    check(frequencies(source, num - 1), popularity_probabilities(degrees, {0, 1}, 0.75))
    check(frequencies(source, 7), popularity_probabilities(degrees, set(), 0.75))


def test_integers_below_reaches_both_ends_and_no_further() -> None:
    limit = torch.tensor([[1], [2], [2**53]])
    drawn = integers_below(limit, 5000, torch.Generator().manual_seed(0))
    assert drawn[0].unique().tolist() == [0]
    assert drawn[1].unique().tolist() == [0, 1]
    assert drawn[2].max() < 2**53
    # The largest number that torch can draw must not round up to the limit.
    top = torch.tensor(1 - 2**-53, dtype=torch.double)
    for size in (3, 10, 2**27 + 1, 10**16 // 3, 2**53):
        assert int((top * size).long()) == size - 1


@pytest.mark.parametrize("num", [1, 2, 7])
def test_small_integers_are_uniform_and_within(num: int) -> None:
    limit = torch.tensor([[1], [6], [2**20]]).repeat(6000, 1)
    drawn = small_integers_below(limit, num, torch.Generator().manual_seed(0)).view(-1, 3, num)
    assert (drawn[:, 0] == 0).all()
    assert drawn[:, 2].min() >= 0
    assert drawn[:, 2].max() < 2**20
    for column in range(num):
        check(torch.bincount(drawn[:, 1, column], minlength=6), [1 / 6] * 6)
        check(torch.bincount(drawn[:, 2, column] >> 17, minlength=8), [1 / 8] * 8)


def test_two_small_integers_of_one_double_are_independent() -> None:
    half, limit = 4, torch.full((3000, 1), 5)
    drawn = small_integers_below(limit, 2 * half, torch.Generator().manual_seed(1)).long()
    pair = drawn[:, :half] * 5 + drawn[:, half:]
    check(torch.bincount(pair.flatten(), minlength=25), [1 / 25] * 25)
    # The largest number that can be drawn leaves a second one below the limit, too.
    for size in (1, 3, 40981, 2**20 - 1, 2**20):
        unit = torch.tensor(1 - 2**-53, dtype=torch.double) * size
        assert int(unit) == size - 1
        assert int(unit.frac() * size) <= size - 1


@pytest.mark.parametrize("cls", BOTH)
def test_moves_and_copies_and_stays_out_of_checkpoints(cls: type[Candidates]) -> None:
    source = cls(DATA).to("cpu")
    assert not source.state_dict()
    assert cls.__name__ in repr(source)


@pytest.mark.parametrize("cls", BOTH)
def test_gives_back_what_users_have_seen(cls: type[Candidates]) -> None:
    row, item = cls(DATA).known.of(torch.tensor([3, 4, 0, 5]))
    expected = [(0, i) for i in sorted(seen(3))] + [(2, 1), (2, 3), (3, 2), (3, 7)]
    assert list(zip(row.tolist(), item.tolist(), strict=True)) == expected


def test_log_mass_is_the_log_probability_up_to_a_constant() -> None:
    degrees = torch.tensor([sum(i == item for _, i in LINKS) for item in range(10)])
    mass = PopularityCandidates(DATA, 0.75).log_mass(torch.arange(10))
    expected = 0.75 * degrees.double().log()
    torch.testing.assert_close(mass - mass[0], expected - expected[0], atol=1e-9, rtol=0)
    assert not UniformCandidates(DATA).log_mass(torch.arange(10)).any()


def test_a_huge_power_is_the_most_popular_alone() -> None:
    source = PopularityCandidates(DATA, power=400.0)
    degrees = [sum(i == item for _, i in LINKS) for item in range(10)]
    assert max(degrees) == degrees[2] == 3
    assert frequencies(source, 0)[2] == 40_000
    assert frequencies(source, 5)[2] == 0  # has seen it


@pytest.mark.parametrize("cls", BOTH)
def test_narrow_user_ids_do_not_overflow(cls: type[Candidates]) -> None:
    num = 70_000
    data = graph(num, num, [(num - 1, item) for item in range(0, num, 2)] + [(0, 1)])
    source, user = cls(data), torch.full((50,), num - 1, dtype=torch.int32)
    drawn = source(user, 100)
    assert (drawn % 2 == 1).all()
    item = torch.tensor([0, 1], dtype=torch.int32)
    assert source.known.hold(user[:1], item).tolist() == [True, False]
