"""WARP: the rank of a positive by the number of tries."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.losses import HingeLoss, WARPLoss


def phi(rank: int) -> float:
    return sum(1 / i for i in range(1, rank + 1))


def test_the_first_violation_counts_and_no_other() -> None:
    pos = torch.tensor([1.0, 1.0, 1.0])
    neg = torch.tensor([[0.5, 9.0, 9.0], [-1.0, -1.0, 0.2], [-1.0, -1.0, -1.0]])
    neg.requires_grad_()
    loss = WARPLoss(num_items=11)(pos, neg)
    assert loss.item() == pytest.approx((phi(10) * 0.5 + phi(3) * 0.2 + 0) / 3)
    loss.backward()
    expected = torch.zeros(3, 3)
    expected[0, 0], expected[1, 2] = phi(10) / 3, phi(3) / 3
    torch.testing.assert_close(neg.grad, expected)


def test_tries_of_weight_zero_were_none() -> None:
    pos, neg = torch.ones(1), torch.tensor([[5.0, -1.0, 0.5]])
    weight = torch.tensor([[0.0, 1.0, 1.0]])
    assert WARPLoss(11)(pos, neg, weight).item() == pytest.approx(phi(5) * 0.5)


def test_a_catalogue_of_two_is_a_hinge() -> None:
    pos, neg = torch.randn(6), torch.randn(6, 1)
    torch.testing.assert_close(WARPLoss(2)(pos, neg), HingeLoss()(pos, neg))


def test_ranks_of_large_catalogues() -> None:
    loss = WARPLoss(1_000_001)(torch.zeros(1), torch.zeros(1, 1))
    assert loss.item() == pytest.approx(phi(1_000_000), rel=1e-6)


@pytest.mark.parametrize("num_items", [1, 2.5, None])
def test_refuses_other_catalogues(num_items: int) -> None:
    with pytest.raises(ValueError, match="WARPLoss: 'num_items'"):
        WARPLoss(num_items)
