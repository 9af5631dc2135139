"""Newer losses against loops that were written from the formulas by somebody who had not seen them.

Values and gradients, in double precision, with negatives that do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from oracles import since_2019 as oracles
from pyg_negsamp import losses

B, K, NUM_ITEMS = 6, 5, 50
USERS = torch.tensor([3, 1, 3, 0, 1, 2])


def draw(*size: int, seed: int, scale: float = 1.0) -> Tensor:
    x = torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    return (2 * x - 1) * scale


LOG_Q = (draw(B, K, seed=3) * 0.5 + 0.6).log() - 3
POS_LOG_Q = (draw(B, seed=4) * 0.5 + 0.6).log() - 3

#: Ours, the oracle, and what either takes besides.
CASES: dict[str, tuple[Any, Callable[..., Tensor], dict[str, Any], dict[str, Any]]] = {
    "classic log Q": (
        losses.InBatchSoftmaxLoss(0.2),
        oracles.softmax_logq,
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q},
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q, "temperature": 0.2},
    ),
    "corrected log Q": (
        losses.InBatchSoftmaxLoss(0.2, correction="corrected"),
        oracles.softmax_corrected_logq,
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q},
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q, "temperature": 0.2},
    ),
    "BSL": (
        losses.BilateralSoftmaxLoss(0.1, 0.25, 1.2),
        oracles.bsl,
        {"user": USERS},
        {
            "users": USERS.tolist(),
            "temperature": 0.1,
            "positive_temperature": 0.25,
            "negative_weight": 1.2,
        },
    ),
    **{
        f"PSL {name}": (
            losses.PairwiseSoftmaxLoss(0.1, name),
            oracles.psl,
            {},
            {"temperature": 0.1, "activation": name},
        )
        for name in ("tanh", "arctan", "relu", "exp")
    },
    "CCL": (
        losses.CosineContrastiveLoss(0.2, 30.0),
        oracles.ccl,
        {},
        {"margin": 0.2, "negative_weight": 30.0},
    ),
    "gBCE": (
        losses.GBCELoss(NUM_ITEMS, 0.6),
        oracles.gbce,
        {},
        {"num_items": NUM_ITEMS, "t": 0.6},
    ),
    "hinge": (losses.HingeLoss(0.7), oracles.hinge, {}, {"margin": 0.7}),
    "WARP": (losses.WARPLoss(NUM_ITEMS), oracles.warp, {}, {"num_items": NUM_ITEMS}),
    "DCL": (
        losses.HardContrastiveLoss(0.3, 0.0, 0.05),
        oracles.hard_contrastive,
        {},
        {"temperature": 0.3, "beta": 0.0, "tau_plus": 0.05},
    ),
    "HCL": (
        losses.HardContrastiveLoss(0.3, 1.5, 0.05),
        oracles.hard_contrastive,
        {},
        {"temperature": 0.3, "beta": 1.5, "tau_plus": 0.05},
    ),
}


def value_and_gradients(loss: Callable[..., Tensor], weight: Any, given: Any) -> list[Tensor]:
    pos, neg = draw(B, seed=1).requires_grad_(), draw(B, K, seed=2).requires_grad_()
    found = loss(pos, neg, weight, **given)
    return [found.detach(), *torch.autograd.grad(found, [pos, neg])]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name: str, weighted: bool) -> None:
    ours, oracle, given, asked = CASES[name]
    weight = None
    if weighted:
        weight = (draw(B, K, seed=5) > -0.3).double()
        weight[2] = 0
    for found, expected in zip(
        value_and_gradients(ours, weight, given),
        value_and_gradients(oracle, weight, asked),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_direct_au() -> None:
    user, item = draw(B, 4, seed=6).requires_grad_(), draw(B, 4, seed=7).requires_grad_()
    scores = (user * item).sum(1), torch.zeros(B, 1, dtype=torch.double)
    found = losses.DirectAULoss(2.0)(*scores, None, user_rows=user, pos_rows=item)
    expected = oracles.directau(user, item, gamma=2.0)
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(
        *(torch.autograd.grad(x, [user, item]) for x in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_sogclr_batch_after_batch() -> None:
    ours = losses.SogCLRLoss(4, temperature=0.3, gamma=0.9)
    means: dict[int, float] = {}
    for step in range(3):
        pos, neg = draw(B, seed=10 + step), draw(B, K, seed=20 + step)
        pos.requires_grad_()
        neg.requires_grad_()
        users = USERS.tolist()
        means = oracles.sogclr_moving_means(
            neg, None, users=users, moving_means=means, temperature=0.3, gamma=0.9
        )
        expected = oracles.sogclr(pos, neg, None, users=users, moving_means=means, temperature=0.3)
        found = ours(pos, neg, None, user=USERS)
        for mine, theirs in zip(
            *(torch.autograd.grad(x, [pos, neg]) for x in (found, expected)), strict=True
        ):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)
