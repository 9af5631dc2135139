"""The softmax that is corrected for its proposal."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from oracles import softmax
from pyg_negsamp.losses import InBatchSoftmaxLoss, SampledSoftmaxLoss


def scores(num_negatives: int = 4) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    pos, neg, log_q = (
        torch.randn(size, generator=generator, dtype=torch.double)
        for size in ((6,), (6, num_negatives), (6, num_negatives + 1))
    )
    log_q = log_q.log_softmax(dim=1)
    known = {"log_q": log_q[:, 1:], "pos_log_q": log_q[:, 0]}
    return pos.requires_grad_(), neg.requires_grad_(), known


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_classic_equals_the_oracle(temperature: float) -> None:
    pos, neg, known = scores()
    value = softmax.sampled_softmax_loss(
        pos.detach(), neg.detach(), temperature, known["pos_log_q"], known["log_q"]
    )
    found = InBatchSoftmaxLoss(temperature)(pos, neg, **known)
    assert found.item() == pytest.approx(value)


def test_where_all_are_equally_likely_there_is_nothing_to_correct() -> None:
    pos, neg, known = scores()
    even = {key: torch.full_like(x, -7.0) for key, x in known.items()}
    expected = SampledSoftmaxLoss(0.3)(pos, neg)
    torch.testing.assert_close(InBatchSoftmaxLoss(0.3)(pos, neg), expected)
    torch.testing.assert_close(InBatchSoftmaxLoss(0.3)(pos, neg, **even), expected)


def test_corrected_over_the_catalogue_is_the_full_softmax() -> None:
    """By its gradient: every other item once, `Q' = 1 / (I - 1)`."""
    pos, neg, known = scores(9)
    even = {key: torch.full_like(x, -math.log(10)) for key, x in known.items()}
    loss = InBatchSoftmaxLoss(0.3, correction="corrected")(pos, neg, **even)
    full = SampledSoftmaxLoss(0.3)(pos, neg)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (pos, neg)), torch.autograd.grad(full, (pos, neg))
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_corrected_by_the_formula(weighted: bool) -> None:
    pos, neg, known = scores()
    weight = torch.arange(24).view(6, 4) % 3 if weighted else torch.ones(6, 4)
    q = known["log_q"].exp() / (1 - known["pos_log_q"].exp()).unsqueeze(1)
    p, total = (pos / 0.3).exp(), (weight * (neg / 0.3).exp() / q).sum(dim=1)
    missing = (1 - p / (p + total / weight.sum(dim=1))).detach()
    expected = (missing * (-pos / 0.3 + total.log())).mean()
    found = InBatchSoftmaxLoss(0.3, correction="corrected")(
        pos, neg, weight if weighted else None, **known
    )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, (pos, neg)), torch.autograd.grad(expected, (pos, neg))
    )


@pytest.mark.parametrize("correction", ["classic", "corrected"])
def test_a_weight_of_two_is_two_slots(correction: str) -> None:
    pos, neg, known = scores()
    loss = InBatchSoftmaxLoss(0.3, correction=correction)
    weight = torch.tensor([2, 1, 0, 1]).expand(6, -1)
    slots = [0, 0, 1, 3]
    twice = loss(pos, neg, weight, **known)
    alone = loss(pos, neg[:, slots], None, **known | {"log_q": known["log_q"][:, slots]})
    torch.testing.assert_close(twice, alone)
    torch.testing.assert_close(
        torch.autograd.grad(twice, (pos, neg)), torch.autograd.grad(alone, (pos, neg))
    )


def test_a_proposal_that_does_not_count_the_positive_needs_no_correction_for_it() -> None:
    pos, neg, known = scores()
    loss = InBatchSoftmaxLoss(0.3, correction="corrected")
    among_others = known["log_q"] - (1 - known["pos_log_q"].exp()).log().unsqueeze(1)
    torch.testing.assert_close(loss(pos, neg, log_q=among_others), loss(pos, neg, **known))
    assert loss.requires == ("log_q",)


def test_refuses_what_it_cannot_correct() -> None:
    with pytest.raises(ValueError, match=r"InBatchSoftmaxLoss: 'log_q' must be .*None"):
        InBatchSoftmaxLoss(correction="corrected")(*scores()[:2])
    pos, neg, known = scores()
    for name, x in known.items():
        with pytest.raises(
            ValueError, match=r"InBatchSoftmaxLoss: 'log_q, pos_log_q' must be both"
        ):
            InBatchSoftmaxLoss()(pos, neg, **{name: x})
    with pytest.raises(ValueError, match="InBatchSoftmaxLoss: 'correction'"):
        InBatchSoftmaxLoss(correction="none")


@pytest.mark.parametrize("dtype", [torch.float32, torch.double])
def test_a_positive_that_is_certain_to_be_drawn_has_nothing_to_correct(dtype: torch.dtype) -> None:
    """As of MIDX, where a positive beats all unseen items by 40: its probability rounds to 1."""
    pos = torch.tensor([40.0, 1.0], dtype=dtype, requires_grad=True)
    neg = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    log_q = torch.tensor([[-42.0] * 3, [-2.0] * 3], dtype=torch.double)
    pos_log_q = torch.tensor([0.0, -0.5], dtype=torch.double)
    loss = InBatchSoftmaxLoss(1.0, correction="corrected")
    value = loss(pos, neg, log_q=log_q, pos_log_q=pos_log_q)
    alone = loss(pos[1:], neg[1:], log_q=log_q[1:], pos_log_q=pos_log_q[1:])
    torch.testing.assert_close(value, alone / 2)
    of_pos, of_neg = torch.autograd.grad(value, (pos, neg))
    assert of_pos[0] == 0
    assert not of_neg[0].any()
    assert of_pos[1] < 0
