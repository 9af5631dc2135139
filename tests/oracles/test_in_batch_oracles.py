"""The oracles of shared negatives, held against what must be true of them."""

import itertools
import math

import numpy as np
import pytest

from oracles.in_batch import (
    Memory,
    bir_probabilities,
    in_batch_log_q,
    in_batch_weights,
    mns_log_q,
)

LINKS = np.array([[0, 0], [0, 1], [1, 1], [1, 1], [2, 3], [0, 2], [3, 1], [2, 0]])
NUM_ITEMS = 6


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
