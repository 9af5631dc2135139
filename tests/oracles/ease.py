"""EASE's closed form (Steck, WWW 2019, arXiv:1905.03375, eq. 8)."""

import torch
from torch import Tensor


def interactions(edges: list[tuple[int, int]], num_users: int, num_items: int) -> Tensor:
    """The binary matrix X [U, I]: an edge given twice counts once."""
    X = torch.zeros(num_users, num_items, dtype=torch.float64)
    for u, i in edges:
        X[u, i] = 1.0
    return X


def ease(
    edges: list[tuple[int, int]], num_users: int, num_items: int, l2: float
) -> tuple[Tensor, Tensor]:
    """The item weights B [I, I] and the scores X B [U, I] (EASE, eq. 8).

    P is the inverse of X^T X + l2 * identity; B_ij = -P_ij / P_jj off the diagonal, zero on it.
    """
    X = interactions(edges, num_users, num_items)
    P = torch.linalg.inv(X.t() @ X + l2 * torch.eye(num_items, dtype=torch.float64))
    B = torch.zeros(num_items, num_items, dtype=torch.float64)
    for i in range(num_items):
        for j in range(num_items):
            if i != j:
                B[i, j] = -P[i, j] / P[j, j]
    return B, X @ B
