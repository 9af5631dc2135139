"""Alignment and uniformity, by hand and at their limits."""

from __future__ import annotations

import math

import pytest
import torch
from looks import look, reads_nothing_back

from pyg_negsamp.diagnostics import DIAGNOSTICS, alignment, uniformity
from pyg_negsamp.diagnostics.uniformity import ROWS
from pyg_negsamp.losses import DirectAULoss

#: Three points on the circle: at 0, 90 and 180 degrees; their lengths do not count.
POINTS = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-1.0, 0.0]])


def test_by_hand() -> None:
    # Squared distances 2, 2 and 4.
    expected = math.log((2 * math.exp(-4) + math.exp(-8)) / 3)
    assert uniformity(POINTS).item() == pytest.approx(expected, rel=1e-6)
    # To itself 0, to the next 2, to the opposite 4.
    items = torch.tensor([[1.0, 0.0], [3.0, 0.0], [1.0, 0.0]])
    assert alignment(POINTS, items).item() == pytest.approx(2)


def test_limits() -> None:
    assert uniformity(torch.ones(4, 3)).item() == pytest.approx(0, abs=1e-5)
    assert uniformity(POINTS[::2]).item() == pytest.approx(-8)
    for few in (POINTS[:1], POINTS[:0]):
        assert uniformity(few) == 0
    assert alignment(POINTS[:0], POINTS[:0]).isnan()
    assert alignment(POINTS, -POINTS).item() == pytest.approx(4)
    assert uniformity(torch.zeros(2, 3)) == 0  # no length, no direction
    assert uniformity(POINTS.half()).dtype == torch.float32


def test_a_large_table_is_sampled_evenly() -> None:
    table = torch.randn(3 * ROWS, 4, generator=torch.Generator().manual_seed(0))
    assert uniformity(table) == uniformity(table[::3])
    longer = torch.cat([table, table[:1]])
    assert uniformity(longer).item() == pytest.approx(uniformity(table).item(), abs=0.1)


def test_is_what_the_loss_lowers() -> None:
    user, item = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(6)
    loss = DirectAULoss(0.7)(nothing, nothing.unsqueeze(1), user_rows=user, pos_rows=item)
    same = alignment(user, item) + 0.35 * (uniformity(user) + uniformity(item))
    torch.testing.assert_close(loss, same)


def test_of_a_look() -> None:
    found = DIAGNOSTICS["uniformity"](look())
    # Users at 0 and 90 degrees. Items at 0, 90, 90 and 180: distances 0, 2 four times, 4.
    # Links: (0, 0) 0, (0, 1) 2, (1, 2) 0.
    items = math.log((1 + 4 * math.exp(-4) + math.exp(-8)) / 6)
    assert {name: x.item() for name, x in found.items()} == pytest.approx(
        {"alignment/pairs": 2 / 3, "uniformity/users": -4, "uniformity/items": items}
    )
    assert reads_nothing_back(DIAGNOSTICS["uniformity"], look())


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"alignment: 'item' must be numbers \[3, 2\]"):
        alignment(POINTS, POINTS[:2])
    with pytest.raises(ValueError, match=r"uniformity: 'table' must be numbers \[N, D\]"):
        uniformity(POINTS[0])
