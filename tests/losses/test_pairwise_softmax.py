"""PSL and its activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_negsamp.losses import BilateralSoftmaxLoss, PairwiseSoftmaxLoss

ACTIVATIONS = {
    "tanh": lambda d: d.tanh() + 1,
    "arctan": lambda d: d.atan() + 1,
    "relu": lambda d: (d + 1).relu(),
    "exp": torch.exp,
}


def cosines() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pos, neg = (
        2 * torch.rand(size, generator=generator, dtype=torch.double) - 1 for size in ((6,), (6, 4))
    )
    return pos.requires_grad_(), neg.requires_grad_()


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_by_the_formula(activation: str, temperature: float) -> None:
    pos, neg = cosines()
    loss = PairwiseSoftmaxLoss(temperature, activation)
    d = (neg - pos.unsqueeze(1)) / 2
    expected = (ACTIVATIONS[activation](d) ** (1 / temperature)).sum(dim=1).log().mean()
    torch.testing.assert_close(loss(pos, neg), expected)
    assert torch.autograd.gradcheck(loss, (pos, neg))


def test_exp_at_half_the_temperature_is_the_softmax_over_the_negatives() -> None:
    pos, neg = cosines()
    losses = PairwiseSoftmaxLoss(0.15, "exp"), BilateralSoftmaxLoss(0.3)
    mine, other = (torch.autograd.grad(loss(pos, neg), (pos, neg)) for loss in losses)
    torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_the_ends_of_the_scale_are_finite(activation: str) -> None:
    """Where an activation reaches 0, its logarithm does not get there."""
    pos = torch.tensor([1.0, 1.0, -1.0], requires_grad=True)
    neg = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], requires_grad=True)
    loss = PairwiseSoftmaxLoss(0.05, activation)(pos, neg)
    loss.backward()
    assert loss.isfinite()
    assert pos.grad.isfinite().all()
    assert neg.grad.isfinite().all()


def test_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"PairwiseSoftmaxLoss: 'activation'.*'tanh', 'arctan'"):
        PairwiseSoftmaxLoss(activation="gelu")
    with pytest.raises(ValueError, match="PairwiseSoftmaxLoss: 'temperature'"):
        PairwiseSoftmaxLoss(0.0)
