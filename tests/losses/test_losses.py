"""Losses against their loop oracles."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from given import made, needed
from torch import Tensor

from oracles import bpr, contrastive_dns, sdns, self_adversarial, softmax
from pyg_negsamp.losses import (
    LOSSES,
    NEEDS,
    BPRLoss,
    ContrastiveLoss,
    KPairBPRLoss,
    RankingLoss,
    SampledSoftmaxLoss,
    SelfAdversarialLoss,
    SoftBPRLoss,
    l2_penalty,
)
from pyg_negsamp.losses.base import log_sum_exp
from pyg_negsamp.serving.making import described
from pyg_negsamp.testing import toy

DATA = toy().data


def scores(num_negatives: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(num_negatives)
    return (
        torch.randn(6, generator=generator, dtype=torch.double),
        torch.randn(6, num_negatives, generator=generator, dtype=torch.double) * 3,
    )


@pytest.mark.parametrize("num_negatives", [1, 4])
def test_bpr_equals_the_oracle(num_negatives: int) -> None:
    pos, neg = scores(num_negatives)
    assert BPRLoss()(pos, neg).item() == pytest.approx(bpr.bpr_loss(pos, neg))
    weight = torch.rand(6, num_negatives, dtype=torch.double)
    expected = bpr.bpr_loss(pos, neg, weight)
    assert BPRLoss()(pos, neg, weight).item() == pytest.approx(expected)


def test_equal_weights_are_no_weights() -> None:
    pos, neg = scores(4)
    weight = torch.full_like(neg, 0.25)
    torch.testing.assert_close(BPRLoss()(pos, neg, weight), BPRLoss()(pos, neg))


def test_bpr_gradient_is_the_sigmoid() -> None:
    pos, neg = scores(1)
    pos.requires_grad_()
    BPRLoss()(pos, neg).backward()
    torch.testing.assert_close(pos.grad, -torch.sigmoid(neg.squeeze(1) - pos.detach()) / 6)


def test_bpr_does_not_overflow() -> None:
    loss = BPRLoss()(torch.tensor([-1e4, 1e4]), torch.tensor([[1e4], [-1e4]]))
    assert loss.item() == pytest.approx(1e4)


@pytest.mark.parametrize(
    ("pos", "neg", "weight"), [((3,), (2, 1), None), ((3,), (3,), None), ((3,), (3, 2), (3, 1))]
)
def test_bpr_refuses_other_shapes(
    pos: tuple[int, ...], neg: tuple[int, ...], weight: tuple[int, ...] | None
) -> None:
    with pytest.raises(ValueError, match="BPRLoss"):
        BPRLoss()(torch.ones(pos), torch.ones(neg), None if weight is None else torch.ones(weight))


def test_l2_equals_the_oracle() -> None:
    rows = [torch.randn(size, dtype=torch.double) for size in ((6, 3), (6, 3), (6, 2, 3))]
    assert l2_penalty(*rows).item() == pytest.approx(bpr.l2(*rows))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_soft_bpr_equals_the_oracle(alpha: float) -> None:
    for num_negatives in (1, 4):
        pos, neg = scores(num_negatives)
        expected = sdns.soft_bpr_loss(pos, neg, alpha)
        assert SoftBPRLoss(alpha)(pos, neg).item() == pytest.approx(expected)
    torch.testing.assert_close(SoftBPRLoss(0.0)(pos, neg), BPRLoss()(pos, neg))


@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("num_negatives", [1, 4])
def test_sampled_softmax_equals_the_oracle(num_negatives: int, temperature: float) -> None:
    pos, neg = scores(num_negatives)
    value = softmax.sampled_softmax_loss(pos, neg, temperature)
    assert SampledSoftmaxLoss(temperature)(pos, neg).item() == pytest.approx(value)
    assert ContrastiveLoss(temperature)(pos, neg).item() == pytest.approx(value)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("num_negatives", [1, 4])
def test_weights_are_the_correction_of_a_sampled_softmax(
    num_negatives: int, temperature: float
) -> None:
    """Not divided by the temperature: `1 / (K Q)` is a correction of `ln(K Q)`."""
    pos, neg = scores(num_negatives)
    q = torch.rand(neg.shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    weight = 1 / (num_negatives * q)
    value = softmax.sampled_softmax_loss(pos, neg, temperature, None, (num_negatives * q).log())
    assert SampledSoftmaxLoss(temperature)(pos, neg, weight).item() == pytest.approx(value)
    assert abs(value - softmax.sampled_softmax_loss(pos, neg, temperature)) > 1e-3


def test_weights_of_one_are_no_weights() -> None:
    pos, neg = scores(4)
    for loss in (SampledSoftmaxLoss(0.5), KPairBPRLoss(), ContrastiveLoss()):
        torch.testing.assert_close(loss(pos, neg, torch.ones_like(neg)), loss(pos, neg))


def test_negatives_of_weight_zero_do_not_count() -> None:
    """Neither in the loss nor in the gradients, down to a positive that has no others."""
    pos, neg = scores(4)
    weight = torch.ones_like(neg)
    weight[:, 2:] = 0
    loss = SampledSoftmaxLoss(0.5)
    torch.testing.assert_close(loss(pos, neg, weight), loss(pos, neg[:, :2]))
    weight[0] = 0
    pos.requires_grad_()
    neg.requires_grad_()
    value = loss(pos, neg, weight)
    torch.testing.assert_close(value, loss(pos[1:], neg[1:, :2]) * 5 / 6)
    value.backward()
    assert not pos.grad[0]
    assert not neg.grad[weight == 0].any()
    assert (pos.grad[1:] < 0).all()
    assert (neg.grad[weight > 0] > 0).all()


def test_sampled_softmax_gradient_is_the_probability() -> None:
    pos, neg = scores(4)
    neg.requires_grad_()
    SampledSoftmaxLoss(0.5)(pos, neg).backward()
    probability = torch.cat([pos.unsqueeze(1), neg.detach()], 1).div(0.5).softmax(1)
    torch.testing.assert_close(neg.grad, probability[:, 1:] / 0.5 / 6)


@pytest.mark.parametrize("num_negatives", [1, 4])
def test_k_pair_bpr_equals_the_oracle(num_negatives: int) -> None:
    pos, neg = scores(num_negatives)
    value = softmax.kpair_bpr_loss(pos, neg)
    assert KPairBPRLoss()(pos, neg).item() == pytest.approx(value)


def test_k_pair_bpr_of_one_negative_is_bpr() -> None:
    pos, neg = scores(1)
    torch.testing.assert_close(KPairBPRLoss()(pos, neg), BPRLoss()(pos, neg))
    pos, neg = scores(4)
    assert KPairBPRLoss()(pos, neg) > BPRLoss()(pos, neg) + 0.1


@pytest.mark.parametrize("tau", [0.05, 0.2, 1.0])
def test_contrastive_loss_of_cosines_equals_the_oracle(tau: float) -> None:
    generator = torch.Generator().manual_seed(0)
    user, pos, neg = (
        torch.randn(6, k, 3, generator=generator, dtype=torch.double) for k in (1, 1, 4)
    )
    loss = ContrastiveLoss(tau)
    cosines = [torch.cosine_similarity(user, x, dim=-1) for x in (pos, neg)]
    value = contrastive_dns.contrastive_loss(user[:, 0], pos[:, 0], neg[:, :1], neg[:, 1:], tau)
    assert loss(cosines[0][:, 0], cosines[1]).item() == pytest.approx(value)


def test_losses_say_what_scores_they_take() -> None:
    assert SampledSoftmaxLoss().similarity == "cosine"
    assert SampledSoftmaxLoss(similarity="dot").similarity == "dot"
    assert KPairBPRLoss().similarity == "dot"
    assert ContrastiveLoss().similarity == "cosine"
    assert SampledSoftmaxLoss().temperature == 0.1
    assert ContrastiveLoss().temperature == 0.2


@pytest.mark.parametrize("loss", [SampledSoftmaxLoss(0.1), KPairBPRLoss(), ContrastiveLoss(0.1)])
def test_softmax_losses_do_not_overflow(loss: SampledSoftmaxLoss) -> None:
    pos = torch.tensor([-1e4, 1e4], requires_grad=True)
    neg = torch.tensor([[1e4, 1e4], [-1e4, -1e4]], requires_grad=True)
    value = loss(pos, neg)
    assert value.item() == pytest.approx(1e4 / loss.temperature + math.log(2) / 2, rel=1e-6)
    value.backward()
    slope = 0.5 / loss.temperature
    torch.testing.assert_close(pos.grad, torch.tensor([-slope, 0.0]))
    torch.testing.assert_close(neg.grad, torch.tensor([[slope / 2, slope / 2], [0.0, 0.0]]))


@pytest.mark.parametrize("size", [1e3, 1e10, 1e30])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 1e-4])
@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 0, 2], [0, 1, 0], [0, 0, 0]])
def test_sums_of_exponentials_of_any_size(
    size: float, temperature: float, weights: list[int]
) -> None:
    x = size * torch.tensor([[0.3, 1.0, 0.7], [1.0, 1.0, -1.0]])
    weight = torch.tensor(weights).float().expand(2, 3)
    results = []
    for given in (x, x.double()):
        leaf = given.clone().requires_grad_()
        found = log_sum_exp(leaf, weight.to(given), temperature)
        (slope,) = torch.autograd.grad(found.sum(), leaf)
        results.append((found.double(), slope.double() * temperature))
    torch.testing.assert_close(*[found for found, _ in results], rtol=1e-6, atol=0)
    torch.testing.assert_close(*[slope for _, slope in results], rtol=1e-6, atol=1e-6)
    parts = x.double() / temperature + weight.double().log()
    torch.testing.assert_close(results[1][0], parts.logsumexp(dim=1))


@pytest.mark.parametrize(
    "loss", [SampledSoftmaxLoss(), KPairBPRLoss(), ContrastiveLoss(), SelfAdversarialLoss()]
)
@pytest.mark.parametrize(
    ("pos", "neg", "weight"), [((3,), (2, 1), None), ((3,), (3,), None), ((3,), (3, 2), (3, 1))]
)
def test_other_losses_refuse_other_shapes(
    loss: torch.nn.Module,
    pos: tuple[int, ...],
    neg: tuple[int, ...],
    weight: tuple[int, ...] | None,
) -> None:
    with pytest.raises(
        ValueError, match=f"{type(loss).__name__}: '{'weight' if weight else 'pos'}"
    ):
        loss(torch.ones(pos), torch.ones(neg), None if weight is None else torch.ones(weight))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_softmax_losses_refuse_bad_arguments(temperature: float) -> None:
    with pytest.raises(ValueError, match="SampledSoftmaxLoss: 'temperature'"):
        SampledSoftmaxLoss(temperature)
    with pytest.raises(ValueError, match="ContrastiveLoss: 't"):
        ContrastiveLoss(temperature)
    with pytest.raises(ValueError, match="SampledSoftmaxLoss: 'similarity'"):
        SampledSoftmaxLoss(similarity="euclid")


@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("num_negatives", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_self_adversarial_equals_the_oracle(
    num_negatives: int, alpha: float, weighted: bool
) -> None:
    """Rows of weight 0 are no rows; of others, what has weight 0 does not count."""
    pos, neg = scores(num_negatives)
    weight = None
    if weighted:
        weight = torch.rand(neg.shape, generator=torch.Generator().manual_seed(0)).double()
        weight[0], weight[1, 1:] = 0, 0
    pos.requires_grad_()
    neg.requires_grad_()
    value = SelfAdversarialLoss(alpha)(pos, neg, weight)
    expected = self_adversarial.self_adversarial_loss(pos.detach(), neg.detach(), alpha, weight)
    assert value.item() == pytest.approx(expected)
    value.backward()
    assert pos.grad is not None
    assert neg.grad is not None
    logit = alpha * neg.detach() + (0 if weight is None else weight.log())
    share = logit.softmax(1).nan_to_num()  # no gradient through it
    torch.testing.assert_close(neg.grad, share * neg.detach().sigmoid() / 12)
    rows = 1.0 if weight is None else weight.any(1)
    torch.testing.assert_close(pos.grad, -torch.sigmoid(-pos.detach()) * rows / 12)


def test_self_adversarial_gradient_where_shares_are_constant() -> None:
    pos, neg = (x.requires_grad_() for x in scores(4))
    assert torch.autograd.gradcheck(SelfAdversarialLoss(0.0), (pos, neg))
    assert torch.autograd.gradcheck(SelfAdversarialLoss(0.0), (pos, neg, torch.rand(6, 4).double()))


def test_self_adversarial_stays_finite_and_refuses_what_it_must() -> None:
    pos, neg = torch.tensor([-1e4]), torch.tensor([[1e4, -1e4]])
    assert SelfAdversarialLoss()(pos, neg).item() == pytest.approx(1e4)
    for alpha in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="SelfAdversarialLoss: 'alpha'"):
            SelfAdversarialLoss(alpha)


# All losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "direct-au"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_enough_for_the_scores(
    name: str, weighted: bool, dtype: torch.dtype
) -> None:
    """Of which differences are taken, and quotients by small temperatures, beyond float16."""
    size = torch.tensor([1.0, 100.0, 1e4])
    pos, neg = (-size).to(dtype), torch.stack([size, -size], dim=1).to(dtype)
    weight = torch.tensor([0.25, 0.75]).expand(3, 2) if weighted else None
    results = []
    for kind in (dtype, torch.double):
        inputs = pos.to(kind).requires_grad_(), neg.to(kind).requires_grad_()
        loss = made(name, DATA)
        value = loss(
            *inputs,
            None if weight is None else weight.to(kind),
            **needed(loss, DATA, inputs[1]),
        )
        results.append((value, *torch.autograd.grad(value, inputs)))
    for half, double in zip(*results, strict=True):
        torch.testing.assert_close(half.double(), double, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_no_positives_no_loss(name: str, weighted: bool) -> None:
    pos, neg = torch.zeros(0, requires_grad=True), torch.zeros(0, 3)
    loss = made(name, DATA)
    rows = {key: torch.zeros(0, 5, requires_grad=True) for key in ("user_rows", "pos_rows")}
    value = loss(pos, neg, neg if weighted else None, **needed(loss, DATA, neg, **rows))
    assert value == 0
    value.backward()  # and something to go back through


def test_squared_lengths_beyond_half_precision() -> None:
    rows = torch.full((4, 64), 100.0, dtype=torch.half)
    assert l2_penalty(rows, rows, rows.view(2, 2, 64)) == 960000


def problem(name: str, num_negatives: int = 4) -> tuple[RankingLoss, Tensor, Tensor, dict]:
    """A loss that does not remember, cosines of six rows, and what else it needs."""
    generator = torch.Generator().manual_seed(2)
    pos, neg = (
        (2 * torch.rand(size, generator=generator, dtype=torch.double) - 1).requires_grad_()
        for size in ((6,), (6, num_negatives))
    )
    loss = made(name, DATA).eval()
    return loss, pos, neg, needed(loss, DATA, neg)


#: Those with a part that no gradient flows through, and the one that looks at no scores.
NO_FUNCTION = ("self-adversarial", "sogclr", "direct-au")


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in NO_FUNCTION])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_the_value(name: str, weighted: bool) -> None:
    loss, pos, neg, known = problem(name)
    weight = torch.tensor([0.0, 1.0, 2.0, 1.0]).expand(6, 4).clone() if weighted else None
    if weight is not None:
        weight[0] = 0
    assert torch.autograd.gradcheck(lambda pos, neg: loss(pos, neg, weight, **known), (pos, neg))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "direct-au"])
def test_what_has_weight_zero_is_not_there(name: str) -> None:
    """Of a row, and of a batch; neither for the value nor for the gradients."""
    loss, pos, neg, known = problem(name)
    if name == "bsl":  # whose positive counts beside those of its user all the same
        known["user"] = torch.tensor([0, 1, 1, 2, 3, 4])
    weight = torch.ones(6, 4)
    weight[:, 1::2] = 0
    weight[5] = 0
    value = loss(pos, neg, weight, **known)
    found = torch.autograd.grad(value, (pos, neg))
    known = {key: x if x is None else x[:5] for key, x in known.items()}
    if "neg_item" in known:
        known["neg_item"] = known["neg_item"][:, ::2]
    expected = loss(pos[:5], neg[:5, ::2], **known) * 5 / 6
    torch.testing.assert_close(value, expected)
    for mine, other in zip(found, torch.autograd.grad(expected, (pos, neg)), strict=True):
        torch.testing.assert_close(mine, other)
    if name not in ("bpr", "hinge"):  # by multiplicities
        twice = torch.cat([neg[:, :1], neg], dim=1)
        counted = torch.tensor([2.0, 1, 1, 1]).expand(6, 4)
        loss, _, _, known = problem(name)
        again = dict(known)
        if "neg_item" in known:
            again["neg_item"] = torch.cat([known["neg_item"][:, :1], known["neg_item"]], dim=1)
        torch.testing.assert_close(loss(pos, neg, counted, **known), loss(pos, twice, **again))


@pytest.mark.parametrize("name", list(LOSSES))
def test_strict_algorithms_change_nothing(name: str) -> None:
    loss, pos, neg, known = problem(name)
    expected = loss(pos, neg, **known)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(loss(pos, neg, **known), expected)
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("name", list(LOSSES))
def test_compiled_equals_eager(name: str) -> None:
    """Traced as a whole: value, gradients, and what is kept; one down to operations of torch."""
    torch._dynamo.reset()
    backend = "aot_eager" if name == "adap-tau" else "eager"
    loss, pos, neg, known = problem(name)
    weight = torch.ones(6, 4)
    weight[0] = 0
    results = []
    for mine in (loss.train(), copy.deepcopy(loss)):
        call = mine if results else torch.compile(mine, backend=backend, fullgraph=True)
        value = call(pos, neg, weight, **known)
        gradients = [] if name == "direct-au" else torch.autograd.grad(value, (pos, neg))
        results.append((value, *gradients, *mine.state_dict().values()))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", list(LOSSES))
def test_new_users_need_nothing_but_scores(name: str) -> None:
    """By the same similarity; and the loss can be described by plain values."""
    loss, pos, neg, _ = problem(name)
    of_new = loss.of_new_users()
    assert of_new.similarity == loss.similarity
    assert of_new.of_new_users() is of_new
    assert of_new(pos, neg).isfinite()
    arguments = described(of_new)["arguments"]
    assert torch.equal(type(of_new)(**arguments)(pos, neg), of_new(pos, neg))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "direct-au"])
@pytest.mark.parametrize("which", ["pos", "neg", "both"])
def test_scores_that_are_no_numbers_have_no_loss_that_is_one(name: str, which: str) -> None:
    """Or training would go on with nothing."""
    loss, pos, neg, known = problem(name)
    pos = pos * math.nan if which != "neg" else pos
    neg = neg * math.nan if which != "pos" else neg
    assert loss(pos, neg, **known).isnan()


def test_weights_that_are_learned_have_a_gradient_where_they_are_zero() -> None:
    x = torch.tensor([[0.3, 0.2, 0.1]], dtype=torch.double)
    weight = torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.double, requires_grad=True)
    (found,) = torch.autograd.grad(log_sum_exp(x, weight).sum(), weight)
    share = x.exp() / (weight * x.exp()).sum()
    torch.testing.assert_close(found[:, 1:], share[:, 1:].detach())
    assert found[0, 0] == 0


@pytest.mark.parametrize("name", list(LOSSES))
def test_what_is_declared_exists(name: str) -> None:
    assert set(LOSSES[name].needs) <= set(NEEDS)
    assert made(name, DATA).similarity in ("dot", "cosine")


@pytest.mark.parametrize("name", list(LOSSES))
def test_no_negatives_are_negatives_that_do_not_count(name: str) -> None:
    loss, pos, neg, known = problem(name)
    one, none = (
        {
            key: x[:, :n] if key in ("neg_item", "log_q") and x is not None else x
            for key, x in known.items()
        }
        for n in (1, 0)
    )
    expected = loss(pos, neg[:, :1], torch.zeros(6, 1), **one)
    found = loss(pos, neg[:, :0], **none)
    torch.testing.assert_close(found, expected)
    if name != "direct-au":
        assert found == 0
        (grad,) = torch.autograd.grad(found, pos)
        assert not grad.any()
