"""Adap-tau: temperatures by user."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import lambertw
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import AdaptiveTauLoss, SampledSoftmaxLoss, graph_arguments
from pyg_negsamp.testing import toy

USER = torch.tensor([3, 1, 3, 0])
FIRST = 0.7 / math.log(5 * 8 / (2 * 4))


def scores(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pos, neg = (
        2 * torch.rand(size, generator=generator, dtype=torch.double) - 1 for size in ((4,), (4, 3))
    )
    return pos, neg


def made(**arguments: float) -> AdaptiveTauLoss:
    return AdaptiveTauLoss(5, 8, 4, **arguments).double()


def test_it_begins_with_one_temperature() -> None:
    expected = SampledSoftmaxLoss(FIRST)(*scores())
    torch.testing.assert_close(made()(*scores(), user=USER), expected)


@pytest.mark.parametrize("warmup", [0, 7])
def test_temperatures_follow_the_epoch_before(warmup: int) -> None:
    loss, (pos, neg) = made(beta=0.5, warmup=warmup), scores()
    users, items = (normalize(torch.randn(n, 3).double(), dim=1) for n in (5, 8))
    loss(pos, neg, user=USER)
    loss.start_epoch(1, 9, users, items)

    base = FIRST
    gap = float(pos.mean() - (users @ items.t()).mean())
    if warmup == 0 and gap > 0:
        base = gap / math.log(5)
    each = (neg.exp().sum(dim=1).log() - pos).tolist()
    of = {0: each[3], 1: each[1], 3: (each[0] + each[2]) / 2}
    middle = sum(of.values()) / 3
    expected = [base] * 5
    for user, found in of.items():
        argument = max(-1 / math.e, (found - middle) / 0.5)
        expected[user] = base * math.exp(lambertw(argument).real)
    torch.testing.assert_close(loss.temperature, torch.tensor(expected).double())
    assert loss.temperature[3] != loss.temperature[1]
    assert not loss.met.any(), "a new epoch is noted anew"
    assert not loss.score_sum


def test_the_common_temperature_is_the_gap_of_positives() -> None:
    loss, (_, neg) = made(warmup=0), scores()
    loss(torch.full((4,), 0.9).double(), neg, user=USER)
    loss.start_epoch(1, 9, torch.eye(5, 6).double(), torch.zeros(8, 6).double())
    assert float(loss.base) == pytest.approx(0.9 / math.log(5))
    loss(torch.full((4,), -0.9).double(), neg, user=USER)
    loss.start_epoch(2, 9, torch.eye(5, 6).double(), torch.zeros(8, 6).double())
    assert float(loss.base) == pytest.approx(FIRST), "of positives below the others there is none"


def test_a_user_far_below_the_others_has_a_temperature() -> None:
    loss = made(beta=0.5)
    loss(torch.tensor([0.0, 0, 0, 9]).double(), scores()[1], user=USER)
    loss.start_epoch(1, 9)
    assert float(loss.temperature.min()) == pytest.approx(FIRST / math.e, rel=1e-6)


def test_rows_without_negatives_leave_no_trace() -> None:
    loss, weight = made(), torch.ones(4, 3)
    weight[[2, 3]] = 0
    loss(*scores(), weight, user=USER)
    other = made()
    other(*(x[:2] for x in scores()), user=USER[:2])
    for name, noted in loss.named_buffers():
        torch.testing.assert_close(noted, other.get_buffer(name))


def test_supervision_links_are_what_it_is_trained_on() -> None:
    data = toy().data
    store = data[EDGE_TYPE]
    store.edge_label_index, store.edge_index = store.edge_index[:, :5], store.edge_index[:, 5:]
    store.edge_label = torch.ones(5)
    assert graph_arguments(AdaptiveTauLoss, data)["num_links"] == 5


def test_refuses_bad_arguments() -> None:
    for argument, value in (("beta", 0.0), ("warmup", -1), ("num_users", 0), ("num_links", 20)):
        sizes = {"num_users": 5, "num_items": 8, "num_links": 4}
        with pytest.raises(ValueError, match=f"AdaptiveTauLoss: '{argument}'"):
            AdaptiveTauLoss(**{**sizes, argument: value})
