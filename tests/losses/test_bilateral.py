"""BSL: softmax on both sides."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_negsamp.losses import BilateralSoftmaxLoss

USER = torch.tensor([7, 2, 7, 7, 2, 5])


def scores() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pos, neg = (
        torch.randn(size, generator=generator, dtype=torch.double) for size in ((6,), (6, 4))
    )
    return pos.requires_grad_(), neg.requires_grad_()


def test_with_one_positive_per_user_it_is_the_softmax_over_the_negatives() -> None:
    """By its gradient; the value differs by the logarithm of their number."""
    pos, neg = scores()
    found = BilateralSoftmaxLoss(0.3)(pos, neg, user=torch.tensor([4, 9, 1, 0, 8, 2]))
    expected = ((neg - pos.unsqueeze(1)) / 0.3).logsumexp(dim=1).mean()
    for mine, theirs in zip(
        torch.autograd.grad(found, (pos, neg)),
        torch.autograd.grad(expected, (pos, neg)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)
    torch.testing.assert_close(BilateralSoftmaxLoss(0.3)(pos, neg), found)


def test_positives_of_a_user_count_together() -> None:
    pos, neg = scores()
    found = BilateralSoftmaxLoss(0.3, 0.7, negative_weight=1.2)(pos, neg, user=USER)
    above = [(pos[user == USER] / 0.7).exp().mean().log() for user in USER]
    below = 1.2 * (neg / 0.3).exp().mean(dim=1).log()
    expected = (below - torch.stack(above)).mean()
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(
        torch.autograd.grad(found, (pos, neg)),
        torch.autograd.grad(expected, (pos, neg)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_positives_of_a_user_do_not_overflow() -> None:
    pos = torch.tensor([1e4, -1e4, 1e4, 3e4, 1e4, 0.0], requires_grad=True)
    loss = BilateralSoftmaxLoss(0.1)(pos, torch.zeros(6, 2), user=USER)
    loss.backward()
    assert loss.isfinite()
    torch.testing.assert_close(pos.grad, -torch.tensor([0, 0, 0, 3, 2, 1]) * 10 / 6)


@pytest.mark.parametrize("argument", ["temperature", "positive_temperature", "negative_weight"])
def test_refuses_bad_arguments(argument: str) -> None:
    with pytest.raises(ValueError, match=f"BilateralSoftmaxLoss: '{argument}'"):
        BilateralSoftmaxLoss(**{argument: 0.0})
