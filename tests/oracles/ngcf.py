"""NGCF's propagation (Wang et al., SIGIR 2019, arXiv:1905.08108, eq. 3-7)."""

import math

import torch
from torch import Tensor

EPS = 1e-12


def leaky_relu(x: Tensor, negative_slope: float) -> Tensor:
    """Return x where x >= 0, and negative_slope * x elsewhere."""
    return torch.where(x >= 0, x, negative_slope * x)


def normalize_rows(x: Tensor) -> Tensor:
    """Every row divided by its Euclidean norm; a zero row stays zero."""
    rows = []
    for row in x:
        norm = (row * row).sum().sqrt() if bool((row != 0).any()) else torch.zeros_like(row).sum()
        rows.append(row / norm.clamp(min=EPS))
    return torch.stack(rows) if rows else x


def propagate(
    user0: Tensor,
    item0: Tensor,
    edges: list[tuple[int, int]],
    W1: list[Tensor],
    W2: list[Tensor],
    negative_slope: float = 0.2,
    message_masks: list[Tensor] | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """All layers 0, ..., L of the users and of the items (NGCF, eq. 3, 4 and 6).

    The message of item i to user u is
    1 / sqrt(|N_u| |N_i|) * (W1 e_i + W2 (e_i * e_u)), that of u to itself is W1 e_u, and the
    next embedding of u is the LeakyReLU of their sum; the same with the parts exchanged for an
    item. An edge given twice counts twice, in the degrees and in the sum. A node without an edge
    has its own message only. No biases.

    Args:
        user0: [U, D_0].
        item0: [I, D_0].
        edges: pairs (user, item).
        W1: L matrices [D_l, D_{l-1}], applied as W @ e.
        W2: L matrices [D_l, D_{l-1}], of the products.
        negative_slope: of the LeakyReLU.
        message_masks: L masks [U + I, D_l], users first, that multiply the activated layer (the
            scaling of the dropout is in the mask), both for the next layer and for the return.

    Returns:
        The layers of the users, L + 1 times [U, D_l], and of the items, L + 1 times [I, D_l].
        Layer 0 as given, the later ones with rows of norm one; a layer reads the one before it
        without this normalisation.
    """
    U, I = user0.size(0), item0.size(0)  # noqa: E741
    user_degree = [0] * U
    item_degree = [0] * I
    for u, i in edges:
        user_degree[u] += 1
        item_degree[i] += 1

    users, items = user0.to(torch.float64), item0.to(torch.float64)
    user_xs, item_xs = [users], [items]
    for h in range(len(W1)):
        w1, w2 = W1[h].to(torch.float64), W2[h].to(torch.float64)
        user_sums = [w1 @ users[u] for u in range(U)]
        item_sums = [w1 @ items[i] for i in range(I)]
        for u, i in edges:
            norm = 1.0 / math.sqrt(user_degree[u] * item_degree[i])
            product = w2 @ (users[u] * items[i])
            user_sums[u] = user_sums[u] + norm * (w1 @ items[i] + product)
            item_sums[i] = item_sums[i] + norm * (w1 @ users[u] + product)
        nodes = leaky_relu(torch.stack(user_sums + item_sums), negative_slope)
        if message_masks is not None:
            nodes = nodes * message_masks[h].to(torch.float64)
        users, items = nodes[:U], nodes[U:]
        user_xs.append(normalize_rows(users))
        item_xs.append(normalize_rows(items))
    return user_xs, item_xs
