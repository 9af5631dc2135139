"""CCL, the loss of SimpleX."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.losses import CosineContrastiveLoss


def test_by_hand() -> None:
    pos, neg = torch.tensor([0.7]), torch.tensor([[0.5, -0.3, 0.9, 0.1]])
    loss = CosineContrastiveLoss(margin=0.4, negative_weight=10.0)
    assert loss(pos, neg).item() == pytest.approx(0.3 + 10 / 4 * (0.1 + 0.5))


def test_negatives_below_the_margin_are_ignored() -> None:
    pos, neg = torch.zeros(2), torch.tensor([[0.5, 0.3], [0.2, 0.1]], requires_grad=True)
    CosineContrastiveLoss(margin=0.4, negative_weight=8.0)(pos, neg).backward()
    torch.testing.assert_close(neg.grad, torch.tensor([[2.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize(
    ("argument", "value"), [("margin", 1.5), ("margin", float("nan")), ("negative_weight", -1.0)]
)
def test_refuses_bad_arguments(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"CosineContrastiveLoss: '{argument}'"):
        CosineContrastiveLoss(**{argument: value})
