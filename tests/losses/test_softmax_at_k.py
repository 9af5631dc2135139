"""SL@K: weights by what is within reach of a list."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from pyg_negsamp.losses import BilateralSoftmaxLoss, SoftmaxAtKLoss, softmax_at_k

USER = torch.tensor([3, 1, 3, 0])


def test_by_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    pos, neg, quantile = (
        torch.rand(size, generator=generator, dtype=torch.double) for size in ((4,), (4, 3), (5,))
    )
    pos.requires_grad_()
    loss = SoftmaxAtKLoss(5, 0.3, weight_temperature=0.5).double()
    loss.quantile.copy_(quantile)
    weight = torch.sigmoid((pos - quantile[USER]) / 0.5)
    expected = (weight * ((neg - pos.unsqueeze(1)) / 0.3).exp().sum(dim=1).log()).mean()
    torch.testing.assert_close(loss(pos, neg, user=USER), expected)
    assert torch.autograd.gradcheck(lambda pos: loss(pos, neg, user=USER), (pos,))


def test_weights_that_hardly_differ_leave_the_softmax_over_the_negatives() -> None:
    pos, neg = torch.rand(4).requires_grad_(), torch.rand(4, 3)
    (mine,) = torch.autograd.grad(SoftmaxAtKLoss(5, 0.3, 1e6)(pos, neg, user=USER), pos)
    (other,) = torch.autograd.grad(BilateralSoftmaxLoss(0.3)(pos, neg), pos)
    torch.testing.assert_close(2 * mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", [1, 2**26])
def test_quantiles_are_the_kth_best_scores(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all items, every few epochs."""
    monkeypatch.setattr(softmax_at_k, "BLOCK_BYTES", block)
    users, items = (normalize(torch.randn(size, 4), dim=1) for size in (5, 30))
    expected = (users @ items.t()).sort(dim=1, descending=True).values
    loss = SoftmaxAtKLoss(5, k=7, every=3)
    loss.start_epoch(1, 9, users, items)
    assert not loss.quantile.any()
    loss.start_epoch(3, 9, users, items)
    torch.testing.assert_close(loss.quantile, expected[:, 6])
    loss = SoftmaxAtKLoss(5, k=99)
    loss.start_epoch(0, 9, users, items)
    torch.testing.assert_close(loss.quantile, expected[:, -1])
    loss.start_epoch(0, 9)  # in a loop that has no tables
    torch.testing.assert_close(loss.quantile, expected[:, -1])


@pytest.mark.parametrize(
    "argument", ["num_users", "temperature", "weight_temperature", "k", "every"]
)
def test_refuses_bad_arguments(argument: str) -> None:
    with pytest.raises(ValueError, match=f"SoftmaxAtKLoss: '{argument}'"):
        SoftmaxAtKLoss(**{"num_users": 5, argument: 0})
