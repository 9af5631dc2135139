"""The ambiguous trap and the augmentation gain, by hand and at their limits."""

from __future__ import annotations

import pytest
import torch
from looks import look, reads_nothing_back

from pyg_negsamp.diagnostics import DIAGNOSTICS, ambiguous_trap, augmentation_gain


def test_the_example() -> None:
    candidates = torch.tensor([[1.0, 2, 2, 3], [0, 1, 1, 2]])
    unseen = torch.tensor([[10.0], [5]])
    trap = ambiguous_trap(candidates, unseen)
    # All scores: 0 to 10. Largest (3 + 2) / 2 / 10, smallest (1 + 0) / 2 / 10.
    assert trap.largest.item() == pytest.approx(0.25)
    assert trap.smallest.item() == pytest.approx(0.05)
    # No shift and no stretching of all scores changes it.
    moved = ambiguous_trap(3 * candidates - 7, 3 * unseen - 7)
    torch.testing.assert_close(torch.stack(moved), torch.stack(trap))


def test_limits() -> None:
    one = ambiguous_trap(torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [1.0]]))
    assert one.largest == one.smallest == 0.25  # ((1 - 1) + (3 - 1)) / 2 / (5 - 1)
    equal = ambiguous_trap(torch.ones(2, 3), torch.ones(2, 3))
    assert equal.largest == equal.smallest == 0
    for none in (torch.ones(0, 3), torch.ones(2, 0)):
        assert torch.stack(ambiguous_trap(none, none)).isnan().all()
    half = ambiguous_trap(torch.tensor([[1.0, 2.0]]).half(), torch.tensor([[0.0]]).half())
    assert half.largest.dtype == torch.float32


def test_gain_by_hand() -> None:
    after, before = torch.tensor([[2.0, 1.0], [0.0, 5.0]]), torch.tensor([[1.0, 1.0], [-1.0, 0.0]])
    assert augmentation_gain(after, before) == 7 / 4  # (1 + 0 + 1 + 5) / 4
    weight = torch.tensor([[2.0, 1.0], [0.5, 0.0]])
    assert augmentation_gain(after, before, weight).item() == pytest.approx(2 / 3)  # the 5 is out
    assert augmentation_gain(after, before, 0 * weight).isnan()
    assert augmentation_gain(after[:0], before[:0]).isnan()
    # What counts not may be anything.
    after[1, 1] = -torch.inf
    assert augmentation_gain(after, before, weight).item() == pytest.approx(2 / 3)


def test_of_a_look() -> None:
    found = DIAGNOSTICS["ambiguous-trap"](look())
    # Scores are from -2 to 2. Largest: 1, 1, 0.5; smallest: 0, 1, 0.
    assert {name: x.item() for name, x in found.items()} == pytest.approx(
        {
            "ambiguous-trap/max": (2.5 / 3 + 2) / 4,
            "ambiguous-trap/min": (1 / 3 + 2) / 4,
            "ambiguous-trap/gain": 0.5,  # (1 + 0.5 + 0) / 3
        }
    )
    assert reads_nothing_back(DIAGNOSTICS["ambiguous-trap"], look(weight=torch.ones(3, 1)))
    found = DIAGNOSTICS["ambiguous-trap"](look(candidates=None, candidate_score=None))
    assert found.keys() == {"ambiguous-trap/gain"}
    assert DIAGNOSTICS["ambiguous-trap"](look(candidate_score=None, chosen_score=None)) == {}


def test_refuses_other_shapes() -> None:
    score = torch.zeros(2, 3)
    with pytest.raises(
        ValueError, match=r"ambiguous_trap: 'unseen_score' must be numbers \[2, R\]"
    ):
        ambiguous_trap(score, torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"'candidate_score' must be numbers \[n, M\] \(got a T"):
        ambiguous_trap(score.long(), score)
    with pytest.raises(ValueError, match=r"'before' must be numbers \[2, 3\] \(got \[1.0\]\)"):
        augmentation_gain(score, [1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'weight' must be numbers \[2, 3\]"):
        augmentation_gain(score, score, torch.zeros(2))
