"""SRNS: a memory of candidates, and variance-based sampling from it (Ding et al., NeurIPS 2020).

The paper's standard deviation is over the five epochs before the current one and divides by five:

    std[P(k|u, p)] = sqrt(sum over s = t-5, ..., t-1 of (P_s - mean)^2 / 5),

the population standard deviation (no n - 1). Before five scores of an item have been recorded it
is over the ones there are, and 0 where there are none.
"""

import itertools
import math

from torch import Tensor

from .pooling import descending_order
from .scoring import score, sigmoid, softmax


def positive_probability(
    user_xs: list[Tensor], item_xs: list[Tensor], u: int, k: int, p: int, pool: str
) -> float:
    """P(k|u, p) = sigmoid(s(u, k) - s(u, p)): the score of a candidate beside the positive."""
    return sigmoid(score(user_xs, item_xs, u, k, pool) - score(user_xs, item_xs, u, p, pool))


def recorded_std(records: list[float]) -> float:
    """The population standard deviation of the last five records."""
    last = records[-5:]
    if len(last) == 0:
        return 0.0
    mean = sum(last) / len(last)
    total = 0.0
    for record in last:
        total += (record - mean) ** 2
    return math.sqrt(total / len(last))


def warm_up(epoch: int, alpha: float, warm_up_epochs: int) -> float:
    """alpha_t = alpha * min(1, t / T0)."""
    return alpha * min(1.0, epoch / warm_up_epochs)


def select(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    memory: list[list[int]],
    history: list[list[list[float]]],
    alpha_t: float,
    num_negatives: int,
    pool: str,
) -> list[list[int]]:
    """The K items of the memory with the highest P + alpha_t * std, the highest first.

    Args:
        user: The users, [B].
        pos: The positive items, [B].
        user_xs: The layers of the users, H times [U, D].
        item_xs: The layers of the items, H times [I, D].
        memory: The items in the memory of the user of every row, [B][S1].
        history: The scores P that earlier epochs recorded for each of them, [B][S1][epochs],
            the latest last. The score of this epoch is not among them.
        alpha_t: The weight of the standard deviation at this epoch.
        num_negatives: The number K of negatives; the paper has one.
        pool: The pool of the encoder.

    Returns:
        The item ids, [B][K].
    """
    ids = []
    for b in range(len(user)):
        values = []
        for slot in range(len(memory[b])):
            probability = positive_probability(
                user_xs, item_xs, int(user[b]), memory[b][slot], int(pos[b]), pool
            )
            values.append(probability + alpha_t * recorded_std(history[b][slot]))
        order = descending_order(values)
        ids.append([memory[b][order[k]] for k in range(num_negatives)])
    return ids


def keep_probabilities(scores: list[float], tau: float) -> list[float]:
    """exp(score / tau) over the sum over all S1 + S2: the chance of every slot in one draw."""
    return softmax([s / tau for s in scores])


def kept_sets(scores: list[float], tau: float, s1: int) -> dict[frozenset[int], float]:
    """The probability of every set of S1 slots, drawn one by one without replacement.

    Every ordered draw is listed: each next slot has its exp(score / tau) over the sum of the
    slots that are left. Slots are positions, so an item that is there twice has two slots.
    """
    weights = keep_probabilities(scores, tau)
    sets: dict[frozenset[int], float] = {}
    for draw in itertools.permutations(range(len(scores)), s1):
        left = set(range(len(scores)))
        probability = 1.0
        for slot in draw:
            total = 0.0
            for other in left:
                total += weights[other]
            probability *= weights[slot] / total
            left.remove(slot)
        key = frozenset(draw)
        sets[key] = sets.get(key, 0.0) + probability
    return sets


def inclusion_probabilities(scores: list[float], tau: float, s1: int) -> list[float]:
    """The probability of every slot to be among the S1 that are kept; they add up to S1."""
    included = [0.0] * len(scores)
    for slots, probability in kept_sets(scores, tau, s1).items():
        for slot in slots:
            included[slot] += probability
    return included
