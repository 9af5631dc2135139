"""SogCLR: a memory of denominators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_negsamp.losses import BilateralSoftmaxLoss, SogCLRLoss

USER = torch.tensor([3, 1, 3, 0])


def scores(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pos, neg = (
        2 * torch.rand(size, generator=generator, dtype=torch.double) - 1 for size in ((4,), (4, 3))
    )
    return pos.requires_grad_(), neg.requires_grad_()


def test_two_steps_by_hand() -> None:
    """The memory begins with what is met first, and is updated before it divides."""
    loss = SogCLRLoss(5, temperature=0.4, gamma=0.7).double()
    g: dict[int, float] = {}
    for seed in range(2):
        pos, neg = scores(seed)
        now = (neg / 0.4).exp().mean(dim=1).tolist()
        for user in set(USER.tolist()):
            mine = [x for x, u in zip(now, USER.tolist(), strict=True) if u == user]
            mean = sum(mine) / len(mine)
            g[user] = 0.3 * g.get(user, mean) + 0.7 * mean
        value = loss(pos, neg, user=USER)
        divided = torch.tensor([g[u] for u in USER.tolist()]).double()
        expected = (-pos / 0.4 + (neg / 0.4).exp().mean(dim=1) / divided).mean()
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(
            torch.autograd.grad(value, (pos, neg)), torch.autograd.grad(expected, (pos, neg))
        )
    torch.testing.assert_close(
        loss.log_g[[0, 1, 3]].exp(), torch.tensor([g[0], g[1], g[3]]).double()
    )
    assert loss.log_g[[2, 4]].isneginf().all()


def test_without_a_past_it_is_the_softmax_over_the_negatives() -> None:
    pos, neg = scores()
    losses = SogCLRLoss(5, 0.4, gamma=1.0).double(), BilateralSoftmaxLoss(0.4)
    user = torch.arange(4)
    losses[0](*scores(1), user=user)
    mine, other = (torch.autograd.grad(x(pos, neg, user=user), (pos, neg)) for x in losses)
    torch.testing.assert_close(mine, other)


def test_rows_without_negatives_leave_no_trace() -> None:
    loss = SogCLRLoss(5).double()
    weight = torch.ones(4, 3)
    weight[[2, 3]] = 0
    loss(*scores(), weight, user=USER)
    other = SogCLRLoss(5).double()
    other(*(x[:2] for x in scores()), user=USER[:2])
    torch.testing.assert_close(loss.log_g[:5], other.log_g[:5])


def test_nothing_is_remembered_while_evaluating() -> None:
    loss = SogCLRLoss(5).double().eval()
    loss(*scores(), user=USER)
    assert loss.log_g.isneginf().all()


def test_the_memory_is_not_rounded_to_half_precision() -> None:
    loss = SogCLRLoss(5)
    loss.log_g.copy_(torch.tensor([1.2345678, 2.3456789, 300.123, 0.1, -7.7, 1e-7]))
    before = loss.log_g.clone()
    assert torch.equal(loss.to(torch.bfloat16).half().log_g, before)
    assert SogCLRLoss(5).double().log_g.dtype == torch.double


@pytest.mark.parametrize(
    ("argument", "value"), [("num_users", 0), ("temperature", 0.0), ("gamma", 0.0), ("gamma", 1.1)]
)
def test_refuses_bad_arguments(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"SogCLRLoss: '{argument}'"):
        SogCLRLoss(**{"num_users": 5, argument: value})
