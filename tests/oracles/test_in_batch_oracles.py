"""The oracles of shared negatives, held against what must be true of them."""

import itertools
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from oracles.in_batch import (
    Floats,
    Memory,
    bir_probabilities,
    in_batch_log_q,
    in_batch_weights,
    logq_softmax,
    mns_log_q,
)

LINKS = np.array([[0, 0], [0, 1], [1, 1], [1, 1], [2, 3], [0, 2], [3, 1], [2, 0]])
NUM_ITEMS = 6
CORRECTIONS: tuple[Literal["classic", "corrected"], ...] = ("classic", "corrected")


def numeric_gradient(function: Callable[[Floats], float], at: Floats) -> Floats:
    """Central differences of a scalar function, one entry at a time."""
    gradient = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-5
        gradient[index] = (function(at + step) - function(at - step)) / 2e-5
    return gradient


def toy(seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Toy rows: pos [4], neg [4, 5], weight, log_q [5] and pos_log_q [4]; row 2 has no negative."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 3, size=(4, 5)).astype(np.float64)
    weight[:, 0] = 1.0
    weight[2] = 0.0
    log_q = np.log(rng.uniform(0.05, 0.4, size=5))
    pos_log_q = np.log(rng.uniform(0.05, 0.4, size=4))
    return rng.normal(size=4), rng.normal(size=(4, 5)), weight, log_q, pos_log_q


def full_softmax(scores: Floats, positive: int, temperature: float) -> tuple[float, Floats]:
    """Cross-entropy over all items of one row, and its gradient to their scores."""
    shares = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
    gradient = shares / temperature
    gradient[positive] -= 1.0 / temperature
    return -math.log(shares[positive]), gradient


def test_weights_are_zero_where_the_user_has_a_link() -> None:
    weights = in_batch_weights(LINKS, np.array([0, 1, 4]), np.array([1, 3, 1, 0]))
    assert weights.tolist() == [[0, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]


def test_shares_count_repeated_links_and_sum_to_one() -> None:
    every = np.arange(NUM_ITEMS)
    assert np.exp(in_batch_log_q(LINKS, every)) == pytest.approx(np.array([2, 4, 1, 1, 0, 0]) / 8)
    assert np.exp(in_batch_log_q(LINKS, every)).sum() == pytest.approx(1.0)


def test_mixed_shares_sum_to_one_and_have_both_ends() -> None:
    every = np.arange(NUM_ITEMS)
    assert np.exp(mns_log_q(LINKS, every, 3, 5, NUM_ITEMS)).sum() == pytest.approx(1.0)
    assert mns_log_q(LINKS, every, 3, 0, NUM_ITEMS) == pytest.approx(in_batch_log_q(LINKS, every))
    assert mns_log_q(LINKS, every, 0, 5, NUM_ITEMS) == pytest.approx(-math.log(NUM_ITEMS))
    one = mns_log_q(LINKS, np.array([1]), 3, 5, NUM_ITEMS)
    assert np.exp(one) == pytest.approx((3 * 0.5 + 5 / 6) / 8)


def test_a_mixed_share_is_that_of_a_slot_in_the_pool() -> None:
    """Over every batch of two links with every uniform item."""
    items = LINKS[:, 1].tolist()
    shares = np.zeros(NUM_ITEMS)
    pools = list(itertools.product(items, items, range(NUM_ITEMS)))
    for pool in pools:
        for item in pool:
            shares[item] += 1 / (3 * len(pools))
    every = np.arange(NUM_ITEMS)
    assert np.exp(mns_log_q(LINKS, every, 2, 1, NUM_ITEMS)) == pytest.approx(shares)


def test_memory_is_first_in_first_out_and_keeps_rows_as_they_were() -> None:
    memory = Memory(5)
    assert [part.shape for part in memory.contents()] == [(0,), (0, 0)]
    rows = np.array([[1.0, 1.5], [2.0, 2.5]])
    memory.push(np.array([1, 2]), rows)
    rows[:] = 0.0
    memory.push(np.array([3, 1]), np.array([[3.0, 3.5], [9.0, 9.5]]))
    ids, kept = memory.contents()
    assert ids.tolist() == [3, 1, 1, 2]
    assert kept.tolist() == [[3.0, 3.5], [9.0, 9.5], [1.0, 1.5], [2.0, 2.5]]
    memory.push(np.array([5, 6]), np.array([[5.0, 5.5], [6.0, 6.5]]))
    assert memory.contents()[0].tolist() == [5, 6, 3, 1, 1]
    memory.push(np.arange(10, 17), np.zeros((7, 2)))
    assert memory.contents()[0].tolist() == [10, 11, 12, 13, 14]


def test_resampling_probabilities_sum_to_one_and_follow_their_weights() -> None:
    user, item = np.array([0, 1, 2]), np.array([1, 3, 0, 2, 1])
    scores = np.random.default_rng(0).normal(size=(3, 5))
    shares = bir_probabilities(LINKS, user, item, scores, 0.5)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert (shares == 0).tolist() == (in_batch_weights(LINKS, user, item) == 0).tolist()
    # user 2 knows items 3 and 0: slots 0, 3 and 4 are left, of items with 4, 1 and 4 links of 8
    raw = [math.exp(scores[2, k] / 0.5) / q for k, q in ((0, 0.5), (3, 0.125), (4, 0.5))]
    assert shares[2, [0, 3, 4]] == pytest.approx(np.array(raw) / sum(raw))


def test_a_batch_like_the_links_is_resampled_by_the_softmax() -> None:
    item, scores = LINKS[:, 1], np.random.default_rng(1).normal(size=NUM_ITEMS)
    slots = bir_probabilities(LINKS, np.array([4]), item, scores[item][None], 0.5)[0]
    shares = [slots[item == i].sum() for i in range(4)]
    softmax = np.exp(scores[:4] / 0.5)
    assert shares == pytest.approx(softmax / softmax.sum())


def test_resampling_has_nothing_to_draw_where_everything_is_known() -> None:
    scores = np.zeros((2, 2))
    shares = bir_probabilities(LINKS, np.array([0, 2]), np.array([1, 2]), scores, 1.0)
    assert shares[0].tolist() == [0.0, 0.0]
    assert shares[1] == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_classic_gradients_are_those_of_finite_differences(temperature: float) -> None:
    pos, neg, weight, log_q, pos_log_q = toy(1)

    def loss(pos: Floats, neg: Floats) -> float:
        return logq_softmax(pos, neg, weight, log_q, pos_log_q, temperature, "classic")[0]

    _, to_pos, to_neg = logq_softmax(pos, neg, weight, log_q, pos_log_q, temperature, "classic")
    assert to_pos == pytest.approx(numeric_gradient(lambda x: loss(x, neg), pos), abs=1e-8)
    assert to_neg == pytest.approx(numeric_gradient(lambda x: loss(pos, x), neg), abs=1e-8)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_corrected_gradients_are_those_of_finite_differences_with_its_weight_fixed(
    temperature: float,
) -> None:
    pos, neg, weight, log_q, pos_log_q = toy(2)
    rows = [0, 1, 3]
    inverse_q = (1.0 - np.exp(pos_log_q))[:, None] / np.exp(log_q)

    def parts(pos: Floats, neg: Floats) -> tuple[Floats, Floats]:
        n = (weight * np.exp(neg / temperature) * inverse_q).sum(axis=1)[rows]
        e = np.exp(pos / temperature)[rows]
        return 1.0 - e / (e + n / weight.sum(axis=1)[rows]), np.log(n) - pos[rows] / temperature

    wrong, _ = parts(pos, neg)

    def loss(pos: Floats, neg: Floats) -> float:
        return float((wrong * parts(pos, neg)[1]).sum() / 4)

    value, to_pos, to_neg = logq_softmax(
        pos, neg, weight, log_q, pos_log_q, temperature, "corrected"
    )
    assert value == pytest.approx(loss(pos, neg))
    assert to_pos == pytest.approx(numeric_gradient(lambda x: loss(x, neg), pos), abs=1e-8)
    assert to_neg == pytest.approx(numeric_gradient(lambda x: loss(pos, x), neg), abs=1e-8)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_every_other_item_once_and_uniform_q_is_the_full_softmax(
    correction: Literal["classic", "corrected"], temperature: float
) -> None:
    scores = np.random.default_rng(3).normal(size=(3, 7))
    positives = [0, 4, 6]
    others = [[j for j in range(7) if j != p] for p in positives]
    pos = np.array([scores[b, p] for b, p in enumerate(positives)])
    neg = np.array([scores[b, other] for b, other in enumerate(others)])
    log_q = np.full(6, -math.log(7))
    value, to_pos, to_neg = logq_softmax(
        pos, neg, np.ones((3, 6)), log_q, np.full(3, -math.log(7)), temperature, correction
    )
    full = [full_softmax(scores[b], p, temperature) for b, p in enumerate(positives)]
    if correction == "classic":
        assert value == pytest.approx(sum(loss for loss, _ in full) / 3)
    for b, (_, gradient) in enumerate(full):
        assert to_pos[b] == pytest.approx(gradient[positives[b]] / 3)
        assert to_neg[b] == pytest.approx(gradient[others[b]] / 3)


def test_corrected_estimates_the_sum_over_the_other_items_without_bias() -> None:
    scores = np.array([0.3, -1.0, 0.8, 1.4])
    q = np.array([0.4, 0.1, 0.2, 0.3])
    expected = 0.0
    for j in (1, 2, 3):  # the positive is 0, and the one negative is j with probability Q'(j)
        loss, to_pos, _ = logq_softmax(
            scores[:1],
            scores[[[j]]],
            np.ones((1, 1)),
            np.log(q[[j]]),
            np.log(q[:1]),
            1.0,
            "corrected",
        )
        estimate = math.exp(loss / -to_pos[0] + scores[0])
        expected += q[j] / (1.0 - q[0]) * estimate
    assert expected == pytest.approx(np.exp(scores[1:]).sum())


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_slots_of_weight_zero_are_not_there(correction: Literal["classic", "corrected"]) -> None:
    pos, neg, weight, log_q, pos_log_q = toy(4)
    value, to_pos, to_neg = logq_softmax(pos, neg, weight, log_q, pos_log_q, 0.7, correction)
    assert to_pos[2] == 0.0
    assert (to_neg[weight == 0] == 0.0).all()
    assert (to_neg[weight > 0] > 0.0).all()
    assert to_pos + to_neg.sum(axis=1) == pytest.approx(0.0, abs=1e-12)
    moved = np.where(weight == 0, 50.0, neg)
    assert logq_softmax(pos, moved, weight, log_q, pos_log_q, 0.7, correction)[0] == value
    rest = [0, 1, 3]
    alone, _, _ = logq_softmax(
        pos[rest], neg[rest], weight[rest], log_q, pos_log_q[rest], 0.7, correction
    )
    assert value == pytest.approx(alone * 3 / 4)
    nothing = logq_softmax(pos, neg, np.zeros_like(weight), log_q, pos_log_q, 0.7, correction)
    assert nothing[0] == 0.0
    assert not nothing[1].any()
    assert not nothing[2].any()


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_weight_of_two_is_two_slots(correction: Literal["classic", "corrected"]) -> None:
    pos, neg, log_q = np.array([0.2]), np.array([[0.5, -0.4]]), np.log([0.3, 0.2])
    twice = logq_softmax(pos, neg, np.array([[2.0, 1.0]]), log_q, np.log([0.1]), 0.5, correction)
    slots = logq_softmax(
        pos, neg[:, [0, 0, 1]], np.ones((1, 3)), log_q[[0, 0, 1]], np.log([0.1]), 0.5, correction
    )
    assert twice[0] == pytest.approx(slots[0])
    assert twice[1] == pytest.approx(slots[1])
    assert twice[2][0] == pytest.approx([2 * slots[2][0, 0], slots[2][0, 2]])
