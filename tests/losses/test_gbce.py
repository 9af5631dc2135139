"""gBCE: binary cross-entropy of a sampled part of the negatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from pyg_negsamp.losses import GBCELoss


def test_without_correction_it_is_binary_cross_entropy() -> None:
    pos, neg = torch.randn(6).double(), torch.randn(6, 4).double()
    label = torch.zeros(6, 5).double()
    label[:, 0] = 1
    expected = cross_entropy(torch.cat([pos.unsqueeze(1), neg], dim=1), label)
    torch.testing.assert_close(GBCELoss(100, t=0.0)(pos, neg), expected)


def test_all_negatives_need_no_correction() -> None:
    pos, neg = torch.randn(6).double(), torch.randn(6, 4).double()
    torch.testing.assert_close(GBCELoss(5, t=1.0)(pos, neg), GBCELoss(5, t=0.0)(pos, neg))


def test_positives_count_by_the_share_of_negatives() -> None:
    pos = torch.zeros(1, requires_grad=True)
    GBCELoss(101, t=0.75)(pos, torch.zeros(1, 4)).backward()
    assert pos.grad.item() == pytest.approx(-(0.25 + 0.75 * 4 / 100) / 2 / 5)


@pytest.mark.parametrize(("argument", "value"), [("t", -0.1), ("t", 1.1), ("num_items", 1)])
def test_refuses_bad_arguments(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"GBCELoss: '{argument}'"):
        GBCELoss(**{"num_items": 10, argument: value})
