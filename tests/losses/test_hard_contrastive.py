"""DCL and HCL, and what they become in the limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pyg_negsamp.losses import HardContrastiveLoss, SampledSoftmaxLoss


def cosines() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pos, neg = (
        2 * torch.rand(size, generator=generator, dtype=torch.double) - 1 for size in ((6,), (6, 4))
    )
    return pos, neg


def test_without_both_it_is_a_sampled_softmax() -> None:
    pos, neg = cosines()
    found = HardContrastiveLoss(0.3, beta=0.0, tau_plus=0.0)(pos, neg)
    torch.testing.assert_close(found, SampledSoftmaxLoss(0.3)(pos, neg))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_without_hardness_it_is_dcl(temperature: float) -> None:
    """arXiv:2007.00224, eq. 8."""
    pos, neg = cosines()
    of_pos, of_neg = (pos / temperature).exp(), (neg / temperature).exp()
    g = ((of_neg.mean(1) - 0.1 * of_pos) / 0.9).clamp(min=math.exp(-1 / temperature))
    expected = -(of_pos / (of_pos + 4 * g)).log().mean()
    found = HardContrastiveLoss(temperature, beta=0.0, tau_plus=0.1)(pos, neg)
    torch.testing.assert_close(found, expected)


def test_the_floor_holds_where_too_much_is_taken_off() -> None:
    pos, neg = torch.ones(1).double(), -torch.ones(1, 2).double().requires_grad_()
    loss = HardContrastiveLoss(0.5, tau_plus=0.5)(pos, neg)
    expected = torch.log1p(torch.tensor(2 * torch.e**-4.0)).item()
    assert loss.item() == pytest.approx(expected)


def test_hardness_moves_the_gradient_to_the_highest() -> None:
    shares = []
    for beta in (0.0, 2.0):
        pos, neg = torch.zeros(1), torch.tensor([[0.2, 0.0, -0.2]], requires_grad=True)
        HardContrastiveLoss(0.5, beta=beta)(pos, neg).backward()
        shares.append(neg.grad[0, 0] / neg.grad.sum())
    assert shares[1] > 1.5 * shares[0]


@pytest.mark.parametrize(
    ("argument", "value"), [("temperature", 0.0), ("beta", -1.0), ("tau_plus", 1.0)]
)
def test_refuses_bad_arguments(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"HardContrastiveLoss: '{argument}'"):
        HardContrastiveLoss(**{argument: value})
