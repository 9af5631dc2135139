"""The entropy of embeddings, by hand and at its limits."""

from __future__ import annotations

import math

import pytest
import torch
from looks import look, reads_nothing_back

from pyg_negsamp.diagnostics import DIAGNOSTICS, entropy

ROWS = torch.tensor([[0.0, 0.0], [3.0, 3.0], [0.0, math.log(3)], [0.0, 50.0]])
#: Of shares 1/4 and 3/4.
QUARTER = math.log(4) / 4 + 3 / 4 * math.log(4 / 3)


def test_the_example() -> None:
    # Divided by two dimensions, and by four embeddings.
    expected = (2 * math.log(2) + QUARTER) / 2 / 4
    assert entropy(ROWS).item() == pytest.approx(expected, rel=1e-6)
    for row, value in zip(ROWS, (math.log(2), math.log(2), QUARTER, 0), strict=True):
        assert entropy(row[None]).item() == pytest.approx(value / 2, abs=1e-6)


def test_is_equation_6() -> None:
    users, items = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    group = torch.cat([users, items])
    printed = 0.0
    for row in group.tolist():
        total = sum(map(math.exp, row))
        shares = [math.exp(x) / total for x in row]
        printed -= sum(p * math.log(p) for p in shares) / 3
    assert len(group) * entropy(group).item() == pytest.approx(printed, rel=1e-5)


def test_limits() -> None:
    weight = torch.tensor([0.0, 0.0, 2.0, 0.0])
    assert entropy(ROWS, weight).item() == pytest.approx(QUARTER / 2)
    assert entropy(ROWS, 0 * weight).isnan()
    assert entropy(ROWS[:0]).isnan()
    assert entropy(ROWS[:, :1]) == entropy(ROWS[:, :0]) == 0
    assert entropy(torch.ones(7, 8)).item() == pytest.approx(math.log(8) / 8)  # the most there is
    assert entropy(ROWS.half()).dtype == torch.float32


@pytest.mark.parametrize("layers", [None, 2])
def test_of_a_look(layers: int | None) -> None:
    chosen = torch.tensor([[0, 1], [2, 2], [3, 0]])
    weight = torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])  # leaves items 1 and 3
    if layers:
        chosen = chosen.unsqueeze(2).expand(3, 2, layers)
    made = look(chosen=chosen, weight=weight)
    # Items 1 and 3 are [0, 1] and [-1, 0]: shares 1 / (1 + e) and e / (1 + e), both.
    e = math.e
    value = (math.log(1 + e) + e * math.log((1 + e) / e)) / (1 + e) / 2
    found = DIAGNOSTICS["entropy"](made)
    assert {name: x.item() for name, x in found.items()} == pytest.approx({"entropy/chosen": value})
    assert reads_nothing_back(DIAGNOSTICS["entropy"], made)
    assert DIAGNOSTICS["entropy"](look(chosen=None)) == {}


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"entropy: 'rows' must be numbers \[N, D\]"):
        entropy(ROWS[0])
    with pytest.raises(ValueError, match=r"entropy: 'weight' must be numbers \[4\]"):
        entropy(ROWS, torch.ones(5))
