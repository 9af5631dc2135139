"""Sets of links: who has what, which pairs are there, and what tells two sets apart."""

from __future__ import annotations

import torch

from pyg_negsamp.pairs import Pairs

INDEX = torch.tensor([[2, 0, 2, 0, 2], [4, 1, 0, 1, 3]])


def test_lists_and_looks_up() -> None:
    pairs = Pairs(INDEX, 4, 5)
    assert list(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True)) == [
        (0, 1),
        (2, 0),
        (2, 3),
        (2, 4),
    ]
    row, item = pairs.of(torch.tensor([2, 1, 0]))
    assert row.tolist() == [0, 0, 0, 2]
    assert item.tolist() == [0, 3, 4, 1]
    user, other = torch.arange(4).unsqueeze(1), torch.arange(5)
    there = pairs.hold(user, other)
    assert there.nonzero().tolist() == [[0, 1], [2, 0], [2, 3], [2, 4]]
    assert not Pairs(INDEX[:, :0], 4, 5).hold(user, other).any()
    assert not pairs.hold(torch.tensor([1, 3, 4]), torch.tensor([5, -1, 0])).any(), "no such ids"


def test_finds_some_items_of_some_users_however_often_they_are_named() -> None:
    pairs = Pairs(INDEX, 4, 5)
    user, item = torch.tensor([2, 1, 0, 2]), torch.tensor([3, 2, 1, 3, 0])
    found = torch.zeros(4, 5, dtype=torch.bool)
    found[pairs.among(user, item)] = True
    assert torch.equal(found, pairs.hold(user.unsqueeze(1), item))
    assert found.sum(1).tolist() == [3, 0, 1, 3]
    assert len(pairs.among(user, item[:0])[0]) == len(pairs.among(user[:0], item)[0]) == 0


def test_a_fingerprint_is_of_the_set_alone() -> None:
    mark = Pairs(INDEX, 4, 5).fingerprint()
    assert mark.num_links == 4
    assert Pairs(INDEX.flip(1)[:, [0, 1, 2, 3, 4, 1]], 4, 5).fingerprint() == mark
    others = {Pairs(INDEX[:, torch.arange(5) != k], 4, 5).fingerprint() for k in range(5)}
    assert len(others - {mark}) == 3  # the pair that is there twice may go once
    for moved in ((0, 0, 1), (1, 0, 1), (1, 2, 4)):
        index = INDEX.clone()
        index[moved[0], moved[1]] = moved[2]
        assert Pairs(index, 4, 5).fingerprint() != mark


def test_random_sets_have_different_fingerprints() -> None:
    """Sums of hashes would agree for many, were keys added as they are."""
    generator = torch.Generator().manual_seed(0)
    marks = set()
    for _ in range(3000):
        index = torch.stack([torch.randperm(30, generator=generator), torch.arange(30)])
        marks.add(Pairs(index, 30, 30).fingerprint())
    assert len(marks) == 3000
