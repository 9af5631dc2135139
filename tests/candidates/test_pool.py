"""Draws out of pools against sets, one id at a time; and what every first pass knows as seen."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from pyg_negsamp.candidates import (
    Candidates,
    PoolCandidates,
    PopularityCandidates,
    UniformCandidates,
)
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import MF
from pyg_negsamp.testing import toy
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import SAMPLERS, SRNS, ContrastiveDNS

Pairs = list[tuple[int, int]]
SHOWN = ("user", "was_shown", "item")
SIMILAR = ("item", "is_like", "item")

U, I = 6, 10  # noqa: E741
# Users 0..5: some links, neighbours in a row, both ends, all but one, none, repeated links.
LINKS = [(0, 3), (0, 1), (1, 4), (1, 5), (1, 6), (2, 0), (2, 9)]
LINKS += [(3, i) for i in range(10) if i != 7] + [(5, 2), (5, 2), (5, 7)]
# One left, all cut but the ends, neither end, a single entry, only unseen ones, repeated entries;
# not in order.
POOL = [(5, 9), (0, 8), (0, 3), (0, 1)] + [(1, i) for i in (9, 6, 5, 4, 0)]
POOL += [(2, i) for i in range(10)] + [(3, 7), (3, 2), (4, 5), (4, 6), (4, 7)]
POOL += [(5, i) for i in (2, 3, 3, 4, 9, 7, 3)]


def index(pairs: Pairs) -> Tensor:
    return torch.tensor(pairs, dtype=torch.long).view(-1, 2).t()


def graph(links: Pairs = LINKS, num_users: int = U, num_items: int = I) -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = num_users, num_items
    data[EDGE_TYPE].edge_index = index(links)
    return data


def with_pool(pool: Pairs = POOL, links: Pairs = LINKS) -> HeteroData:
    data = graph(links)
    data[SHOWN].edge_index = index(pool)
    return data


def csr(entries: Pairs, num_rows: int, num_items: int = I) -> Tensor:
    """A matrix `[R, I]` with ones; the sparse layouts of torch add repeats up."""
    size = (num_rows, num_items)
    return torch.sparse_coo_tensor(index(entries), torch.ones(len(entries)), size).to_sparse_csr()


def seen(user: int, links: Pairs = LINKS) -> set[int]:
    return {i for u, i in links if u == user}


def row_of(pool: Pairs, row: int) -> set[int]:
    return {i for r, i in pool if r == row}


def check_uniform(drawn: Tensor, expected: set[int]) -> None:
    """Exactly these items, equally often."""
    counts = torch.bincount(drawn.flatten(), minlength=I)
    assert set(counts.nonzero().flatten().tolist()) == expected
    if len(expected) > 1:
        assert chisquare(counts[sorted(expected)]).pvalue > 1e-4  # one of hundreds


def draw(source: Candidates, user: int, pos: int | None = None, num: int = 5000) -> Tensor:
    users = torch.full((num // 50,), user)
    positives = None if pos is None else torch.full((num // 50,), pos)
    drawn = source(users, 50, torch.Generator().manual_seed(user + 1), positives)
    assert drawn.shape == (num // 50, 50)
    assert drawn.dtype == torch.long
    return drawn


# What is drawn ----------------------------------------------------------------------------------


@pytest.mark.parametrize("user", range(U))
def test_uniform_over_exactly_the_unobserved_of_the_users_pool(user: int) -> None:
    expected = row_of(POOL, user) - seen(user)
    assert expected  # the problem is a good one
    source = PoolCandidates(with_pool(), SHOWN)
    check_uniform(draw(source, user), expected)
    check_uniform(draw(source, user, pos=0), expected)  # whatever the positive


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
@pytest.mark.parametrize("user", range(U))
def test_a_sparse_matrix_is_a_pool_per_user(user: int, layout: str) -> None:
    pool = csr(POOL, U)
    if layout != "csr":
        pool = pool.to_sparse_csc() if layout == "csc" else pool.to_sparse_coo()
    drawn = draw(PoolCandidates(graph(), pool), user)
    check_uniform(drawn, row_of(POOL, user) - seen(user))
    assert torch.equal(drawn, draw(PoolCandidates(with_pool(), SHOWN), user))


@pytest.mark.parametrize("user", range(U))
def test_one_row_for_everybody(user: int) -> None:
    stock = {0, 2, 4, 7, 9}
    source = PoolCandidates(
        graph(), csr([(0, i) for i in stock], 1), row=torch.zeros(U, dtype=torch.long)
    )
    check_uniform(draw(source, user), stock - seen(user))


# Pools by item: what each item may be compared with, among it the item itself.
LIKE = [(i, j) for i in range(I) for j in range(I) if (i + j) % 3 == 0 or j in (7, 8)]
# Categories 0..2 of the ten items; the last one holds what user 3 has not seen.
CATEGORY = [0, 1, 2, 0, 1, 2, 0, 2, 1, 2]
MEMBERS = [(c, i) for i, c in enumerate(CATEGORY)]


@pytest.mark.parametrize("user", [0, 1, 2, 5])
def test_pools_by_item_as_an_edge_type(user: int) -> None:
    data = graph()
    data[SIMILAR].edge_index = index(LIKE + LIKE[:7])
    source = PoolCandidates(data, SIMILAR, by="item")
    for pos in seen(user):
        check_uniform(draw(source, user, pos), row_of(LIKE, pos) - seen(user))


@pytest.mark.parametrize(
    ("user", "pos"), [(u, p) for u, p in sorted(set(LINKS)) if u != 3 or CATEGORY[p] == 2]
)
def test_pools_of_the_positives_category(user: int, pos: int) -> None:
    members = csr(MEMBERS, 3)
    source = PoolCandidates(graph(), members, row=torch.tensor(CATEGORY), by="item")
    check_uniform(draw(source, user, pos), row_of(MEMBERS, CATEGORY[pos]) - seen(user))


def test_rows_of_a_batch_do_not_mix() -> None:
    """Users repeated and with different positives, in one call."""
    source = PoolCandidates(graph(), csr(MEMBERS, 3), row=torch.tensor(CATEGORY), by="item")
    pairs = [(1, 4), (0, 1), (1, 5), (0, 3), (5, 2), (1, 4), (4, 0)]
    user, pos = index(pairs)
    drawn = source(user, 400, torch.Generator().manual_seed(3), pos)
    for row, (u, p) in zip(drawn, pairs, strict=True):
        check_uniform(row, row_of(MEMBERS, CATEGORY[p]) - seen(u))


def test_a_pool_of_everything_is_every_unobserved_item() -> None:
    source = PoolCandidates(graph(), csr(list(itertools.product(range(U), range(I))), U))
    for user in range(U):
        check_uniform(draw(source, user), set(range(I)) - seen(user))


def test_repeats_in_pool_and_links_count_once() -> None:
    pool = [(0, 1)] * 9 + [(0, 2), (0, 4), (0, 4), (0, 5)]
    data = graph([(0, 5)] * 4 + [(0, 0)])
    data[SHOWN].edge_index = index(pool)
    check_uniform(draw(PoolCandidates(data, SHOWN), 0), {1, 2, 4})
    data[SIMILAR].edge_index = index(pool)
    check_uniform(draw(PoolCandidates(data, SIMILAR, by="item"), 0, pos=0), {1, 2, 4})


def test_never_outside_the_pool_on_a_random_graph() -> None:
    generator = torch.Generator().manual_seed(3)
    known = torch.rand(50, 40, generator=generator) < 0.3
    pool = torch.rand(50, 40, generator=generator) < 0.4
    assert (pool & ~known).any(1).all()
    data = graph(known.nonzero().tolist(), 50, 40)
    source = PoolCandidates(data, pool.float().to_sparse_csr())
    drawn = source(torch.arange(50), 800, generator)
    for user in range(50):
        allowed = {i for i in range(40) if pool[user, i] and not known[user, i]}
        assert set(drawn[user].tolist()) == allowed


def test_homogeneous_graphs_leave_oneself_out() -> None:
    links = [(0, 1), (0, 3), (2, 0)]
    data = Data(edge_index=index(links), num_nodes=5)
    source = PoolCandidates(data, csr([(0, i) for i in (0, 1, 2, 4)], 1, 5), torch.zeros(5).long())
    check_uniform(draw(source, 0), {2, 4})
    check_uniform(draw(source, 2), {1, 4})
    check_uniform(draw(source, 3), {0, 1, 2, 4})


def test_other_names_and_other_links_in_the_data() -> None:
    edge_type = ("reader", "reads", "book")
    data = HeteroData()
    data["reader"].num_nodes, data["book"].num_nodes = U, I
    data[edge_type].edge_index = index(LINKS)
    data["reader", "opened", "book"].edge_index = index(POOL)
    source = PoolCandidates(data, ("reader", "opened", "book"), edge_type=edge_type)
    check_uniform(draw(source, 1), row_of(POOL, 1) - seen(1))


def test_a_generator_decides() -> None:
    source, user = PoolCandidates(with_pool(), SHOWN), torch.tensor([5, 2, 0, 2])
    first, second = (source(user, 9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, source(user, 9, torch.Generator().manual_seed(6)))
    before = torch.random.get_rng_state()
    source(user, 9, torch.Generator().manual_seed(5))
    assert torch.equal(before, torch.random.get_rng_state())


def test_stays_out_of_checkpoints() -> None:
    assert not PoolCandidates(with_pool(), SHOWN).state_dict()


def test_ids_far_beyond_float32() -> None:
    """Row times items reaches 10^14; nothing of the size of users or items squared is made."""
    num = 10**7
    last = num - 1
    data = graph([(last, 0), (last, last), (0, 3)], num, num)
    data[SHOWN].edge_index = index([(last, i) for i in (0, 7, last - 1, last)] + [(0, last)])
    source = PoolCandidates(data, SHOWN)
    drawn = source(torch.tensor([last, 0]), 200, torch.Generator().manual_seed(0))
    assert set(drawn[0].tolist()) == {7, last - 1}
    assert set(drawn[1].tolist()) == {last}


# Within samplers --------------------------------------------------------------------------------


def toy_pool() -> tuple[HeteroData, Callable[[int], set[int]]]:
    """The toy graph with a pool per user, of seven items; and what each user may be given."""
    data = toy().data
    links = data[EDGE_TYPE].edge_index.t().tolist()
    generator = torch.Generator().manual_seed(4)
    pool = [(u, int(i)) for u in range(7) for i in torch.randperm(12, generator=generator)[:7]]
    data[SHOWN].edge_index = index(pool)
    return data, lambda user: row_of(pool, user) - seen(user, list(map(tuple, links)))


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_keeps_to_the_users_pool_or_says_why_not(name: str) -> None:
    problem, (data, allowed) = toy(), toy_pool()
    cls = SAMPLERS[name]
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    source = PoolCandidates(data, SHOWN)
    if name == "midx" or not cls.takes_candidates:
        with pytest.raises(ValueError, match=r"'candidates' must be .*without pools"):
            cls(source)
        return
    sampler = cls(source, num_negatives=2, num_candidates=5, **own).double()
    sampler.refresh(problem.x_dict())
    for seed in range(10):
        chosen = sampler.sample(
            problem.user,
            problem.pos,
            problem.user_xs,
            problem.item_xs,
            generator=torch.Generator().manual_seed(seed),
        ).index
        assert chosen is not None
        for user, items in zip(problem.user.tolist(), chosen, strict=True):
            assert set(items.flatten().tolist()) <= allowed(user)


def test_pools_say_what_may_be_drawn() -> None:
    data, allowed = toy_pool()
    every = torch.arange(12)
    for items in (None, torch.arange(9)):
        source = PoolCandidates(data, SHOWN, items=items)
        may = source.may_be_drawn(torch.arange(7).unsqueeze(1), every)
        for user, row in enumerate(may):
            assert set(every[row].tolist()) == {i for i in allowed(user) if items is None or i < 9}


@pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates, PoolCandidates])
def test_probabilities_of_what_may_be_drawn_are_one_in_all(source: type) -> None:
    data, _ = toy_pool()
    made = source(data, SHOWN) if source is PoolCandidates else source(data)
    user, every = torch.arange(7), torch.arange(12).expand(7, -1)
    may = made.may_be_drawn(user.unsqueeze(1), every)
    q = made.log_q(user, every).exp() * may
    torch.testing.assert_close(q.sum(dim=1), torch.ones(7).double())
    drawn = made(user, 20_000, torch.Generator().manual_seed(0))
    share = torch.stack([row.bincount(minlength=12) for row in drawn]) / 20_000
    torch.testing.assert_close(share.double(), q, rtol=0, atol=0.015)


def by_category(num_items: int, data: HeteroData) -> tuple[PoolCandidates, Tensor]:
    category = torch.arange(num_items) % 2
    members = torch.nn.functional.one_hot(category).t().float().to_sparse_csr()
    return PoolCandidates(data, members, row=category, by="item"), category


@pytest.mark.parametrize("name", ["rns", "pns", "dns", "mixgcf", "dins", "dens", "irgan", "pris"])
def test_samplers_pass_the_positives_on(name: str) -> None:
    problem = toy()
    source, category = by_category(12, problem.data)
    cls = SAMPLERS[name]
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    sampler = cls(source, num_negatives=2, num_candidates=4, **own).double()
    links = list(map(tuple, problem.data[EDGE_TYPE].edge_index.t().tolist()))
    for out in (
        sampler.sample(problem.user, problem.pos, problem.user_xs, problem.item_xs).index,
        sampler(problem.batch(), problem.x_dict())["item"].dst_neg_index,
    ):
        for user, pos, items in zip(problem.user.tolist(), problem.pos, out, strict=True):
            assert (category[items] == category[pos]).all()
            assert not set(items.flatten().tolist()) & seen(user, links)


@pytest.mark.parametrize("by", ["user", "item"])
@pytest.mark.parametrize("name", ["rns", "dns", "dins"])
def test_training_keeps_to_the_pool(name: str, by: str, tmp_path: Path) -> None:
    train_data, val_data, _ = SyntheticInteractions("tiny")
    num_users, num_items = train_data["user"].num_nodes, train_data["item"].num_nodes
    links = list(map(tuple, train_data[EDGE_TYPE].edge_index.t().tolist()))
    even = {i for i in range(num_items) if i % 2 == 0}
    if by == "user":
        source = PoolCandidates(
            train_data,
            csr([(0, i) for i in even], 1, num_items),
            row=torch.zeros(num_users, dtype=torch.long),
        )
    else:
        source, _ = by_category(num_items, train_data)
    sampler = SAMPLERS[name](source, num_candidates=3)
    trained: list[tuple[int, int, set[int]]] = []
    choose = sampler.choose

    def listen(user: Tensor, pos: Tensor, *args: object, **kwargs: object) -> object:
        chosen = choose(user, pos, *args, **kwargs)
        items = [set(row.flatten().tolist()) for row in chosen.index]
        trained.extend(zip(user.tolist(), pos.tolist(), items, strict=True))
        return chosen

    sampler.choose = listen
    model = Recommender(MF(train_data, dim=4), sampler)
    plain = {"epochs": 1, "batch_size": 200, "device": "cpu", "diagnostics": "none"}
    fit(model, train_data, val_data, tmp_path, **plain)
    assert sorted((u, p) for u, p, _ in trained) == sorted(links)
    for user, pos, items in trained:
        side = even if by == "user" or pos in even else set(range(num_items)) - even
        assert items
        assert items <= side - seen(user, links)


def test_the_memory_of_srns_keeps_to_the_pool() -> None:
    problem, (data, allowed) = toy(), toy_pool()
    sampler = SRNS(PoolCandidates(data, SHOWN), num_candidates=4, num_new=3).double()
    for seed in range(5):
        sampler.refresh(problem.x_dict())
        sampler.sample(
            problem.user,
            problem.pos,
            problem.user_xs,
            problem.item_xs,
            generator=torch.Generator().manual_seed(seed),
        )
        for user, items in enumerate(sampler.memory.tolist()):
            assert set(items) <= allowed(user)


def test_srns_needs_pools_by_user() -> None:
    source, _ = by_category(12, toy().data)
    with pytest.raises(ValueError, match="SRNS: 'candidates' must be pools by user"):
        SRNS(source)


@pytest.mark.parametrize("mode", ["dissimilar", "similar", "random"])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_what_contrastive_dns_retrieves_is_in_the_pool(mode: str, k: int) -> None:
    problem, (data, allowed) = toy(num_layers=0), toy_pool()
    sampler = ContrastiveDNS(PoolCandidates(data, SHOWN), k=k, mode=mode, num_negatives=4).double()
    sampler.set_epoch(sampler.n, 99)
    sampler.refresh(problem.x_dict())
    users, items = problem.user_xs[0], problem.item_xs[0]
    for user, retrieved in enumerate(sampler.retrieved.tolist()):
        if mode == "random":
            assert set(retrieved) <= allowed(user)
            continue
        sign = 1 if mode == "similar" else -1
        cosine = {
            i: sign * float(users[user] @ items[i] / users[user].norm() / items[i].norm())
            for i in allowed(user)
        }
        best = sorted(cosine, key=lambda i: -cosine[i])[:k]
        assert retrieved == best + [best[0]] * (k - len(best))
    drawn = sampler.draw(problem.user, problem.pos, torch.Generator().manual_seed(0))
    for user, row in zip(problem.user.tolist(), drawn.tolist(), strict=True):
        assert set(row) <= allowed(user)
        assert set(row[1:]) <= set(sampler.retrieved[user].tolist())


def test_contrastive_dns_retrieves_by_user() -> None:
    expected = (
        r"ContrastiveDNS: 'candidates' must be with pools of users, .*\(got pools by='item'\)"
    )
    with pytest.raises(ValueError, match=expected):
        ContrastiveDNS(by_category(12, toy().data)[0], k=3, n=1)


# Errors -----------------------------------------------------------------------------------------


def test_refuses_whose_pool_it_does_not_know() -> None:
    for by in ("users", "pos", ""):
        with pytest.raises(ValueError, match="PoolCandidates: 'by' must be one of 'user', 'item'"):
            PoolCandidates(with_pool(), SHOWN, by=by)


@pytest.mark.parametrize("by", ["user", "item"])
def test_refuses_rows_that_do_not_fit(by: str) -> None:
    size = U if by == "user" else I
    everything = csr(list(itertools.product(range(2), range(I))), 2)
    for row in (
        torch.zeros(size + 1),
        torch.zeros(size - 1),
        torch.zeros(size, 1),
        torch.full((size,), 2),
        torch.full((size,), -1),
        None,  # ids themselves are no rows of a matrix with two
    ):
        expected = rf"'row' must be \[{size}\], a row of the pool in \[0, 2\) for each {by}"
        with pytest.raises(ValueError, match=expected):
            PoolCandidates(graph(), everything, row=row, by=by)
    PoolCandidates(graph(), everything, row=torch.ones(size).long(), by=by)


def test_refuses_pools_that_do_not_fit() -> None:
    for columns in (I - 1, I + 1):
        with pytest.raises(ValueError, match=rf"'pool' must be \[rows, {I}\]"):
            PoolCandidates(graph(), csr([(u, 0) for u in range(U)], U, columns))
    for dense in (torch.ones(U, I), [[0, 1]], None):
        with pytest.raises(ValueError, match="'pool' must be an edge type or a sparse matrix"):
            PoolCandidates(graph(), dense)
    # An edge type is from users to items, or from items to items.
    data = with_pool([*POOL, (I - 1, 0)])
    with pytest.raises(ValueError, match=f"'pool' must be links from {U} ids to {I} items"):
        PoolCandidates(data, SHOWN)
    data[SHOWN].edge_index = index([*POOL, (0, I)])
    with pytest.raises(ValueError, match=f"'pool' must be links from {U} ids to {I} items"):
        PoolCandidates(data, SHOWN)


@pytest.mark.parametrize("by", ["user", "item"])
def test_refuses_edge_types_between_others(by: str) -> None:
    """Also where the ids would fit: read the other way round they mean something else."""
    data = with_pool()
    links = index([(u, i) for u in range(U) for i in range(U)])
    kinds = [("item", "shown_to", "user"), ("user", "knows", "user"), ("shop", "has", "item")]
    kinds.append(("item", "like", "item") if by == "user" else SHOWN)
    data["shop"].num_nodes = U
    for kind in kinds:
        data[kind].edge_index = links
        with pytest.raises(ValueError, match=f"'pool' must be an edge type from '{by}' to 'item'"):
            PoolCandidates(data, kind, by=by)


def test_pools_have_the_ends_of_the_interactions() -> None:
    kind, shown = ("reader", "reads", "book"), ("reader", "saw", "book")
    data = HeteroData()
    data["reader"].num_nodes, data["book"].num_nodes = U, I
    data[kind].edge_index, data[shown].edge_index = index(LINKS), index(POOL)
    source = PoolCandidates(data, shown, edge_type=kind)
    assert torch.equal(source.allowed, PoolCandidates(with_pool(), SHOWN).allowed)


def test_refuses_edge_types_without_links() -> None:
    data = with_pool()
    data["user", "likes", "item"].time = torch.zeros(3)
    for edge_type in (("user", "was_sold", "item"), ("user", "likes", "item")):
        with pytest.raises(ValueError, match=r"'pool' must be an edge type with links.*was_shown"):
            PoolCandidates(data, edge_type)
    homogeneous = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
    with pytest.raises(ValueError, match=r"'pool' must be an edge type with links.*Data"):
        PoolCandidates(homogeneous, SHOWN)


def test_names_users_with_links_and_nothing_to_draw() -> None:
    pool = [pair for pair in POOL if pair[0] != 1] + [(1, 4), (1, 6)]  # all seen
    pool = [pair for pair in pool if pair[0] != 5]  # none at all
    with pytest.raises(
        ValueError, match=r"PoolCandidates: 'pool' .*\(got 2 users without, such as 1, 5\)"
    ):
        PoolCandidates(with_pool(pool), SHOWN)


def test_users_without_links_may_have_no_pool_until_they_draw() -> None:
    source = PoolCandidates(with_pool([pair for pair in POOL if pair[0] != 4]), SHOWN)
    source(torch.tensor([0, 1, 2, 3, 5]), 3)
    with pytest.raises(ValueError, match="1 users without, such as 4"):
        source(torch.tensor([0, 4, 4]), 3)
    assert source.who_can_draw().tolist() == [0, 1, 2, 3, 5]
    xs = torch.ones(source.num_users, 2), torch.ones(source.num_items, 2)
    with pytest.raises(ValueError, match="1 users without, such as 4"):
        SRNS(source, check_positives=False).sample(torch.tensor([4]), torch.tensor([0]), *xs)


def test_by_item_what_is_empty_shows_in_the_draw() -> None:
    source = PoolCandidates(graph(), csr(MEMBERS, 3), row=torch.tensor(CATEGORY), by="item")
    with pytest.raises(ValueError, match="1 users without, such as 3"):
        source(torch.tensor([0, 3]), 2, pos=torch.tensor([1, 0]))
    with pytest.raises(ValueError, match="'pos' must be given"):
        source(torch.tensor([0]), 2)


def test_refuses_bad_calls() -> None:
    source = PoolCandidates(with_pool(), SHOWN)
    with pytest.raises(ValueError, match="'num'"):
        source(torch.tensor([0]), 0)
    for user in (-1, U):
        with pytest.raises(ValueError, match=r"'user' must be ids in \[0, 6\)"):
            source(torch.tensor([user]), 1)


# What was seen ----------------------------------------------------------------------------------


SOURCES: dict[str, Callable[[HeteroData | Data], Candidates]] = {
    "uniform": UniformCandidates,
    "popularity": PopularityCandidates,
    "plain popularity": lambda data: PopularityCandidates(data, power=1.0),
    "popularity to the power of 0": lambda data: PopularityCandidates(data, power=0.0),
    "pool": lambda data: PoolCandidates(
        data,
        torch.ones(1, 10).to_sparse_csr(),
        row=torch.zeros(10 if isinstance(data, Data) else U, dtype=torch.long),
    ),
}


@pytest.mark.parametrize("name", list(SOURCES))
def test_is_seen_is_membership(name: str) -> None:
    # No item 8 and 9, and a user who has seen all of the popular ones but one.
    links = [pair for pair in LINKS if pair[1] < 8]
    source = SOURCES[name](graph(links))
    user = torch.tensor([3, 4, 0, 5, 0, 2, 1, 4, 3])
    generator = torch.Generator().manual_seed(1)
    for item in (
        torch.randint(I, (9, 7), generator=generator),
        torch.arange(I).expand(9, -1),
        torch.arange(9).unsqueeze(1),
    ):
        expected = [
            [(u, i) in links for i in items]
            for u, items in zip(user.tolist(), item.tolist(), strict=True)
        ]
        assert source.known.hold(user.unsqueeze(1), item).tolist() == expected
    assert source.known.hold(user[:0, None], torch.zeros(0, 3, dtype=torch.long)).shape == (0, 3)


@pytest.mark.parametrize("name", ["uniform", "popularity to the power of 0", "pool"])
def test_nothing_is_seen_without_links(name: str) -> None:
    source = SOURCES[name](graph([]))
    assert not source.known.hold(torch.arange(U).unsqueeze(1), torch.arange(I).expand(U, -1)).any()


@pytest.mark.parametrize("name", list(SOURCES))
def test_in_homogeneous_graphs_one_has_seen_oneself(name: str) -> None:
    """Also nodes that nobody links to, in the middle and at the end, with links and without."""
    links = [(0, 2), (2, 5), (3, 5), (3, 2), (8, 0), (8, 2), (9, 7), (5, 0), (5, 0)]
    source = SOURCES[name](Data(edge_index=index(links), num_nodes=10))
    known = set(links) | {(i, i) for i in range(10)}
    for user in (torch.arange(10), torch.tensor([9, 9, 3, 0, 8, 1])):
        item = torch.arange(10).expand(len(user), -1)
        expected = [[(u, i) in known for i in range(10)] for u in user.tolist()]
        assert source.known.hold(user.unsqueeze(1), item).tolist() == expected
        row, items = source.known.of(user)
        pairs = [(b, i) for b, u in enumerate(user.tolist()) for i in range(10) if (u, i) in known]
        assert list(zip(row.tolist(), items.tolist(), strict=True)) == pairs


@pytest.mark.parametrize("name", list(SOURCES))
def test_masks_what_is_not_to_be_drawn(name: str) -> None:
    links = [pair for pair in LINKS if pair[1] < 8]
    source, user = SOURCES[name](graph(links)), torch.tensor([5, 4, 0, 5])
    scores = torch.zeros(4, I)
    source.mask_(scores, user)
    for u, row in zip(user.tolist(), scores.isinf().tolist(), strict=True):
        assert {i for i, masked in enumerate(row) if masked} == seen(u, links)


def test_masks_what_is_outside_the_pool() -> None:
    source, user = PoolCandidates(with_pool(), SHOWN), torch.tensor([5, 4, 0, 5, 2])
    scores = torch.ones(5, I)
    source.mask_(scores, user)
    for u, row in zip(user.tolist(), scores.tolist(), strict=True):
        allowed = row_of(POOL, u) - seen(u)
        assert row == [1.0 if i in allowed else -torch.inf for i in range(I)]
