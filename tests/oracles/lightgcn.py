"""LightGCN's propagation (He et al., SIGIR 2020, eq. 3)."""

import math

import torch
from torch import Tensor


def propagate(
    user0: Tensor, item0: Tensor, edges: list[tuple[int, int]], num_layers: int
) -> tuple[list[Tensor], list[Tensor]]:
    """All layers 0, ..., L of the users and of the items (LightGCN, eq. 3).

    e_u^(h+1) is the sum over u's items i of e_i^(h) / (sqrt(deg u) * sqrt(deg i)), and the same
    with the parts exchanged for an item. An edge given twice counts twice, in the degrees and in
    the sum. A node without an edge is zero from layer 1 on.

    Returns:
        The layers of the users, L + 1 times [U, D], and of the items, L + 1 times [I, D].
    """
    U, D = user0.shape
    I = item0.size(0)  # noqa: E741
    user_degree = [0] * U
    item_degree = [0] * I
    for u, i in edges:
        user_degree[u] += 1
        item_degree[i] += 1

    user_xs = [user0.to(torch.float64)]
    item_xs = [item0.to(torch.float64)]
    for h in range(num_layers):
        user_next = [[0.0] * D for _ in range(U)]
        item_next = [[0.0] * D for _ in range(I)]
        for u, i in edges:
            norm = 1.0 / math.sqrt(user_degree[u] * item_degree[i])
            for d in range(D):
                user_next[u][d] += norm * float(item_xs[h][i, d])
                item_next[i][d] += norm * float(user_xs[h][u, d])
        user_xs.append(torch.tensor(user_next, dtype=torch.float64).view(U, D))
        item_xs.append(torch.tensor(item_next, dtype=torch.float64).view(I, D))
    return user_xs, item_xs
