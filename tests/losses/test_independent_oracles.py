"""Newer losses against loops that were written from the formulas by somebody who had not seen them.

Values and gradients, in double precision, with negatives that do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

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


@pytest.fixture(params=[False, True], ids=["all count", "some count"])
def batch(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor, Tensor | None]:
    weight = None
    if request.param:
        weight = (draw(B, K, seed=5) > -0.3).double()
        weight[2] = 0
    return draw(B, seed=1).requires_grad_(), draw(B, K, seed=2).requires_grad_(), weight


Batch = tuple[Tensor, Tensor, Tensor | None]


def same(found: Tensor, expected: Tensor, leaves: Sequence[Tensor]) -> None:
    """Values and gradients agree."""
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
    for mine, theirs in zip(
        *(torch.autograd.grad(x, leaves, retain_graph=True) for x in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_softmax_at_k(batch: Batch) -> None:
    """With quantiles of scores that were listed and sorted."""
    pos, neg, weight = batch
    users, items = (torch.nn.functional.normalize(draw(n, 5, seed=n)) for n in (4, 30))
    ours = losses.SoftmaxAtKLoss(4, temperature=0.2, weight_temperature=0.7, k=6).double()
    ours.start_epoch(0, 9, users, items)
    scores = (users @ items.t()).tolist()
    quantile = [oracles.user_quantile(row[:10], row[10:], 6) for row in scores]
    expected = oracles.softmax_at_k(
        pos,
        neg,
        weight,
        quantile=torch.tensor(quantile, dtype=torch.double)[USERS],
        temperature=0.2,
        weight_temperature=0.7,
    )
    same(ours(pos, neg, weight, user=USERS), expected, (pos, neg))


def test_adv_info_nce(batch: Batch) -> None:
    """The model goes down, and the adversary up, as far as the gradients of the oracle say."""
    pos, neg, weight = batch
    ours = losses.AdvInfoNCELoss(4, NUM_ITEMS, 0.2, negative_weight=16.0, dim=3).double()
    ours.start_epoch(0, 9)
    neg_item = torch.arange(B * K).view(B, K) % NUM_ITEMS
    found = ours(pos, neg, weight, user=USERS, neg_item=neg_item)
    tables = [x.weight.detach().clone().requires_grad_() for x in (ours.users, ours.items)]
    logit = (tables[0][USERS].unsqueeze(1) * tables[1][neg_item]).sum(2)
    expected = oracles.adv_infonce(
        pos, neg, weight, q=logit.softmax(dim=1), temperature=0.2, scale=16.0
    )
    same(found, expected, (pos, neg))
    mine = torch.autograd.grad(found, [ours.users.weight, ours.items.weight])
    for one, other in zip(mine, torch.autograd.grad(expected, tables), strict=True):
        torch.testing.assert_close(one, -other)
        assert other.any()


def test_adaptive_tau() -> None:
    """An epoch is noted, and the next has the temperatures that follow from it.

    The oracle's `2 beta` is what the authors' programs call beta, and so do we. One user is so far
    below the others that its temperature is the least there is.
    """
    sizes = {"num_users": 4, "num_items": NUM_ITEMS, "num_links": 20}
    ours = losses.AdaptiveTauLoss(**sizes, beta=0.5, warmup=1).double()
    users, items = (torch.nn.functional.normalize(draw(n, 5, seed=n)) for n in (4, NUM_ITEMS))
    pos, neg = draw(B, seed=1).requires_grad_(), draw(B, K, seed=2).requires_grad_()
    met = (pos.detach().abs(), neg.detach())  # positives score above all pairs
    ours.start_epoch(0, 9, users, items)
    ours(*met, None, user=USERS)
    ours.start_epoch(1, 9, users, items)
    tau_0 = oracles.adap_tau_global_temperature(
        positive_mean=float(met[0].mean()), all_mean=float((users @ items.t()).mean()), **sizes
    )
    of_row = [met[1][b].logsumexp(0) - met[0][b] for b in range(B)]
    loss = {
        u: float(sum(of_row[b] for b in (u == USERS).nonzero()) / (u == USERS).sum())
        for u in range(4)
    }
    temperatures = {
        u: oracles.adap_tau_user_temperature(
            loss[u], tau_0=tau_0, beta=0.25, threshold=sum(loss.values()) / 4
        )
        for u in range(4)
    }
    assert min(temperatures.values()) == pytest.approx(tau_0 / math.e)
    expected = oracles.adap_tau(pos, neg, None, users=USERS.tolist(), temperatures=temperatures)
    same(ours(pos, neg, None, user=USERS), expected, (pos, neg))


def test_llpauc(batch: Batch) -> None:
    """What is to go up has its gradient reversed; our `s_pos` is minus the oracle's."""
    pos, neg, weight = batch
    ours = losses.LLPAUCLoss(alpha=0.7, beta=0.3).double()
    start = {"a": 0.6, "b": 0.3, "gamma": 0.2, "s_pos": -0.4, "s_neg": 0.9}
    scalars = {name: torch.tensor(x).double().requires_grad_() for name, x in start.items()}
    with torch.no_grad():
        for name, x in start.items():
            getattr(ours, name).fill_(-x if name == "s_pos" else x)
    found = ours(pos, neg, weight)
    expected = oracles.llpauc(
        pos.sigmoid(), neg.sigmoid(), weight, alpha=0.7, beta=0.3, kappa=5.0, **scalars
    )
    # Rows without negatives are in our mean, with 0, and not in the oracle's.
    expected = expected * (1 if weight is None else float((weight.sum(1) > 0).double().mean()))
    torch.testing.assert_close(found, expected)
    leaves = [pos, neg, *scalars.values()]
    of_ours = [pos, neg, *(getattr(ours, name) for name in scalars)]
    for name, mine, theirs in zip(
        ["pos", "neg", *scalars],
        torch.autograd.grad(found, of_ours),
        torch.autograd.grad(expected, leaves),
        strict=True,
    ):
        other = -theirs if name == "gamma" else theirs
        torch.testing.assert_close(mine, other, msg=name)


def test_bc(batch: Batch) -> None:
    pos, neg, weight = batch
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 4, NUM_ITEMS
    links = torch.tensor([[0, 0, 1, 2, 3, 3, 3], [0, 1, 1, 2, 0, 1, 2]])
    data["user", "interacts", "item"].edge_index = links
    ours = losses.BCLoss(data, temperature=0.2, warmup=1, dim=3).double()
    ours.start_epoch(1, 9)
    item = torch.tensor([1, 0, 2, 1, 1, 2])
    of_user = ours.of_users(ours.user_group[USERS])
    of_item = ours.of_items(ours.item_group[item])
    margin = 1 - torch.sigmoid((of_user * of_item).sum(1)).detach()
    expected = oracles.bc_loss(pos, neg, weight, bias_angles=margin, temperature=0.2)
    neg_item = torch.arange(B * K).view(B, K) % NUM_ITEMS
    found = ours(pos, neg, weight, user=USERS, item=item, neg_item=neg_item)
    same(found, expected, (pos, neg))


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
