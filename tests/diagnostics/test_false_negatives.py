"""Shares of false negatives, by hand and at their limits."""

from __future__ import annotations

import pytest
import torch
from looks import look, reads_nothing_back

from pyg_negsamp.candidates import PopularityCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.diagnostics import (
    DIAGNOSTICS,
    false_negative_share,
    false_negative_share_by_popularity,
    false_negative_share_by_rank,
)
from pyg_negsamp.graph import held_out_links, known_links
from pyg_negsamp.pairs import Pairs

LIKED = Pairs(torch.tensor([[0, 0, 1], [7, 9, 2]]), 2, 10)


def test_share_by_hand() -> None:
    user, item = torch.tensor([0, 1]), torch.tensor([[7, 9, 2], [7, 9, 2]])
    assert false_negative_share(user, item, LIKED) == 0.5  # 7 and 9 of user 0, 2 of user 1: 3 of 6
    weight = torch.tensor([[1.0, 0.0, 3.0], [1.0, 0.0, 0.0]])  # true, false, false counted
    assert false_negative_share(user, item, LIKED, weight).item() == pytest.approx(1 / 3)
    assert false_negative_share(user, item, LIKED, 0 * weight).isnan()
    assert false_negative_share(user[:0], item[:0], LIKED).isnan()
    # One item per layer: 1, 0, 2 and 1 of two each.
    layered = torch.tensor([[[7, 0], [0, 0]], [[2, 2], [0, 2]]])
    assert false_negative_share(user, layered, LIKED) == 0.5
    assert false_negative_share(user, layered, LIKED, torch.tensor([[1, 0], [0, 1.0]])) == 0.5
    nobody = Pairs(torch.empty(2, 0, dtype=torch.long), 2, 10)
    assert false_negative_share(user, item, nobody) == 0


def test_share_by_rank_by_hand() -> None:
    user = torch.tensor([0, 1])
    candidates = torch.tensor([[7, 2, 9, 4, 3], [3, 1, 0, 2, 2]])
    score = torch.tensor([[3.1, 2.0, 1.5, 0.2, -1.0], [0.0, 1.0, 2.0, 3.0, -1.0]])
    # User 0 as they stand: false, true, false, true, true. User 1 by rank: 2, 0, 1, 3, 2.
    shares = false_negative_share_by_rank(user, candidates, score, LIKED)
    nan = torch.nan
    expected = torch.tensor([1, nan, 0, nan, 0.5, nan, 0, nan, 0.5, nan])  # 5 ranks, 10 tenths
    torch.testing.assert_close(shares, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("size", "tenths"),
    [
        (1, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (10, [1] * 10),
        (16, [2, 2, 1, 2, 1, 2, 2, 1, 2, 1]),
        (40, [4] * 10),
    ],
)
def test_every_rank_is_in_a_tenth(size: int, tenths: list[int]) -> None:
    # Only the hardest candidate is false: its tenth has 1 of so many ranks.
    candidates = torch.cat([torch.tensor([7]), torch.zeros(size - 1, dtype=torch.long)])[None]
    for score in (torch.arange(size).flip(0)[None].float(), torch.zeros(1, size)):  # and all equal
        shares = false_negative_share_by_rank(torch.tensor([0]), candidates, score, LIKED)
        assert shares[0].item() == pytest.approx(1 / tenths[0])
        assert shares.isnan().tolist() == [n == 0 for n in tenths]
        assert shares[1:].nan_to_num().eq(0).all()


def test_no_candidates_have_no_ranks() -> None:
    none = torch.empty(2, 0)
    shares = false_negative_share_by_rank(torch.tensor([0, 1]), none.long(), none, LIKED)
    assert shares.isnan().all()


def test_share_by_popularity_by_hand() -> None:
    liked = Pairs(torch.tensor([[0, 0, 1], [1, 2, 0]]), 3, 4)
    known = Pairs(torch.tensor([[0, 1, 1], [0, 1, 3]]), 3, 4)
    count, user = torch.tensor([4, 3, 2, 1]), torch.tensor([0, 1, 1, 2])
    # Of all: user 0 (3 + 2) / 10, user 1 4 / 10 twice, user 2 nothing.
    share = false_negative_share_by_popularity(user, count, liked)
    assert share.item() == pytest.approx((0.5 + 0.4 + 0.4) / 4)
    # Of what they have not seen: 5 / (10 - 4), and 4 / (10 - 3 - 1) twice.
    share = false_negative_share_by_popularity(user, count, liked, known)
    assert share.item() == pytest.approx((5 / 6 + 4 / 6 + 4 / 6) / 4)
    # What is known cannot be drawn, be it held out or not.
    assert false_negative_share_by_popularity(user, count, liked, liked) == 0
    assert false_negative_share_by_popularity(user, 0 * count, liked) == 0
    assert false_negative_share_by_popularity(user[:0], count, liked).isnan()


def test_share_by_popularity_is_that_of_draws() -> None:
    train, val, _ = SyntheticInteractions("tiny")
    links, held_out = known_links(train), held_out_links(val)
    liked, known = (Pairs(x, links.num_users, links.num_items) for x in (held_out, links.index))
    count = links.index[1].bincount(minlength=links.num_items)
    user = torch.arange(links.num_users)
    exact = false_negative_share_by_popularity(user, count, liked, known)
    draws = PopularityCandidates(train, power=1.0)(user, 4000, torch.Generator().manual_seed(0))
    assert false_negative_share(user, draws, liked).item() == pytest.approx(exact.item(), rel=0.05)


def test_of_a_look() -> None:
    found = DIAGNOSTICS["false-negatives"](look())
    # Chosen: (0, 2) no, (0, 3) yes, (1, 1) yes. Unseen: (0, 3) twice and (1, 1), of 6.
    # By popularity, of what users have not seen: 1 / 3 twice, 3 / 8.
    # At rank 1: (0, 2), (0, 3), (1, 1); at rank 2: (0, 3), (0, 3), (1, 0).
    assert {name: x.item() for name, x in found.items()} == pytest.approx(
        {
            "false-negatives/chosen": 2 / 3,
            "false-negatives/chosen-draws": 3,
            "false-negatives/expected": 1 / 2,
            "false-negatives/expected-draws": 6,
            "false-negatives/by-popularity": (2 / 3 + 3 / 8) / 3,
            "false-negatives/rank-1": 2 / 3,
            "false-negatives/rank-6": 2 / 3,
        }
    )
    weighted = look(weight=torch.ones(3, 1))
    assert reads_nothing_back(DIAGNOSTICS["false-negatives"], weighted)
    assert DIAGNOSTICS["false-negatives"](look(liked=None)) == {}
    found = DIAGNOSTICS["false-negatives"](look(chosen=None, candidates=None))
    names = ("expected", "expected-draws", "by-popularity")
    assert found.keys() == {f"false-negatives/{name}" for name in names}


def test_negatives_that_rows_share_are_one_draw() -> None:
    own, shared = torch.tensor([[1, 2], [2, 1], [1, 2]]), torch.tensor([[1, 2]]).expand(3, 2)
    weight = torch.tensor([[1.0, 0.0], [1.0, 2.0], [0.5, 0.0]])
    layers = own.unsqueeze(2).expand(3, 2, 4)
    for chosen, of, draws in (
        (own, None, 6), (own, weight, 4), (layers, None, 6),
        (shared, None, 2), (shared, weight, 4 / 3),
    ):  # fmt: skip
        found = DIAGNOSTICS["false-negatives"](look(chosen=chosen, weight=of))
        assert found["false-negatives/chosen-draws"].item() == pytest.approx(draws)


def test_refuses_what_is_wrong() -> None:
    user, item = torch.tensor([0, 1]), torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match=r"false_negative_share: 'item' must be ids \[2, K\]"):
        false_negative_share(user, item[:1], LIKED)
    with pytest.raises(ValueError, match="false_negative_share: 'liked' must be Pairs"):
        false_negative_share(user, item, item)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'score' must be numbers \[2, 3\]"):
        false_negative_share_by_rank(user, item, torch.zeros(2, 4), LIKED)
    with pytest.raises(ValueError, match=r"'liked' must be links to 4 items \(got 10 items\)"):
        false_negative_share_by_popularity(user, torch.ones(4), LIKED)
