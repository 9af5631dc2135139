"""Item-based nearest neighbours (ItemKNN): cosine with shrinkage of binary columns.

Sarwar et al., WWW 2001, for the cosine of items; Ferrari Dacrema et al., RecSys 2019,
arXiv:1907.06902, for this baseline with the shrink term in the denominator.
"""

import math

import torch
from torch import Tensor


def similarity(
    edges: list[tuple[int, int]], num_items: int, shrink: float = 0.0
) -> list[list[float]]:
    """sim(i, j) = |U_i & U_j| / (sqrt(|U_i|) * sqrt(|U_j|) + shrink), zero for i = j.

    U_i is the set of the users of item i: an edge given twice counts once. An item without a
    user is similar to none.
    """
    seen_by: list[set[int]] = [set() for _ in range(num_items)]
    for u, i in edges:
        seen_by[i].add(u)
    sim = [[0.0] * num_items for _ in range(num_items)]
    for i in range(num_items):
        for j in range(num_items):
            common = len(seen_by[i] & seen_by[j])
            if i != j and common > 0:
                norm = math.sqrt(len(seen_by[i]) * len(seen_by[j]))
                sim[i][j] = common / (norm + shrink)
    return sim


def nearest(sim: list[list[float]], i: int, k: int) -> list[int]:
    """The k items most similar to item i, itself excluded; of equal ones the lower id first.

    Similarities that agree to twelve decimals are equal: 1 / sqrt(2) and 3 / sqrt(18) differ in
    float64 only.
    """
    others = [j for j in range(len(sim)) if j != i]
    return sorted(others, key=lambda j: (-round(sim[i][j], 12), j))[:k]


def item_knn(
    edges: list[tuple[int, int]], num_users: int, num_items: int, k: int, shrink: float = 0.0
) -> Tensor:
    """The scores [U, I]: of (u, i), the sum of sim(i, j) over i's k nearest j that u has seen.

    The neighbours are those of the scored item i, not of the seen item j.
    """
    sim = similarity(edges, num_items, shrink)
    seen: list[set[int]] = [set() for _ in range(num_users)]
    for u, i in edges:
        seen[u].add(i)
    scores = torch.zeros(num_users, num_items, dtype=torch.float64)
    for i in range(num_items):
        for j in nearest(sim, i, k):
            for u in range(num_users):
                if j in seen[u]:
                    scores[u, i] += sim[i][j]
    return scores
