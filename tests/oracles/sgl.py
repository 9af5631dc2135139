"""SGL's graph views and contrastive loss (Wu et al., SIGIR 2021, arXiv:2010.10783)."""

import math

import torch
from torch import Tensor

EPS = 1e-12


def node_dropout(
    edges: list[tuple[int, int]], keep_user: list[bool], keep_item: list[bool]
) -> list[tuple[int, int]]:
    """The edges whose user and item are both kept (SGL, Section 3.1, node dropout)."""
    return [(u, i) for u, i in edges if keep_user[u] and keep_item[i]]


def edge_dropout(edges: list[tuple[int, int]], keep: list[bool]) -> list[tuple[int, int]]:
    """The kept edges (SGL, Section 3.1, edge dropout)."""
    return [edge for edge, kept in zip(edges, keep, strict=True) if kept]


def view(
    user0: Tensor, item0: Tensor, edges_per_layer: list[list[tuple[int, int]]]
) -> tuple[Tensor, Tensor]:
    """The mean over layers 0, ..., L of LightGCN's propagation, layer l over its own edges.

    Layer l reads edges_per_layer[l - 1] (SGL, Section 3.1: an own list per layer is the random
    walk, the same list L times either dropout), and its degrees are those of these edges. An edge
    given twice counts twice. A node without an edge in a layer is zero there.

    Returns:
        The users [U, D] and the items [I, D].
    """
    U, I = user0.size(0), item0.size(0)  # noqa: E741
    users, items = user0.to(torch.float64), item0.to(torch.float64)
    user_sum, item_sum = users, items
    for edges in edges_per_layer:
        user_degree = [0] * U
        item_degree = [0] * I
        for u, i in edges:
            user_degree[u] += 1
            item_degree[i] += 1
        matrix = torch.zeros(U, I, dtype=torch.float64)
        for u, i in edges:
            matrix[u, i] += 1.0 / math.sqrt(user_degree[u] * item_degree[i])
        users, items = matrix @ items, matrix.t() @ users
        user_sum, item_sum = user_sum + users, item_sum + items
    L = len(edges_per_layer)
    return user_sum / (L + 1), item_sum / (L + 1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """The cosine of two vectors, each norm at least EPS."""
    if not bool((a != 0).any()) or not bool((b != 0).any()):
        return (a * b).sum()  # zero, and without the infinite slope of a norm at zero
    norm_a = (a * a).sum().sqrt().clamp(min=EPS)
    norm_b = (b * b).sum().sqrt().clamp(min=EPS)
    return (a * b).sum() / (norm_a * norm_b)


def info_nce(view_a: Tensor, view_b: Tensor, temperature: float) -> Tensor:
    """InfoNCE of two views of the same n >= 1 nodes (SGL, eq. 10, the mean in place of the sum).

    The mean over rows i of -log(exp(cos(a_i, b_i) / tau) / sum_j exp(cos(a_i, b_j) / tau)); the
    sum over j has j = i in it.
    """
    a, b = view_a.to(torch.float64), view_b.to(torch.float64)
    n = a.size(0)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(n):
        positive = torch.exp(cosine(a[i], b[i]) / temperature)
        denominator = torch.zeros((), dtype=torch.float64)
        for j in range(n):
            denominator = denominator + torch.exp(cosine(a[i], b[j]) / temperature)
        total = total - torch.log(positive / denominator)
    return total / n


def auxiliary(
    user_a: Tensor,
    user_b: Tensor,
    item_a: Tensor,
    item_b: Tensor,
    users: list[int],
    items: list[int],
    temperature: float,
    weight: float,
) -> Tensor:
    """The weighted loss of the distinct users plus that of the distinct items of a batch.

    The contrastive part of SGL's joint objective: weight * (L_user + L_item).
    """
    batch_users, batch_items = sorted(set(users)), sorted(set(items))
    user_loss = info_nce(user_a[batch_users], user_b[batch_users], temperature)
    item_loss = info_nce(item_a[batch_items], item_b[batch_items], temperature)
    return weight * (user_loss + item_loss)
