"""Scores, and the scalar functions that several of the oracles share."""

import math

from torch import Tensor

from .bpr import minus_log_sigmoid
from .pooling import dot, layer_vectors, pool_vectors


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), never taking exp of a positive number."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def softplus(x: float) -> float:
    """ln(1 + exp(x)) = -ln sigmoid(-x)."""
    return minus_log_sigmoid(-x)


def log_sum_exp(values: list[float]) -> float:
    """The logarithm of the sum of the exponentials, with the largest value taken out first."""
    largest = max(values)
    total = 0.0
    for value in values:
        total += math.exp(value - largest)
    return largest + math.log(total)


def softmax(values: list[float]) -> list[float]:
    """exp(value) over the sum of the exponentials of all values."""
    normaliser = log_sum_exp(values)
    return [math.exp(value - normaliser) for value in values]


def norm(vector: list[float]) -> float:
    """The Euclidean length of a vector."""
    return math.sqrt(dot(vector, vector))


def cosine(left: list[float], right: list[float]) -> float:
    """The dot product over the product of the lengths; 0 where a vector has length 0."""
    lengths = norm(left) * norm(right)
    if lengths == 0.0:
        return 0.0
    return dot(left, right) / lengths


def pooled(xs: list[Tensor], index: int, pool: str) -> list[float]:
    """The scoring embedding of one node."""
    return pool_vectors(layer_vectors(xs, index), pool)


def score(user_xs: list[Tensor], item_xs: list[Tensor], u: int, i: int, pool: str) -> float:
    """s(u, i): the dot product of the pooled embeddings of one user and one item."""
    return dot(pooled(user_xs, u, pool), pooled(item_xs, i, pool))


def candidate_scores(
    user: Tensor, user_xs: list[Tensor], item_xs: list[Tensor], candidates: Tensor, pool: str
) -> list[list[float]]:
    """s(u_b, c_bm) for every candidate, [B][M]."""
    rows = []
    for b in range(len(user)):
        row = []
        for m in range(candidates.size(1)):
            row.append(score(user_xs, item_xs, int(user[b]), int(candidates[b, m]), pool))
        rows.append(row)
    return rows
