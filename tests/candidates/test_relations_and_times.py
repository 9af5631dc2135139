"""Knowledge graphs (`relation`), and items that exist from some time on (`time`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from pyg_negsamp.candidates import (
    BatchCandidates,
    Candidates,
    PopularityCandidates,
    UniformCandidates,
)
from pyg_negsamp.graph import EDGE_TYPE

# A knowledge graph of seven entities and three relations, of which the last occurs once. --------

HEAD = torch.tensor([0, 0, 0, 1, 2, 2, 3, 5, 5, 6, 6, 0])
RELATION = torch.tensor([0, 0, 1, 1, 0, 0, 2, 1, 1, 0, 0, 1])
TAIL = torch.tensor([1, 2, 2, 3, 4, 5, 3, 0, 1, 6, 1, 2])
N, R = 7, 3
SOURCES = [UniformCandidates, PopularityCandidates, BatchCandidates]


def kg() -> Data:
    return Data(edge_index=torch.stack([HEAD, TAIL]), edge_type=RELATION, num_nodes=N)


def tails(head: int, relation: int) -> set[int]:
    return set(TAIL[(head == HEAD) & (relation == RELATION)].tolist())


def check(drawn: Tensor, mass: list[float]) -> None:
    """Draws of one row against masses written down one by one."""
    weight = torch.tensor(mass).double()
    counts = drawn.bincount(minlength=len(mass))
    assert counts[weight == 0].sum() == 0
    expected = weight / weight.sum() * counts.sum()
    if (weight > 0).sum() > 1:
        assert chisquare(counts[weight > 0], expected[weight > 0]).pvalue > 1e-4


@pytest.mark.parametrize("cls", SOURCES)
def test_every_head_and_relation_is_a_user(cls: type[Candidates]) -> None:
    """Seen with one relation is not seen with another; oneself is an item like others."""
    data = kg()
    source = cls(data, relation=data.edge_type)
    assert (source.num_users, source.num_items, source.num_relations) == (N * R, N, R)
    popular = (TAIL.bincount(minlength=N).double() ** 0.75).tolist()
    user = torch.arange(N * R)
    drawn = source(user, 3000, torch.Generator().manual_seed(0))
    for row, (head, relation) in enumerate((h, r) for h in range(N) for r in range(R)):
        mass = popular if cls is PopularityCandidates else [1.0] * N
        seen = tails(head, relation)
        check(drawn[row], [0.0 if i in seen else m for i, m in enumerate(mass)])
        may = source.may_be_drawn(user[row], torch.arange(N))
        assert may.tolist() == [i not in seen for i in range(N)]
    assert source.knows(HEAD * R + RELATION, TAIL).all()
    scores = torch.zeros(N * R, N)
    source.mask_(scores, user)
    assert torch.equal(scores.isfinite(), source.may_be_drawn(user[:, None], torch.arange(N)))
    assert source.can_draw(user).all()


def test_memory_is_of_what_occurs_and_not_of_all_heads_with_all_relations() -> None:
    data = Data(edge_index=torch.tensor([[0, 3, 3], [1, 2, 4]]), num_nodes=4_000_000)
    source = UniformCandidates(data, relation=torch.tensor([0, 700, 700]), num_relations=900)
    assert source.num_users == 3_600_000_000
    assert sum(x.numel() for x in source.buffers()) < 50
    drawn = source(torch.tensor([3 * 900 + 700, 3_600_000_000 - 1]), 5000)
    assert drawn.max() < 4_000_000
    assert source.knows(torch.tensor(3 * 900 + 700), torch.tensor([1, 2, 4])).tolist() == [
        False,
        True,
        True,
    ]
    # Users that cannot be are unknown, until they draw.
    assert not source.knows(torch.tensor([-1, 2**40]), torch.tensor([1, 1])).any()
    with pytest.raises(ValueError, match=r"'user' must be ids in \[0, 3600000000\)"):
        source(torch.tensor([3_600_000_000]), 1)


def test_heads_are_drawn_on_the_flipped_graph() -> None:
    data = kg()
    flipped = data.clone()
    flipped.edge_index = data.edge_index.flip(0)
    source = UniformCandidates(flipped, relation=data.edge_type)
    drawn = source(TAIL * R + RELATION, 500)
    for row in range(len(TAIL)):
        seen = set(HEAD[(TAIL[row] == TAIL) & (RELATION[row] == RELATION)].tolist())
        assert set(drawn[row].tolist()) == set(range(N)) - seen


def test_more_known_triples_and_fewer_entities() -> None:
    data = kg()
    also = torch.tensor([[0 * R + 0, 4 * R + 2], [3, 0]])
    source = UniformCandidates(
        data, relation=data.edge_type, also=also, items=torch.tensor([0, 1, 3, 5])
    )
    drawn = source(torch.tensor([0, 14, 20]), 300)
    assert [set(row.tolist()) for row in drawn] == [{0, 5}, {1, 3, 5}, {0, 1, 3, 5}]
    plain = UniformCandidates(data, relation=data.edge_type)
    assert plain.fingerprint != UniformCandidates(data).fingerprint
    assert not plain.state_dict()


def test_a_head_related_to_everything_is_named() -> None:
    data = Data(edge_index=torch.tensor([[1, 1], [0, 1]]), num_nodes=2)
    with pytest.raises(ValueError, match=r"1 users without: 5"):
        UniformCandidates(data, relation=torch.tensor([2, 2]))
    empty = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2)
    source = UniformCandidates(empty, relation=torch.empty(0, dtype=torch.long), num_relations=4)
    assert set(source(torch.arange(8), 40).unique().tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("relation", "number", "expected"),
    [
        (RELATION[1:], None, r"'relation' must be \[12\] ids.*\[11\]"),
        (RELATION.float(), None, r"'relation' must be .*float32"),
        (RELATION == 1, None, r"'relation' must be .*bool"),
        (RELATION - 1, None, r"'relation' must be \[12\] ids in \[0, 2\) \(got -1\.\.1\)"),
        (RELATION, 2, r"'relation' must be \[12\] ids in \[0, 2\) \(got 0\.\.2\)"),
        ([0] * 12, None, r"'relation' must be \[12\] ids"),
        (RELATION, 0, r"'num_relations' must be a whole number"),
        (RELATION, 2.0, r"'num_relations' must be a whole number"),
        (None, 3, r"'num_relations' must be left out without 'relation'"),
    ],
)
def test_refuses_relations_that_are_none(relation: object, number: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^UniformCandidates: {expected}"):
        UniformCandidates(kg(), relation=relation, num_relations=number)  # type: ignore[arg-type]


def test_refuses_relations_of_graphs_that_have_none() -> None:
    with pytest.raises(ValueError, match=r"'relation' must be left out, as the edge types"):
        UniformCandidates(shop(), relation=torch.zeros(10, dtype=torch.long))
    matrix = Data(adj_t=torch.eye(3).to_sparse(), num_nodes=3)
    with pytest.raises(ValueError, match=r"'relation' must be left out, unless 'edge_index'"):
        UniformCandidates(matrix, relation=torch.zeros(3, dtype=torch.long))


# A shop whose items appear one after another, two of them at once. ------------------------------

LINKS = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 3, 3, 3], [0, 3, 8, 1, 2, 8, 0, 2, 4, 5]])
SINCE = torch.tensor([4, 1, 1, 9, 3, 6, 2, 7, 5])
USERS, ITEMS = 5, 9


def shop() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = USERS, ITEMS
    data[EDGE_TYPE].edge_index = LINKS
    return data


def open_to(user: int, time: float, allowed: set[int]) -> list[bool]:
    seen = set(LINKS[1, LINKS[0] == user].tolist())
    return [i in allowed and i not in seen and float(SINCE[i]) <= time for i in range(ITEMS)]


def rows() -> tuple[Tensor, Tensor]:
    """Every user at every moment."""
    return torch.arange(USERS).repeat_interleave(11), torch.arange(11).repeat(USERS)


@pytest.mark.parametrize("items", [None, torch.tensor([0, 1, 2, 4, 6, 8])])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32])
@pytest.mark.parametrize("cls", [UniformCandidates, PopularityCandidates])
def test_no_item_is_drawn_before_it_exists(
    cls: type[Candidates], dtype: torch.dtype, items: Tensor | None
) -> None:
    """And those that do, with their probabilities, if they are unseen: at every moment."""
    source = cls(shop(), time=SINCE.to(dtype), items=items)
    allowed = set(range(ITEMS) if items is None else items.tolist())
    degree = (LINKS[1].bincount(minlength=ITEMS).double() ** 0.75).tolist()
    mass = degree if cls is PopularityCandidates else [1.0] * ITEMS
    user, time = rows()
    wanted = [open_to(int(u), int(t), allowed) for u, t in zip(user, time, strict=True)]
    may = source.may_be_drawn(user[:, None], torch.arange(ITEMS), time.to(dtype)[:, None])
    assert may.tolist() == wanted
    expected = [[m * w for m, w in zip(mass, row, strict=True)] for row in wanted]
    able = source.can_draw(user, time.to(dtype))
    assert able.tolist() == [sum(row) > 0 for row in expected]
    drawn = source(user[able], 2000, torch.Generator().manual_seed(0), time=time.to(dtype)[able])
    for row, weights in zip(drawn, [e for e in expected if sum(e)], strict=True):
        check(row, weights)
    with pytest.raises(ValueError, match=rf"'time' must be one at which.*{int((~able).sum())} of"):
        source(user, 3, time=time.to(dtype))


def test_every_rank_is_exactly_one_unseen_item() -> None:
    """Also of many users, items and equal times."""
    generator = torch.Generator().manual_seed(1)
    known = torch.rand(40, 90, generator=generator) < torch.rand(40, 1, generator=generator)
    since = torch.randint(20, (90,), generator=generator)
    known[:, 3] = False
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 40, 90
    data[EDGE_TYPE].edge_index = known.nonzero().t()
    source = UniformCandidates(data, time=since)
    assert source.items is not None
    for user in range(40):
        for time in (0, 5, 19, 30):
            one = torch.tensor([user])
            existing = source.existing(one, torch.tensor([time]))
            rank = torch.arange(int(source._left(one, existing)))
            found = source.items[source.drawn.nth_other(one, rank, source.gap)].sort().values
            free = (~known[user] & (since <= time)).nonzero().flatten()
            assert torch.equal(found, free)


@pytest.mark.parametrize("items", [None, torch.tensor([0, 1, 2, 6, 8])])
def test_positives_of_the_batch_that_existed(items: Tensor | None) -> None:
    """What a later row took is no candidate of an earlier one, unless it was there already."""
    source = BatchCandidates(shop(), time=SINCE, items=items)
    user = torch.tensor([0, 0, 1, 2, 3, 4, 4])
    pos = torch.tensor([0, 8, 2, 8, 5, 4, 1])
    time = torch.tensor([4, 6, 3, 10, 7, 5, 1])
    allowed = set(range(ITEMS) if items is None else items.tolist())
    generator = torch.Generator().manual_seed(0)
    drawn = source(user, 3000, generator, pos, time)
    left = source.rows(user, pos, 1, None, source.existing(user, time))[1]
    for row in range(len(user)):
        may = open_to(int(user[row]), int(time[row]), allowed)
        mass = [float((pos == i).sum()) * may[i] for i in range(ITEMS)]
        assert left[row] == sum(mass)
        # Where nothing of the batch is left: out of all that existed.
        check(drawn[row], mass if sum(mass) else [float(m) for m in may])


def test_times_are_compared_to_the_last_bit() -> None:
    """Nanoseconds since 1970 need more bits than a double has."""
    since = torch.tensor([0, 2**60, 2**60 + 1, 2**60 + 2])
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 1, 4
    data[EDGE_TYPE].edge_index = torch.empty(2, 0, dtype=torch.long)
    user = torch.zeros(3, dtype=torch.long)
    existing = UniformCandidates(data, time=since).existing(user, since[1:])
    assert existing is not None
    assert existing.tolist() == [2, 3, 4]
    nowhere = torch.tensor([float("nan"), -1.0, float("inf")])
    existing = UniformCandidates(data, time=since.double()).existing(user, nowhere)
    assert existing is not None
    assert existing.tolist() == [0, 0, 4]


def test_times_and_relations_go_together() -> None:
    data = kg()
    since = torch.arange(N)
    source = UniformCandidates(data, relation=data.edge_type, time=since)
    drawn = source(torch.tensor([0, 0, 20]), 200, time=torch.tensor([3, 6, 2]))
    assert [set(row.tolist()) for row in drawn] == [{0, 3}, {0, 3, 4, 5, 6}, {0, 1, 2}]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (SINCE[1:], r"\[9\] numbers.*\[8\]"),
        (SINCE > 3, "bool"),
        (SINCE.to(torch.complex64), "complex64"),
        (torch.full((9,), torch.nan), "NaN"),
        (list(range(9)), r"\[9\] numbers"),
    ],
)
def test_refuses_times_that_are_none(time: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^UniformCandidates: 'time' must be .*{expected}"):
        UniformCandidates(shop(), time=time)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, "as the candidates have times.*None"),
        (torch.tensor([1, 2]), r"\[3\].*\[2\]"),
        (torch.tensor([1.0, 2.0, 3.0]), "whole numbers.*float32"),
        (7, "got 7"),
    ],
)
@pytest.mark.parametrize("cls", SOURCES)
def test_rows_bring_their_times(
    cls: Callable[..., Candidates], time: object, expected: str
) -> None:
    source = cls(shop(), time=SINCE)
    with pytest.raises(ValueError, match=f"'time' must be .*{expected}"):
        source(torch.tensor([1, 2, 4]), 2, time=time)
    with pytest.raises(ValueError, match="'time' must be left out, as the items"):
        cls(shop())(torch.tensor([1]), 2, time=torch.tensor([1]))


@pytest.mark.parametrize("cast", ["half", "float", "bfloat16"])
def test_times_stay_as_they_are_where_a_model_is_rounded(cast: str) -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 1, 50
    data[EDGE_TYPE].edge_index = torch.tensor([[0], [0]])
    since = 1.6e9 + 10.0 * torch.arange(50).double()
    source = UniformCandidates(data, time=since)
    getattr(torch.nn.ModuleDict({"source": source}), cast)()
    assert torch.equal(source.since, since)
    drawn = source(torch.tensor([0]), 500, time=torch.tensor([1.6e9 + 45], dtype=torch.double))
    assert drawn.unique().tolist() == [1, 2, 3, 4]
