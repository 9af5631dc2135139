"""Negatives that the rows of a batch share, in loops and float64: the papers' definitions.

`links` [E, 2] are the training links, a user and an item each; a link may be there twice, and then
counts twice. `item` [K] are the shared items; an item that is there twice has two slots, each with
its own weight and probability. The share of an item is how many of the links have it, over E.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def log(value: float) -> float:
    """The natural logarithm, with log 0 = -inf."""
    return math.log(value) if value > 0.0 else -math.inf


def log_sum_exp(values: list[float]) -> float:
    """The log of the sum of exp(value)."""
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def share(links: Ints, item: int) -> float:
    """How many of the links have the item, over how many links there are."""
    return sum(1 for _, other in links.tolist() if other == item) / len(links)


def in_batch_weights(links: Ints, user: Ints, item: Ints) -> Floats:
    """[B, K]: 1 where the user of row b does not have item k among its links, else 0."""
    known = {(a, b) for a, b in links.tolist()}
    weights = [[0.0 if (u, i) in known else 1.0 for i in item.tolist()] for u in user.tolist()]
    return np.array(weights, dtype=np.float64).reshape(len(user), len(item))


def in_batch_log_q(links: Ints, item: Ints) -> Floats:
    """[K]: the log of the item's share of the links. -inf for an item without links."""
    return np.array([log(share(links, i)) for i in item.tolist()], dtype=np.float64)


def mns_log_q(links: Ints, item: Ints, num_batch: int, num_uniform: int, num_items: int) -> Floats:
    """[K]: the log of Q* = (B unigram + B' uniform) / (B + B') (Yang et al., WWW 2020).

    B items come with the batch, so by their share of the links, and B' from all items alike.
    """
    values = []
    for i in item.tolist():
        mixed = num_batch * share(links, i) + num_uniform * (1.0 / num_items)
        values.append(log(mixed / (num_batch + num_uniform)))
    return np.array(values, dtype=np.float64)


class Memory:
    """What past batches encoded, first in and first out (CBNS: Wang et al., SIGIR 2021).

    An entry is an id and its row as it was when it was pushed. An id that is pushed again has one
    more entry; the one before keeps its row.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.entries: list[tuple[int, list[float]]] = []

    def push(self, ids: Ints, rows: Floats) -> None:
        """Put ids [n] and rows [n, D] before all others, ids[0] first, and drop what is too old."""
        new = list(zip(ids.tolist(), rows.tolist(), strict=True))
        self.entries = (new + self.entries)[: self.capacity]

    def contents(self) -> tuple[Ints, Floats]:
        """The ids [n] and rows [n, D], newest first; [0] and [0, 0] before any push."""
        ids = np.array([i for i, _ in self.entries], dtype=np.int64)
        width = len(self.entries[0][1]) if self.entries else 0
        rows = np.array([row for _, row in self.entries], dtype=np.float64)
        return ids, rows.reshape(len(self.entries), width)


def bir_probabilities(
    links: Ints, user: Ints, item: Ints, scores: Floats, temperature: float
) -> Floats:
    """[B, K]: how probable a resampling of the batch is to draw slot k (Chen et al., NeurIPS 2022).

    Proportional to exp(score / temperature - log share), and 0 for an item that the user of the
    row has among its links. A row with nothing left is all 0. Every item has a link.
    """
    weights = in_batch_weights(links, user, item)
    log_q = in_batch_log_q(links, item)
    probabilities = np.zeros(weights.shape, dtype=np.float64)
    for b in range(len(user)):
        free = [k for k in range(len(item)) if weights[b, k] > 0.0]
        if not free:
            continue
        logits = [float(scores[b, k]) / temperature - float(log_q[k]) for k in free]
        total = log_sum_exp(logits)
        for k, logit in zip(free, logits, strict=True):
            probabilities[b, k] = math.exp(logit - total)
    return probabilities
