"""Losses against their loop oracles."""

from __future__ import annotations

import pytest
import torch

from oracles import bpr, sdns
from pyg_negsamp.losses import BPRLoss, SoftBPRLoss, l2_penalty


def scores(num_negatives: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(num_negatives)
    return (
        torch.randn(6, generator=generator, dtype=torch.double),
        torch.randn(6, num_negatives, generator=generator, dtype=torch.double) * 3,
    )


@pytest.mark.parametrize("num_negatives", [1, 4])
def test_bpr_equals_the_oracle(num_negatives: int) -> None:
    pos, neg = scores(num_negatives)
    assert BPRLoss()(pos, neg).item() == pytest.approx(bpr.bpr_loss(pos, neg))
    weight = torch.rand(6, num_negatives, dtype=torch.double)
    expected = bpr.bpr_loss(pos, neg, weight)
    assert BPRLoss()(pos, neg, weight).item() == pytest.approx(expected)


def test_equal_weights_are_no_weights() -> None:
    pos, neg = scores(4)
    weight = torch.full_like(neg, 0.25)
    torch.testing.assert_close(BPRLoss()(pos, neg, weight), BPRLoss()(pos, neg))


def test_bpr_gradient_is_the_sigmoid() -> None:
    pos, neg = scores(1)
    pos.requires_grad_()
    BPRLoss()(pos, neg).backward()
    torch.testing.assert_close(pos.grad, -torch.sigmoid(neg.squeeze(1) - pos.detach()) / 6)


def test_bpr_does_not_overflow() -> None:
    loss = BPRLoss()(torch.tensor([-1e4, 1e4]), torch.tensor([[1e4], [-1e4]]))
    assert loss.item() == pytest.approx(1e4)


@pytest.mark.parametrize(
    ("pos", "neg", "weight"), [((3,), (2, 1), None), ((3,), (3,), None), ((3,), (3, 2), (3, 1))]
)
def test_bpr_refuses_other_shapes(
    pos: tuple[int, ...], neg: tuple[int, ...], weight: tuple[int, ...] | None
) -> None:
    with pytest.raises(ValueError, match="BPRLoss"):
        BPRLoss()(torch.ones(pos), torch.ones(neg), None if weight is None else torch.ones(weight))


def test_l2_equals_the_oracle() -> None:
    rows = [torch.randn(size, dtype=torch.double) for size in ((6, 3), (6, 3), (6, 2, 3))]
    assert l2_penalty(*rows).item() == pytest.approx(bpr.l2(*rows))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_soft_bpr_equals_the_oracle(alpha: float) -> None:
    for num_negatives in (1, 4):
        pos, neg = scores(num_negatives)
        expected = sdns.soft_bpr_loss(pos, neg, alpha)
        assert SoftBPRLoss(alpha)(pos, neg).item() == pytest.approx(expected)
    torch.testing.assert_close(SoftBPRLoss(0.0)(pos, neg), BPRLoss()(pos, neg))
