"""The oracles of the newer losses and samplers against hand-worked numbers and known limits."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from . import samplers_since_2019 as samplers
from . import since_2019 as losses
from .self_adversarial import self_adversarial_loss
from .softmax import sampled_softmax_loss

B, K = 4, 5
Loss = Callable[..., Tensor]


def cosines(seed: int) -> tuple[Tensor, Tensor]:
    """Scores in (-0.9, 0.9) of B positives and B x K negatives, which take a gradient."""
    generator = torch.Generator().manual_seed(seed)
    pos = torch.rand(B, generator=generator, dtype=torch.double) * 1.8 - 0.9
    neg = torch.rand(B, K, generator=generator, dtype=torch.double) * 1.8 - 0.9
    return pos.requires_grad_(), neg.requires_grad_()


def some_weight() -> Tensor:
    """Weights: row 1 has no negative, row 2 one, row 3 all."""
    rows = [[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1]]
    return torch.tensor(rows, dtype=torch.double)


def gradients(loss: Loss, *args: Tensor | None, **kwargs: object) -> tuple[Tensor, Tensor]:
    """The gradient of a loss with respect to pos and neg."""
    value = loss(*args, **kwargs)
    pos, neg = torch.autograd.grad(value, args[:2], allow_unused=True)
    pos = torch.zeros_like(args[0]) if pos is None else pos
    return pos, torch.zeros_like(args[1]) if neg is None else neg


def same_gradient(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> None:
    """Both gradients agree."""
    torch.testing.assert_close(left[0], right[0])
    torch.testing.assert_close(left[1], right[1])


USERS = [0, 1, 2, 3]
LOG_Q = torch.log(torch.linspace(0.01, 0.2, B * K, dtype=torch.double).reshape(B, K))
POS_LOG_Q = torch.log(torch.tensor([0.1, 0.02, 0.3, 0.05], dtype=torch.double))
QUANTILE = torch.tensor([0.3, -0.1, 0.2, 0.0], dtype=torch.double)
UNIFORM_Q = torch.full((B, K), 1.0 / K, dtype=torch.double)
ANGLES = torch.tensor([0.1, 0.7, 1.5, 3.0], dtype=torch.double)
MEANS = {0: 1.5, 1: 2.5, 2: 0.5, 3: 4.0}
SCALARS = {
    name: torch.tensor(value, dtype=torch.double)
    for name, value in {"a": 0.8, "b": 0.2, "gamma": -0.3, "s_pos": 0.1, "s_neg": 0.4}.items()
}

ALL: dict[str, tuple[Loss, dict[str, object]]] = {
    "softmax": (losses.softmax, {"temperature": 0.2}),
    "logq": (
        losses.softmax_logq,
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q, "temperature": 0.2},
    ),
    "corrected": (
        losses.softmax_corrected_logq,
        {"log_q": LOG_Q, "pos_log_q": POS_LOG_Q, "temperature": 0.2},
    ),
    "bsl": (losses.bsl, {"users": USERS, "temperature": 0.2, "positive_temperature": 0.3}),
    "psl-tanh": (losses.psl, {"temperature": 0.1, "activation": "tanh"}),
    "psl-arctan": (losses.psl, {"temperature": 0.1, "activation": "arctan"}),
    "psl-relu": (losses.psl, {"temperature": 0.1, "activation": "relu"}),
    "slatk": (
        losses.softmax_at_k,
        {"quantile": QUANTILE, "temperature": 0.2, "weight_temperature": 1.0},
    ),
    "ccl": (losses.ccl, {"margin": 0.1, "negative_weight": 3.0}),
    "gbce": (losses.gbce, {"num_items": 30, "t": 0.75}),
    "hinge": (losses.hinge, {"margin": 1.0}),
    "hinge-mean": (losses.hinge, {"margin": 1.0, "adaptive": False}),
    "warp": (losses.warp, {"num_items": 30}),
    "hcl": (losses.hard_contrastive, {"temperature": 0.5, "beta": 1.0, "tau_plus": 0.1}),
    "self-adversarial": (losses.self_adversarial, {"alpha": 0.7}),
    "advinfonce": (losses.adv_infonce, {"q": UNIFORM_Q, "temperature": 0.2, "scale": 4.0}),
    "adap-tau": (
        losses.adap_tau,
        {"users": USERS, "temperatures": {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}},
    ),
    "sogclr": (losses.sogclr, {"users": USERS, "moving_means": MEANS, "temperature": 0.5}),
    "llpauc": (losses.llpauc, {"alpha": 0.5, "beta": 0.5, "kappa": 5.0, **SCALARS}),
    "bc": (losses.bc_loss, {"bias_angles": ANGLES, "temperature": 0.2}),
}


@pytest.mark.parametrize("name", ALL)
def test_weight_of_ones_is_none(name: str) -> None:
    loss, kwargs = ALL[name]
    pos, neg = cosines(0)
    ones = torch.ones(B, K, dtype=torch.double)
    torch.testing.assert_close(loss(pos, neg, ones, **kwargs), loss(pos, neg, **kwargs))


@pytest.mark.parametrize("name", ALL)
def test_weight_0_does_not_count(name: str) -> None:
    loss, kwargs = ALL[name]
    pos, neg = cosines(1)
    weight = some_weight()
    value = loss(pos, neg, weight, **kwargs)
    other = torch.where(weight == 0, torch.full_like(neg, 0.55), neg)
    torch.testing.assert_close(loss(pos, other, weight, **kwargs), value)
    grad_pos, grad_neg = gradients(loss, pos, neg, weight, **kwargs)
    assert bool((grad_neg[weight == 0] == 0).all())
    assert float(grad_pos[1]) == 0.0
    assert bool(torch.isfinite(grad_neg).all())


@pytest.mark.parametrize("name", [name for name in ALL if name not in {"llpauc", "advinfonce"}])
def test_row_is_mean_over_rows(name: str) -> None:
    loss, kwargs = ALL[name]
    pos, neg = cosines(2)
    whole = loss(pos, neg, **kwargs)
    total = 0.0
    for b in range(B):
        weight = torch.zeros(B, K, dtype=torch.double)
        weight[b] = 1.0
        total = total + loss(pos, neg, weight, **kwargs)
    torch.testing.assert_close(torch.as_tensor(total), whole)


# What these hold constant is in their value but not in their gradient.
HELD = {"corrected", "warp", "self-adversarial"}


@pytest.mark.parametrize("name", [name for name in ALL if name not in HELD])
def test_gradient_is_of_the_value(name: str) -> None:
    loss, kwargs = ALL[name]
    pos, neg = cosines(3)
    assert torch.autograd.gradcheck(lambda p, n: loss(p, n, **kwargs), (pos, neg))


def test_softmax_agrees_with_earlier_oracle() -> None:
    pos, neg = (scores.detach() for scores in cosines(4))
    value = losses.softmax(pos, neg, temperature=0.2)
    assert value.item() == pytest.approx(sampled_softmax_loss(pos, neg, 0.2))
    value = losses.softmax_logq(pos, neg, log_q=LOG_Q, pos_log_q=POS_LOG_Q, temperature=0.2)
    assert value.item() == pytest.approx(sampled_softmax_loss(pos, neg, 0.2, POS_LOG_Q, LOG_Q))


def test_self_adversarial_agrees_with_earlier_oracle() -> None:
    pos, neg = (scores.detach() for scores in cosines(5))
    value = losses.self_adversarial(pos, neg, some_weight(), alpha=0.7)
    assert value.item() == pytest.approx(self_adversarial_loss(pos, neg, 0.7, some_weight()))


def test_self_adversarial_shares_have_no_gradient() -> None:
    pos, neg = cosines(5)
    of_pos, of_neg = gradients(losses.self_adversarial, pos, neg, alpha=2.0)
    shares = torch.softmax(2.0 * neg.detach(), dim=1)
    torch.testing.assert_close(of_neg, shares * torch.sigmoid(neg.detach()) / (2 * B))
    torch.testing.assert_close(of_pos, -torch.sigmoid(-pos.detach()) / (2 * B))


@pytest.mark.parametrize("loss", [losses.softmax_logq, losses.softmax_corrected_logq])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_logq_over_all_items_is_full_softmax(loss: Loss, temperature: float) -> None:
    pos, neg = cosines(6)
    uniform = torch.full((B, K), -math.log(K + 1.0), dtype=torch.double)
    known = {"log_q": uniform, "pos_log_q": uniform[:, 0]}
    found = gradients(loss, pos, neg, temperature=temperature, **known)
    same_gradient(found, gradients(losses.softmax, pos, neg, temperature=temperature))


@pytest.mark.parametrize("name", ["logq", "corrected"])
def test_logq_does_not_see_a_shift_of_all_scores(name: str) -> None:
    loss, kwargs = ALL[name]
    of_pos, of_neg = gradients(loss, *cosines(6), some_weight(), **kwargs)
    torch.testing.assert_close(of_neg.sum(1), -of_pos)
    assert bool((of_neg[some_weight() == 1] > 0).all())


def test_corrected_logq_in_expectation_of_the_sum() -> None:
    # K draws of every other item in proportion to Q' make N / K the sum of exp of all others.
    scores = torch.tensor([0.5, -0.2, 0.9], dtype=torch.double)
    q = [0.2, 0.6, 0.2]  # the last is the positive; the others are drawn 1 : 3
    drawn = [0, 1, 1, 1]
    neg = scores[drawn].reshape(1, 4).requires_grad_()
    pos = scores[2:].clone().requires_grad_()
    log_q = torch.log(torch.tensor([[q[j] for j in drawn]], dtype=torch.double))
    grad, _ = gradients(
        losses.softmax_corrected_logq,
        pos,
        neg,
        log_q=log_q,
        pos_log_q=torch.log(torch.tensor(q[2:]).double()),
    )
    share = math.exp(0.9) / (math.exp(0.9) + math.exp(0.5) + math.exp(-0.2))
    assert float(grad) == pytest.approx(share - 1.0)


def test_bsl_with_equal_temperatures_is_softmax_over_negatives() -> None:
    pos, neg = cosines(7)
    for over in ("rows", "users"):
        bilateral = gradients(
            losses.bsl,
            pos,
            neg,
            users=USERS,
            temperature=0.2,
            positive_temperature=0.2,
            over=over,
        )
        alone = gradients(losses.softmax, pos, neg, temperature=0.2, with_positive=False)
        same_gradient(bilateral, alone)


def test_bsl_puts_positives_of_a_user_together() -> None:
    pos = torch.tensor([0.5, 0.5, 0.1], dtype=torch.double)
    neg = torch.zeros(3, 2, dtype=torch.double)
    kwargs = {"temperature": 0.5, "positive_temperature": 0.5}
    first = math.log((math.e + math.e**0.2) / 2)
    by_rows = losses.bsl(pos, neg, users=[1, 2, 1], over="rows", **kwargs)
    assert by_rows.item() == pytest.approx(-(2 * first + 1.0) / 3)
    by_users = losses.bsl(pos, neg, users=[1, 2, 1], over="users", **kwargs)
    assert by_users.item() == pytest.approx(-(first + 1.0) / 2)


def test_psl_exp_at_half_the_temperature_is_softmax_over_negatives() -> None:
    pos, neg = cosines(8)
    pairwise = gradients(losses.psl, pos, neg, temperature=0.1, activation="exp")
    alone = gradients(losses.softmax, pos, neg, temperature=0.2, with_positive=False)
    same_gradient(pairwise, alone)


def test_psl_activations_agree_to_first_order() -> None:
    pos = torch.zeros(1, dtype=torch.double, requires_grad=True)
    neg = torch.zeros(1, 3, dtype=torch.double, requires_grad=True)
    for activation in losses.PSL_ACTIVATIONS:
        grad, _ = gradients(losses.psl, pos, neg, temperature=1.0, activation=activation)
        assert float(grad) == pytest.approx(-0.5)


def test_psl_relu_without_a_value() -> None:
    pos = torch.ones(1, dtype=torch.double)
    neg = torch.tensor([[-1.0, 0.0]], dtype=torch.double)
    value = losses.psl(pos, neg, temperature=1.0, activation="relu")
    assert value.item() == pytest.approx(math.log(0.5))
    with pytest.raises(ValueError, match="row 0"):
        losses.psl(pos, neg[:, :1], temperature=1.0, activation="relu")


def test_softmax_at_k_far_above_the_quantile_is_softmax_over_negatives() -> None:
    pos, neg = cosines(9)
    at_k = gradients(
        losses.softmax_at_k,
        pos,
        neg,
        quantile=QUANTILE - 1000.0,
        temperature=0.2,
        weight_temperature=1.0,
    )
    alone = gradients(losses.softmax, pos, neg, temperature=0.2, with_positive=False)
    same_gradient(at_k, alone)


def test_softmax_at_k_at_the_quantile_is_half() -> None:
    pos, neg = cosines(9)
    kwargs = {"quantile": pos.detach(), "temperature": 0.2, "weight_temperature": 1.0}
    held = gradients(losses.softmax_at_k, pos, neg, detach_weight=True, **kwargs)
    alone = gradients(losses.softmax, pos, neg, temperature=0.2, with_positive=False)
    same_gradient(held, (alone[0] / 2, alone[1] / 2))


def test_user_quantile() -> None:
    assert losses.user_quantile([0.9, 0.1], [0.5, 0.7], 2) == 0.7
    assert losses.user_quantile([0.9, 0.1], [0.5, 0.7], 4) == 0.1
    with pytest.raises(ValueError, match="5-th"):
        losses.user_quantile([0.9, 0.1], [0.5, 0.7], 5)


def test_ccl_by_hand() -> None:
    pos = torch.tensor([0.25], dtype=torch.double)
    neg = torch.tensor([[0.5, 0.75, -0.5, 1.0]], dtype=torch.double)
    value = losses.ccl(pos, neg, margin=0.5, negative_weight=8.0)
    assert value.item() == pytest.approx(0.75 + 8.0 * 0.75 / 4)


def test_gbce_at_0_is_bce() -> None:
    pos, neg = cosines(10)
    targets = torch.cat([torch.ones(B, 1), torch.zeros(B, K)], dim=1).double()
    scores = torch.cat([pos[:, None], neg], dim=1)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets)
    torch.testing.assert_close(losses.gbce(pos, neg, num_items=30, t=0.0), bce)


def test_gbce_at_1_has_power_of_the_sampling_rate() -> None:
    pos = torch.tensor([0.0], dtype=torch.double)
    neg = torch.zeros(1, 3, dtype=torch.double)
    value = losses.gbce(pos, neg, num_items=31, t=1.0)
    assert value.item() == pytest.approx((0.1 + 3.0) * math.log(2.0) / 4)


def test_hinge_by_hand() -> None:
    pos = torch.tensor([0.5, 5.0], dtype=torch.double)
    neg = torch.tensor([[0.25, 1.0, -3.0], [0.0, 1.0, 2.0]], dtype=torch.double)
    assert losses.hinge(pos, neg, margin=1.0).item() == pytest.approx(1.5 / 2)
    of_all = losses.hinge(pos, neg, margin=1.0, adaptive=False)
    assert of_all.item() == pytest.approx((0.75 + 1.5) / 3 / 2)


def test_warp_by_hand() -> None:
    pos = torch.tensor([1.0, 1.0, 1.0], dtype=torch.double, requires_grad=True)
    neg = torch.tensor(
        [[0.5, 2.0], [-1.0, 0.25], [-1.0, -0.5]], dtype=torch.double, requires_grad=True
    )
    # Items other than the positive: 5. Row 0 at try 1: Phi(5) = 137/60. Row 1 at try 2:
    # Phi(2) = 3/2. Row 2 has no such try.
    value = losses.warp(pos, neg, num_items=6)
    assert value.item() == pytest.approx((137 / 60 * 0.5 + 1.5 * 0.25) / 3)
    _, grad = gradients(losses.warp, pos, neg, num_items=6)
    expected = torch.tensor([[137 / 60, 0.0], [0.0, 1.5], [0.0, 0.0]]).double() / 3
    torch.testing.assert_close(grad, expected, rtol=1e-6, atol=1e-7)
    weight = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.double)
    # Now both are at try 1.
    value = losses.warp(pos, neg, weight, num_items=6)
    assert value.item() == pytest.approx(137 / 60 * (2.0 + 0.25) / 3)


def test_directau() -> None:
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(4, 3, generator=generator, dtype=torch.double)
    item = torch.randn(4, 3, generator=generator, dtype=torch.double)
    u = torch.nn.functional.normalize(user, dim=1)
    i = torch.nn.functional.normalize(item, dim=1)
    align = (u - i).norm(dim=1).pow(2).mean()
    uniform = sum(torch.pdist(x).pow(2).mul(-2).exp().mean().log() for x in (u, i)) / 2
    torch.testing.assert_close(losses.directau(user, item, gamma=1.5), align + 1.5 * uniform)
    # Opposite unit vectors: distance 2 in both, perfectly aligned.
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.double)
    assert losses.directau(poles, 3 * poles, gamma=1.0).item() == pytest.approx(-8.0)


def test_hcl_limits() -> None:
    pos, neg = cosines(11)
    infonce = losses.softmax(pos, neg, temperature=0.5)
    value = losses.hard_contrastive(pos, neg, temperature=0.5, beta=0.0, tau_plus=0.0)
    torch.testing.assert_close(value, infonce)
    # DCL, from its own formula.
    debiased = losses.hard_contrastive(pos, neg, temperature=0.5, beta=0.0, tau_plus=0.1)
    total = 0.0
    for b in range(B):
        p = math.exp(pos[b].item() / 0.5)
        average = sum(math.exp(n.item() / 0.5) for n in neg[b]) / K
        g = max((average - 0.1 * p) / 0.9, math.exp(-1 / 0.5))
        total -= math.log(p / (p + K * g)) / B
    assert debiased.item() == pytest.approx(total)


def test_hcl_with_large_beta_is_the_hardest_negative() -> None:
    pos, neg = cosines(12)
    value = losses.hard_contrastive(pos, neg, temperature=0.5, beta=100.0, tau_plus=0.0)
    hardest = neg.max(dim=1, keepdim=True).values.expand(B, K)
    torch.testing.assert_close(
        value, losses.softmax(pos, hardest, temperature=0.5), rtol=1e-4, atol=0
    )


def test_hcl_at_its_bound_has_no_gradient_of_negatives() -> None:
    pos = torch.tensor([0.9], dtype=torch.double, requires_grad=True)
    neg = torch.tensor([[-0.9, -0.8]], dtype=torch.double, requires_grad=True)
    _, grad = gradients(losses.hard_contrastive, pos, neg, temperature=0.5, beta=1.0, tau_plus=0.1)
    assert float(grad.abs().max()) == 0.0


def test_adv_infonce_limits() -> None:
    pos, neg = cosines(13)
    # A uniform adversary is the plain softmax.
    value = losses.adv_infonce(pos, neg, q=UNIFORM_Q, temperature=0.2)
    torch.testing.assert_close(value, losses.softmax(pos, neg, temperature=0.2))
    # The factor is a shift of the negatives.
    value = losses.adv_infonce(pos, neg, q=UNIFORM_Q, temperature=0.2, scale=64.0)
    shifted = neg + 0.2 * math.log(64.0)
    torch.testing.assert_close(value, losses.softmax(pos, shifted, temperature=0.2))
    # What raises it is probability on the hardest.
    hard = torch.nn.functional.one_hot(neg.argmax(dim=1), K).double() * 0.5 + UNIFORM_Q * 0.5
    easy = torch.nn.functional.one_hot(neg.argmin(dim=1), K).double() * 0.5 + UNIFORM_Q * 0.5
    of_hard = losses.adv_infonce(pos, neg, q=hard, temperature=0.2).item()
    assert of_hard > losses.adv_infonce(pos, neg, q=easy, temperature=0.2).item()


def test_lambert_w() -> None:
    assert losses.lambert_w(0.0) == pytest.approx(0.0, abs=1e-12)
    assert losses.lambert_w(math.e) == pytest.approx(1.0)
    assert losses.lambert_w(2 * math.exp(2)) == pytest.approx(2.0)
    assert losses.lambert_w(-0.5 * math.exp(-0.5)) == pytest.approx(-0.5)
    assert losses.lambert_w(-math.exp(-1)) == -1.0


def test_adap_tau_user_temperature_is_superloss_minimum() -> None:
    beta, threshold = 0.7, 1.2
    for loss in (0.9, 1.2, 3.0):
        tau = losses.adap_tau_user_temperature(loss, tau_0=0.1, beta=beta, threshold=threshold)
        best = 0.1 / tau

        def superloss(s: float, loss: float = loss) -> float:
            return (loss - threshold) * s + beta * math.log(s) ** 2

        assert superloss(best) <= min(superloss(best * 0.99), superloss(best * 1.01))
    same = losses.adap_tau_user_temperature(1.2, tau_0=0.1, beta=beta, threshold=threshold)
    assert same == pytest.approx(0.1)
    least = losses.adap_tau_user_temperature(-50.0, tau_0=0.1, beta=beta, threshold=threshold)
    assert least == pytest.approx(0.1 / math.e)


def test_adap_tau_global_temperature_gives_positives_half() -> None:
    kwargs = {"positive_mean": 0.6, "all_mean": 0.1, "num_users": 50, "num_items": 40}
    tau = losses.adap_tau_global_temperature(num_links=100, **kwargs)
    positives = 100 * math.exp(0.6 / tau)
    assert positives / (50 * 40 * math.exp(0.1 / tau)) == pytest.approx(0.5)
    tau = losses.adap_tau_global_temperature(num_links=100, all_variance=0.02, **kwargs)
    everything = 50 * 40 * math.exp(0.1 / tau + 0.02 / (2 * tau * tau))
    assert 100 * math.exp(0.6 / tau) / everything == pytest.approx(0.5)


def test_adap_tau_with_one_temperature_is_softmax() -> None:
    pos, neg = cosines(14)
    value = losses.adap_tau(pos, neg, users=[0, 1, 0, 1], temperatures={0: 0.3, 1: 0.3})
    torch.testing.assert_close(value, losses.softmax(pos, neg, temperature=0.3))


def test_sogclr_with_gamma_1_is_softmax_over_negatives() -> None:
    pos, neg = cosines(15)
    means = losses.sogclr_moving_means(
        neg, users=USERS, moving_means={0: 9.0}, temperature=0.5, gamma=1.0
    )
    estimator = gradients(losses.sogclr, pos, neg, users=USERS, moving_means=means, temperature=0.5)
    alone = gradients(losses.softmax, pos, neg, temperature=0.5, with_positive=False)
    same_gradient(estimator, alone)


def test_sogclr_moving_means_over_batches() -> None:
    def batch(rows: list[list[float]]) -> Tensor:
        """Negatives whose mean of exp is the mean of these numbers."""
        return torch.log(torch.tensor(rows, dtype=torch.double))

    kwargs = {"temperature": 1.0, "gamma": 0.75}
    first = losses.sogclr_moving_means(
        batch([[1.0, 3.0], [4.0, 4.0]]), users=[5, 6], moving_means={}, **kwargs
    )
    assert first == pytest.approx({5: 2.0, 6: 4.0})
    # User 5 is in two rows of the second batch: estimates 6 and 10.
    second = batch([[6.0, 6.0], [9.0, 11.0]])
    together = losses.sogclr_moving_means(second, users=[5, 5], moving_means=first, **kwargs)
    assert together == pytest.approx({5: 0.25 * 2 + 0.75 * 8, 6: 4.0})
    in_order = losses.sogclr_moving_means(
        second, users=[5, 5], moving_means=first, repeated="in_order", **kwargs
    )
    assert in_order == pytest.approx({5: 0.25 * (0.25 * 2 + 0.75 * 6) + 0.75 * 10, 6: 4.0})
    none = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    counted = losses.sogclr_moving_means(second, none, users=[7, 5], moving_means=first, **kwargs)
    assert counted == pytest.approx({5: 0.25 * 2 + 0.75 * 9, 6: 4.0})


def mean_of(values: list[Tensor]) -> float:
    """The mean as a number."""
    return sum(value.item() for value in values) / len(values)


def llpauc_scalars(pos: Tensor, neg: Tensor, alpha: float, beta: float) -> dict[str, Tensor]:
    """The auxiliary scalars at the saddle: shares of positives and negatives are whole numbers."""
    best_pos, best_neg = best(pos, alpha), best(neg, beta)
    a, b = best_pos.mean(), best_neg.mean()
    return with_thresholds({"a": a, "b": b, "gamma": b - a}, best_pos, best_neg)


def best(scores: Tensor, share: float) -> Tensor:
    """The share of the scores that are the largest."""
    ordered = scores.detach().flatten().sort(descending=True).values
    return ordered[: round(share * scores.numel())]


def with_thresholds(
    scalars: dict[str, Tensor], best_pos: Tensor, best_neg: Tensor
) -> dict[str, Tensor]:
    """a, b and gamma, and the thresholds that are best for them: the losses at the last taken."""
    a, b, gamma = scalars["a"], scalars["b"], scalars["gamma"]
    f, g = best_pos[-1], best_neg[-1]
    return {
        "a": a,
        "b": b,
        "gamma": gamma,
        "s_pos": (f - a) ** 2 - 2 * (1 + gamma) * f,
        "s_neg": (g - b) ** 2 + 2 * (1 + gamma) * g,
    }


def test_llpauc_at_its_saddle_is_the_pairwise_square_loss() -> None:
    pos, neg = cosines(16)
    pos, neg = torch.sigmoid(pos), torch.sigmoid(neg)
    alpha, beta = 0.5, 0.25
    scalars = llpauc_scalars(pos, neg, alpha, beta)
    value = losses.llpauc(pos, neg, alpha=alpha, beta=beta, **scalars)
    best_pos, best_neg = best(pos, alpha), best(neg, beta)
    pairs = [(1 - f + g) ** 2 for f in best_pos for g in best_neg]
    assert value.item() == pytest.approx(mean_of(pairs) - 1.0)
    # It is least in a, b and s_neg, and largest in gamma and s_pos.
    for name, sign in {"a": 1, "b": 1, "s_neg": 1, "gamma": -1, "s_pos": -1}.items():
        for step in (-0.01, 0.01):
            moved = {**scalars, name: scalars[name] + step}
            if name in {"a", "b", "gamma"}:
                moved = with_thresholds(moved, best_pos, best_neg)
            other = losses.llpauc(pos, neg, alpha=alpha, beta=beta, **moved)
            assert sign * (other - value).item() >= -1e-12, name


def test_llpauc_of_everything_is_the_auc_loss() -> None:
    pos, neg = cosines(17)
    pos, neg = torch.sigmoid(pos), torch.sigmoid(neg)
    scalars = llpauc_scalars(pos, neg, 1.0, 1.0)
    value = losses.llpauc(pos, neg, alpha=1.0, beta=1.0, **scalars)
    pairs = [(1 - f + g) ** 2 for f in pos for g in neg.flatten()]
    assert value.item() == pytest.approx(mean_of(pairs) - 1.0)


def test_llpauc_smooth_tends_to_the_exact() -> None:
    pos, neg = cosines(18)
    kwargs = {"alpha": 0.5, "beta": 0.5, **SCALARS}
    exact = losses.llpauc(pos, neg, **kwargs)
    smooth = losses.llpauc(pos, neg, kappa=1e4, **kwargs)
    assert smooth.item() == pytest.approx(exact.item(), abs=1e-3)
    theta = torch.tensor(2.0, dtype=torch.double)
    with_multipliers = losses.llpauc(pos, neg, theta_a=theta, theta_b=theta, **kwargs)
    assert (with_multipliers - exact).item() == pytest.approx(
        2 * (-0.3 + 0.8) + 2 * (-0.3 - 0.2 + 1)
    )


def test_bc_loss_limits() -> None:
    pos, neg = cosines(19)
    none = torch.zeros(B, dtype=torch.double)
    torch.testing.assert_close(
        losses.bc_loss(pos, neg, bias_angles=none, temperature=0.1),
        losses.softmax(pos, neg, temperature=0.1),
    )
    # A bias angle of pi is always capped: the positive counts as opposite, with no gradient.
    grad, _ = gradients(losses.bc_loss, pos, neg, bias_angles=none + math.pi, temperature=0.1)
    assert float(grad.abs().max()) == 0.0
    capped = losses.bc_loss(pos, neg, bias_angles=none + math.pi, temperature=0.1)
    opposite = torch.full_like(pos, -1.0)
    torch.testing.assert_close(capped, losses.softmax(opposite, neg, temperature=0.1))
    # cos(theta + M) = p cos M - sin(theta) sin M
    angles = torch.full((B,), 0.2, dtype=torch.double)
    widened = pos * math.cos(0.2) - (1 - pos**2).sqrt() * math.sin(0.2)
    torch.testing.assert_close(
        losses.bc_loss(pos, neg, bias_angles=angles, temperature=0.1),
        losses.softmax(widened, neg, temperature=0.1),
    )
    assert losses.bias_angle([1.0, 0.0], [0.0, 3.0]) == pytest.approx(math.pi / 2)
    assert losses.bias_angle([1.0, 1.0], [2.0, 2.0]) == pytest.approx(0.0, abs=1e-7)


def test_bns() -> None:
    # A candidate between two references: F = 1/2, so unbias = 1 - P_fn.
    (risk,) = samplers.bns_risks(1.0, [1.0], [10.0], [0.0, 2.0], total_popularity=40.0, lam=1.0)
    assert risk == pytest.approx(0.5 * (1.0 - 2.0 * 0.75))
    # Without a prior everything is a true negative: the most informative is taken.
    scores = [0.3, 1.2, -0.4, 1.2]
    none = samplers.bns_risks(
        1.0, scores, [0.0] * 4, [*scores, 5.0, -5.0], total_popularity=9.0, lam=5.0
    )
    assert samplers.bns_choice(none) == 1
    # The extremes have a finite risk, and a popular item at the top is taken for a false negative.
    ends = samplers.bns_risks(
        0.0, [-9.0, 9.0], [8.0, 8.0], [-9.0, 0.0, 9.0], total_popularity=9.0, lam=5.0
    )
    assert all(math.isfinite(risk) for risk in ends)
    assert ends[1] > 0 > ends[0]


def midx_case() -> tuple[list[float], list[list[float]], list[list[float]], list[list[float]]]:
    """A user, five items, and two codebooks of three codes; no item has code 2 of the first."""
    user = [0.5, -1.0, 0.25, 0.75]
    items = [
        [1.0, 0.5, 0.0, -1.0],
        [0.0, 1.0, 2.0, 0.5],
        [-1.0, 0.0, 0.5, 0.5],
        [0.5, 0.5, -0.5, 1.0],
        [2.0, -1.0, 0.0, 0.0],
    ]
    first = [[1.0, 0.0], [-0.5, 0.5], [3.0, 3.0]]
    second = [[0.0, -1.0], [1.0, 0.5], [0.0, 1.0]]
    return user, items, first, second


CODES = [(0, 0), (1, 1), (1, 1), (0, 2), (0, 0)]


def test_midx_exact_is_the_softmax() -> None:
    user, items, first, second = midx_case()
    p_a, p_b, p_i, product = samplers.midx(user, items, first, second, CODES)
    assert product == pytest.approx(samplers.softmax([samplers.dot(user, x) for x in items]))
    assert sum(p_a) == pytest.approx(1.0)
    assert p_a[2] == 0.0
    assert [sum(row) for row in p_b] == pytest.approx([1.0, 1.0, 0.0])
    assert p_i[3] == 1.0
    assert p_i[0] + p_i[4] == pytest.approx(1.0)


def test_midx_of_other_weights() -> None:
    user, items, first, second = midx_case()
    *_, product = samplers.midx(user, items, first, second, CODES, weights="uniform")
    logits = [samplers.dot(user, [*first[a], *second[b]]) for a, b in CODES]
    assert product == pytest.approx(samplers.softmax(logits))
    popularity = [1.0, 2.0, 3.0, 4.0, 5.0]
    *_, product = samplers.midx(
        user, items, first, second, CODES, weights="popularity", popularity=popularity
    )
    shifted = [x + math.log(n) for x, n in zip(logits, popularity, strict=True)]
    assert product == pytest.approx(samplers.softmax(shifted))


def test_mcns_keeps_its_target() -> None:
    scores = [2.0, -1.0, 0.5, 0.1]
    near = [[1, 2], [0], [0, 3], [2]]
    q = samplers.mcns_proposal(4, near)
    assert [sum(row) for row in q] == pytest.approx([1.0] * 4)
    assert q[0][1] == pytest.approx(0.375)
    target = samplers.mcns_target(scores, alpha=0.75, floor=0.05)
    assert sum(target) == pytest.approx(1.0)
    moves = samplers.mcns_transition(scores, q, alpha=0.75, floor=0.05)
    assert [sum(row) for row in moves] == pytest.approx([1.0] * 4)
    after = [sum(target[x] * moves[x][y] for x in range(4)) for y in range(4)]
    assert after == pytest.approx(target)
    # Near is one-sided for 2 and 0: 0 is near 2, and 2 near 0; 1's only neighbour is 0.
    expected = (2.0 / 0.05) ** 0.75 * 0.375 / 0.625
    accept = samplers.mcns_acceptance(1, 0, scores, q, alpha=0.75, floor=0.05)
    assert accept == pytest.approx(min(1.0, expected))
    back = samplers.mcns_acceptance(0, 1, scores, q, alpha=0.75, floor=0.05)
    assert back == pytest.approx(1.0 / expected)


def test_nscaching() -> None:
    # Item 7 is in cache and fresh; its second score and noise do not count.
    new = samplers.nscaching_update(
        [7, 8], [7, 9, 10], [0.0, 1.0, 50.0, 2.0, -1.0], [0.5, 0.0, 50.0, 0.0, 0.0]
    )
    assert new == [9, 8]
    assert samplers.nscaching_update([7, 7], [7], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]) == [7]
    weights = {7: 1.0, 8: 2.0, 9: 3.0}
    scores = [math.log(weights[item]) for item in (7, 8, 7, 9)]
    caches = samplers.nscaching_caches([7, 8], [7, 9], scores)
    assert sum(caches.values()) == pytest.approx(1.0)
    # {8, 9}: 2/6 * 3/4 + 3/6 * 2/3
    assert caches[frozenset({8, 9})] == pytest.approx(0.25 + 1 / 3)
    draws = samplers.nscaching_draw(caches)
    assert sum(draws.values()) == pytest.approx(1.0)
    assert draws[9] == pytest.approx((caches[frozenset({8, 9})] + caches[frozenset({7, 9})]) / 2)


def test_nscaching_noise_has_the_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    cache, fresh, scores = [1, 2], [3, 4], [0.0, 1.0, -0.5, 0.5]
    exact = samplers.nscaching_caches(cache, fresh, scores)
    number = 4000
    uniform = torch.rand(number, 4, generator=generator, dtype=torch.double)
    counts: dict[frozenset[int], int] = {}
    for noise in (-torch.log(-torch.log(uniform))).tolist():
        drawn = frozenset(samplers.nscaching_update(cache, fresh, scores, noise))
        counts[drawn] = counts.get(drawn, 0) + 1
    for drawn, probability in exact.items():
        spread = math.sqrt(probability * (1 - probability) / number)
        assert abs(counts.get(drawn, 0) / number - probability) < 5 * spread


def test_adasir_makes_up_for_its_proposal() -> None:
    # A pool that holds each item in proportion to Q is resampled by the softmax of the scores.
    q = [0.5, 0.25, 0.25]
    pool = [0, 0, 1, 2]
    scores = [0.3, -1.0, 2.0]
    slots = samplers.adasir([scores[i] for i in pool], [math.log(q[i]) for i in pool])
    assert sum(slots) == pytest.approx(1.0)
    items = samplers.by_item(pool, slots)
    assert [items[i] for i in range(3)] == pytest.approx(samplers.softmax(scores))


def test_determinant() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 5, generator=generator, dtype=torch.double)
    assert samplers.determinant(matrix.tolist()) == pytest.approx(float(torch.linalg.det(matrix)))
    assert samplers.determinant([]) == 1.0


def test_k_dpp() -> None:
    rows = [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    kernel = samplers.cosine_kernel(rows)
    pairs = samplers.k_dpp(kernel, 2)
    assert sum(pairs.values()) == pytest.approx(1.0)
    # Items 0 and 1 point the same way. Of the others, 0 and 2 are at right angles: det 1. Item 3
    # has the cosine 1 / sqrt(3) with each: det 2/3.
    whole = 2 * 1.0 + 3 * 2 / 3
    assert pairs[frozenset({0, 1})] == pytest.approx(0.0, abs=1e-12)
    assert pairs[frozenset({0, 2})] == pytest.approx(1.0 / whole)
    assert pairs[frozenset({1, 3})] == pytest.approx(2 / 3 / whole)
    # The sum of the determinants is an elementary symmetric polynomial of the eigenvalues.
    values = torch.linalg.eigvalsh(torch.tensor(kernel, dtype=torch.double)).tolist()
    assert sum(x * y for x, y in itertools.combinations(values, 2)) == pytest.approx(whole)
    # A subset of one is drawn by quality alone.
    singles = samplers.k_dpp(samplers.cosine_kernel(rows, [1.0, 1.0, 1.0, 2.0]), 1)
    assert singles[frozenset({3})] == pytest.approx(4 / 7)
    # With the hardest given, what is like it has no chance.
    given = samplers.k_dpp(kernel, 1, given=[0])
    assert given[frozenset({1})] == pytest.approx(0.0, abs=1e-12)
    assert given[frozenset({2})] == pytest.approx(0.6)
    # A rank below k leaves nothing without a ridge.
    flat = samplers.k_dpp(samplers.cosine_kernel(rows[:3]), 3, ridge=0.1)
    assert sum(flat.values()) == pytest.approx(1.0)


def test_divns_cache_and_mix() -> None:
    used, cached = samplers.divns_cache(
        [3, 4, 5, 4, 6], [0.1, 0.9, 0.5, 0.9, 0.5], hardest=1, size=2
    )
    assert (used, cached) == ([4], [5, 6])
    assert samplers.divns_mix([1.0, 0.0], [0.0, 2.0], share=0.75) == [0.75, 0.5]
