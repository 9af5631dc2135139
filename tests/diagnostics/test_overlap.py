"""PER and overlap, by hand and at their limits."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.diagnostics import exclusive_hit_ratio, overlap

X = torch.tensor([1, 1, 1, 1, 0, 0]).bool()
Y = torch.tensor([0, 0, 1, 0, 1, 0]).bool()


def test_the_example() -> None:
    assert exclusive_hit_ratio(X, Y) == 0.75  # three of the first four
    assert exclusive_hit_ratio(Y, X) == 0.5  # the fifth, of two


def test_limits_of_per() -> None:
    nothing = torch.zeros(6).bool()
    assert exclusive_hit_ratio(X, X) == 0
    assert exclusive_hit_ratio(X, nothing) == 1
    assert exclusive_hit_ratio(nothing, X).isnan()
    assert exclusive_hit_ratio(nothing[:0], X[:0]).isnan()


def test_overlap_by_hand() -> None:
    x, y = torch.tensor([[3, 5], [1, 2], [7, 7]]), torch.tensor([[5], [9], [7]])
    assert overlap(x, y) == 0.5  # 5 in the first row, 7 twice in the last: 3 of 6
    assert overlap(y, x).item() == pytest.approx(2 / 3)  # 5 and 7, of 3
    weight = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert overlap(x, y, weight).item() == pytest.approx(1 / 3)  # 3, 5 and 1 count
    assert overlap(x, y, 0 * weight).isnan()
    assert overlap(x[:0], y[:0]).isnan()
    assert overlap(x, y[:, :0]) == 0
    assert overlap(x, x.flip(1)) == 1
    # The same of rows in another order is something else.
    assert overlap(x, x.flip(0)).item() == pytest.approx(1 / 3)  # the middle row


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"exclusive_hit_ratio: 'y' must be flags \[6\] "):
        exclusive_hit_ratio(X, Y[:5])
    with pytest.raises(ValueError, match=r"exclusive_hit_ratio: 'x' must be flags \[E\] "):
        exclusive_hit_ratio(X.long(), Y)
    with pytest.raises(ValueError, match=r"overlap: 'y' must be ids \[3, L\] "):
        overlap(torch.zeros(3, 2).long(), torch.zeros(2, 2).long())
