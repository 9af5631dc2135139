"""What is seen besides `edge_index` (`also`), and which items may be drawn at all (`items`)."""

from __future__ import annotations

from collections.abc import Callable

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
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.transforms import MNS

LINKS = torch.tensor([[0, 0, 1, 1, 2, 3, 3, 3], [0, 1, 2, 3, 4, 5, 6, 7]])
MORE = torch.tensor([[0, 1], [5, 7]])
ALLOWED = [1, 3, 4, 5, 7]
USERS, ITEMS = 5, 9


def graph() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = USERS, ITEMS
    data[EDGE_TYPE].edge_index = LINKS
    return data


def everything(rows: int) -> Tensor:
    return torch.ones(rows, ITEMS).to_sparse()


def of_everybody(data: HeteroData, **options: object) -> PoolCandidates:
    return PoolCandidates(data, everything(1), row=torch.zeros(USERS, dtype=torch.long), **options)


def of_items(data: HeteroData, **options: object) -> PoolCandidates:
    return PoolCandidates(data, everything(ITEMS), by="item", **options)


SOURCES: dict[str, Callable[..., Candidates]] = {
    "uniform": UniformCandidates,
    "popularity": PopularityCandidates,
    "flat popularity": lambda data, **options: PopularityCandidates(data, 0.0, **options),
    "pool": of_everybody,
    "pool by item": of_items,
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("also", [None, MORE, [MORE[:, :1], MORE[:, 1:]]])
def test_draws_what_is_allowed_and_unseen(
    name: str, restricted: bool, also: Tensor | list[Tensor] | None
) -> None:
    items = torch.tensor(ALLOWED) if restricted else None
    source = SOURCES[name](graph(), also=also, items=items)
    seen = {tuple(pair) for pair in LINKS.t().tolist()}
    if also is not None:
        seen |= {tuple(pair) for pair in MORE.t().tolist()}
    degree = LINKS[1].bincount(minlength=ITEMS).double().pow(0.75)
    generator = torch.Generator().manual_seed(1)
    for user in range(USERS):
        rows = torch.full((1,), user)
        drawn = source(rows, 6000, generator, pos=torch.zeros(1, dtype=torch.long)).flatten()
        free = [i for i in (ALLOWED if restricted else range(ITEMS)) if (user, i) not in seen]
        if name == "popularity":
            free = [i for i in free if degree[i] > 0]
        counts = drawn.bincount(minlength=ITEMS)
        assert counts.nonzero().flatten().tolist() == free
        mass = degree[free] if name == "popularity" else torch.ones(len(free)).double()
        expected = mass / mass.sum() * 6000
        assert chisquare(counts[free], expected).pvalue > 1e-4
        may = source.may_be_drawn(rows, torch.arange(ITEMS))
        wanted = [i for i in (ALLOWED if restricted else range(ITEMS)) if (user, i) not in seen]
        assert may.nonzero().flatten().tolist() == wanted
        if name != "pool by item":
            scores = torch.zeros(1, ITEMS)
            source.mask_(scores, rows)
            assert scores[0].isfinite().nonzero().flatten().tolist() == wanted
        lowest = source.log_mass(torch.arange(ITEMS)).isfinite().nonzero().flatten().tolist()
        assert set(free) <= set(lowest)
        if restricted:
            assert set(lowest) <= set(ALLOWED)


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        (range(3, 7), [3, 4, 5, 6]),
        (range(0, 9, 4), [0, 4, 8]),
        (slice(5, None), [5, 6, 7, 8]),
        (torch.tensor([8, 2, 2]), [2, 8]),
        (torch.arange(ITEMS) > 6, [7, 8]),
    ],
)
def test_ways_to_name_items(said: range | slice | Tensor, ids: list[int]) -> None:
    source = UniformCandidates(graph(), items=said)
    assert source.items is not None
    assert source.items.tolist() == ids
    assert set(source(torch.full((50,), 4), 20).flatten().tolist()) == set(ids)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (torch.tensor([1.0]), r"float32"),
        (torch.ones(4, dtype=torch.bool), r"\[4\] torch.bool"),
        (torch.tensor([[1]]), r"\[1, 1\]"),
        (torch.tensor([0, 9]), r"got 0\.\.9"),
        (torch.tensor([-1]), r"got -1"),
        (range(0), "at least one item"),
        ([1, 2], r"\[1, 2\]"),
    ],
)
def test_refuses_items_that_are_none(items: object, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"^UniformCandidates: 'items' must be .*{expected}"):
        UniformCandidates(graph(), items=items)


@pytest.mark.parametrize(
    ("also", "expected"),
    [
        (MORE.float(), "float32"),
        (MORE.t(), r"users in"),
        (MORE[0], r"\[2\]"),
        (torch.tensor([[5], [0]]), r"users in \[0, 5\)"),
        ([MORE, "x"], "'x'"),
    ],
)
def test_refuses_links_that_are_none(also: object, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"^UniformCandidates: 'also' must be .*{expected}"):
        UniformCandidates(graph(), also=also)


def test_the_fingerprint_is_of_edge_index_alone() -> None:
    mark = UniformCandidates(graph()).fingerprint
    assert UniformCandidates(graph(), also=MORE, items=range(2, 9)).fingerprint == mark
    other = graph()
    other[EDGE_TYPE].edge_index = LINKS[:, 1:]
    assert UniformCandidates(other).fingerprint != mark


# Users and items in one homogeneous graph --------------------------------------------------------


def joint(both_ways: bool = True) -> Data:
    index = torch.stack([LINKS[0], LINKS[1] + USERS])
    if both_ways:
        index = torch.cat([index, index.flip(0)], dim=1)
    return Data(edge_index=index, num_nodes=USERS + ITEMS)


def test_no_user_is_drawn_as_an_item() -> None:
    source = UniformCandidates(joint(), items=range(USERS, USERS + ITEMS))
    user = torch.arange(USERS).repeat_interleave(50)
    drawn = source(user, 40)
    assert int(drawn.min()) >= USERS
    assert not source.known.hold(user.unsqueeze(1), drawn).any()
    assert drawn[user == 4].unique().tolist() == list(range(USERS, USERS + ITEMS))


def test_refuses_a_joint_graph_without_items() -> None:
    advice = rf"'items' must be given.*items=range\({USERS}, {USERS + 8}\)"
    with pytest.raises(ValueError, match=advice):
        UniformCandidates(joint(both_ways=False))
    typed = joint()
    typed.node_type = (torch.arange(USERS + ITEMS) >= USERS).long()
    with pytest.raises(ValueError, match=r"'items' must be given.*data.node_type == 1"):
        UniformCandidates(typed)
    source = UniformCandidates(typed, items=typed.node_type == 1)
    assert int(source(torch.arange(USERS), 50).min()) >= USERS
    typed.node_type = torch.zeros(USERS + ITEMS)
    UniformCandidates(typed)  # all of one kind


@pytest.mark.parametrize(
    ("index", "got"),
    [
        (LINKS.double() + 0.9, "float64"),
        (LINKS > 2, r"torch.bool"),
        (LINKS[0], r"\[8\]"),
        (torch.cat([LINKS, LINKS[:1]]), r"\[3, 8\]"),
        (-LINKS, "-3"),
        ([[0], [1]], r"got \[\[0\], \[1\]\]"),
    ],
)
def test_refuses_an_edge_index_that_is_none(index: object, got: str) -> None:
    data = graph()
    data[EDGE_TYPE].edge_index = index
    with pytest.raises(ValueError, match=rf"^known_links: 'edge_index' must be .*{got}"):
        UniformCandidates(data)


@pytest.mark.parametrize("user", [torch.tensor([0.5]), torch.tensor([True]), torch.tensor([[1]])])
def test_refuses_users_that_are_none(user: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^UniformCandidates: 'user' must be "):
        UniformCandidates(graph())(user, 3)


def test_what_is_never_drawn_is_as_improbable_as_can_be() -> None:
    """Of items that all share; in a mixture with the batch, it is what the batch says."""
    allowed = torch.tensor([2, 3, 4])
    links = LINKS[1].bincount(minlength=ITEMS).double()
    source = PopularityCandidates(graph(), power=1.0, items=allowed)
    shared = source.log_shared(torch.arange(ITEMS)).exp()
    torch.testing.assert_close(shared[allowed], links[allowed] / links[allowed].sum())
    assert (shared[[0, 1, 5, 8]] < 1e-9).all()
    for of_others in (source, UniformCandidates(graph(), items=allowed)):
        found = MNS(of_others, num_uniform=8).log_probability(torch.tensor([0]), 9).exp()
        torch.testing.assert_close(found, links[:1] / links.sum() / 9)
