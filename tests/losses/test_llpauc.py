"""LLPAUC: a game between five scalars."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.losses import LLPAUCLoss


def soft(x: float) -> float:
    return float((1 + (5 * torch.tensor(x).double()).exp()).log() / 5)


def test_by_hand() -> None:
    """At the start: a = 1, b = 0, gamma = 0, both thresholds at 0.5."""
    pos, neg = torch.tensor([0.3]).double(), torch.tensor([[-0.2, 0.8]]).double()
    f, g = torch.sigmoid(pos).item(), torch.sigmoid(neg)[0].tolist()
    above = -0.5 - soft(2 * f - (f - 1) ** 2 - 0.5) / 0.7
    below = 0.5 + sum(soft(x**2 + 2 * x - 0.5) for x in g) / 2 / 0.1
    assert LLPAUCLoss().double()(pos, neg).item() == pytest.approx(above + below)


def test_one_side_descends_and_the_other_ascends() -> None:
    """With the same optimiser: the gradients of gamma and of the positives' threshold turn."""
    pos, neg = torch.randn(6).double(), torch.randn(6, 4).double()
    loss = LLPAUCLoss().double()
    loss(pos, neg).backward()
    for name, x in loss.named_parameters():
        moved = LLPAUCLoss().double()
        with torch.no_grad():
            getattr(moved, name).add_(-1e-4 if name == "a" else 1e-4)  # a is at its bound
        slope = (moved(pos, neg) - loss(pos, neg)).item() / (-1e-4 if name == "a" else 1e-4)
        sign = -1 if name in ("gamma", "s_pos") else 1
        assert x.grad.item() == pytest.approx(sign * slope, abs=1e-3), name


def test_scalars_stay_where_they_may_be() -> None:
    loss = LLPAUCLoss()
    with torch.no_grad():
        for x in loss.parameters():
            x.fill_(9)
        loss.gamma.fill_(-9)
    loss(torch.zeros(1), torch.zeros(1, 1))
    found = {name: x.item() for name, x in loss.named_parameters()}
    assert found == {"a": 1, "b": 1, "gamma": 0, "s_pos": 4, "s_neg": 5}


def test_high_positives_and_low_negatives_are_good() -> None:
    pos, neg = (torch.zeros(size, requires_grad=True) for size in ((3,), (3, 4)))
    LLPAUCLoss()(pos, neg).backward()
    assert (pos.grad < 0).all()
    assert (neg.grad > 0).all()


def test_scalars_stay_there_on_a_rank_without_rows() -> None:
    loss = LLPAUCLoss()
    with torch.no_grad():
        loss.b.fill_(-0.001)
    loss(torch.zeros(0), torch.zeros(0, 1))
    assert loss.b == 0


def test_scalars_are_not_rounded_to_half_precision() -> None:
    """Of 1 in bfloat16, a step of 0.001 leaves nothing."""
    loss = LLPAUCLoss().bfloat16()
    assert {x.dtype for x in loss.parameters()} == {torch.float32}
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    loss(torch.zeros(3).bfloat16(), torch.zeros(3, 4).bfloat16()).backward()
    optimizer.step()
    assert loss.a.item() == pytest.approx(0.999)
    assert {x.dtype for x in LLPAUCLoss().double().parameters()} == {torch.double}


@pytest.mark.parametrize("argument", ["alpha", "beta"])
@pytest.mark.parametrize("value", [0.0, 1.5])
def test_refuses_bad_arguments(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"LLPAUCLoss: '{argument}'"):
        LLPAUCLoss(**{argument: value})
