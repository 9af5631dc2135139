"""The adaptive hinge."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.losses import HingeLoss


def test_by_hand() -> None:
    pos, neg = torch.tensor([2.0, 0.0]), torch.tensor([[0.5, 0.9], [1.0, -3.0]])
    assert HingeLoss()(pos, neg).item() == pytest.approx((0 + 2) / 2)
    assert HingeLoss(1.5)(pos, neg).item() == pytest.approx((0.4 + 2.5) / 2)


def test_one_negative_has_all_of_the_gradient() -> None:
    pos, neg = torch.zeros(1), torch.tensor([[0.1, 0.5, 0.2]], requires_grad=True)
    HingeLoss()(pos, neg).backward()
    assert neg.grad.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("margin", [-1.0, float("inf"), float("nan"), "1"])
def test_refuses_other_margins(margin: float) -> None:
    with pytest.raises(ValueError, match="HingeLoss: 'margin'"):
        HingeLoss(margin)
