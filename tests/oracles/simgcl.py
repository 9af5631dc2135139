"""The noise-based views and losses of SimGCL and XSimGCL.

SimGCL: Yu et al., SIGIR 2022, arXiv:2112.08679. XSimGCL: Yu et al., TKDE 2023, arXiv:2209.02544.
"""

import torch
from torch import Tensor

EPS = 1e-12


def perturb(e: Tensor, uniform: Tensor, epsilon: float) -> Tensor:
    """Every row of e plus noise of norm epsilon in the row's own orthant (SimGCL, Section 3).

    The noise of a row is epsilon * sign(e) * uniform / ||uniform||_2, with uniform in [0, 1). A
    component of e that is zero has none.
    """
    rows = []
    for row, noise in zip(e.to(torch.float64), uniform.to(torch.float64), strict=True):
        direction = noise / (noise * noise).sum().sqrt().clamp(min=EPS)
        rows.append(row + epsilon * torch.sign(row) * direction)
    return torch.stack(rows)


def layers(
    x0: Tensor, adjacency: Tensor, num_layers: int, uniforms: list[Tensor] | None, epsilon: float
) -> list[Tensor]:
    """Layers 1, ..., L, X_l = perturb(A X_{l-1}); the perturbed X_l feeds the next layer.

    SimGCL's propagation, unrolled. With uniforms None there is no noise: the plain encoder.

    Args:
        x0: [N, D].
        adjacency: the dense normalised adjacency [N, N] of users and items.
        num_layers: L.
        uniforms: L times [N, D], or None.
        epsilon: the norm of the noise.
    """
    x, A = x0.to(torch.float64), adjacency.to(torch.float64)
    xs = []
    for h in range(num_layers):
        x = A @ x
        if uniforms is not None:
            x = perturb(x, uniforms[h], epsilon)
        xs.append(x)
    return xs


def view(
    x0: Tensor, adjacency: Tensor, num_layers: int, uniforms: list[Tensor] | None, epsilon: float
) -> Tensor:
    """The mean over layers 1, ..., L (SimGCL, Section 3): the ego layer 0 is left out."""
    total = torch.zeros_like(x0, dtype=torch.float64)
    for x in layers(x0, adjacency, num_layers, uniforms, epsilon):
        total = total + x
    return total / num_layers


def unit(row: Tensor) -> Tensor:
    """The row over its norm; a zero row stays zero."""
    if not bool((row != 0).any()):
        return row
    return row / (row * row).sum().sqrt().clamp(min=EPS)


def info_nce(view_a: Tensor, view_b: Tensor, temperature: float) -> Tensor:
    """The mean over rows of -log(exp(a_i b_i / tau) / sum_j exp(a_i b_j / tau)), rows made unit.

    SimGCL's contrastive loss, the mean in place of the sum over rows; the sum over j has
    j = i in it. n >= 1 rows.
    """
    n = view_a.size(0)
    a = [unit(row) for row in view_a.to(torch.float64)]
    b = [unit(row) for row in view_b.to(torch.float64)]
    losses = []
    for i in range(n):
        exps = [torch.exp(torch.dot(a[i], b[j]) / temperature) for j in range(n)]
        losses.append(-torch.log(exps[i] / torch.stack(exps).sum()))
    return torch.stack(losses).sum() / n


def batch_loss(
    view_a: Tensor,
    view_b: Tensor,
    num_users: int,
    users: list[int],
    items: list[int],
    temperature: float,
) -> Tensor:
    """InfoNCE of the distinct users plus that of the distinct items of a batch.

    The views are [N, D] with the users first; item i is row num_users + i.
    """
    user_rows = sorted(set(users))
    item_rows = [num_users + i for i in sorted(set(items))]
    return info_nce(view_a[user_rows], view_b[user_rows], temperature) + info_nce(
        view_a[item_rows], view_b[item_rows], temperature
    )


def simgcl_auxiliary(
    x0: Tensor,
    adjacency: Tensor,
    num_users: int,
    num_layers: int,
    uniforms_a: list[Tensor],
    uniforms_b: list[Tensor],
    epsilon: float,
    users: list[int],
    items: list[int],
    temperature: float,
    weight: float,
) -> Tensor:
    """SimGCL's contrastive part: weight * batch_loss between two perturbed views."""
    view_a = view(x0, adjacency, num_layers, uniforms_a, epsilon)
    view_b = view(x0, adjacency, num_layers, uniforms_b, epsilon)
    return weight * batch_loss(view_a, view_b, num_users, users, items, temperature)


def xsimgcl_auxiliary(
    x0: Tensor,
    adjacency: Tensor,
    num_users: int,
    num_layers: int,
    uniforms: list[Tensor],
    epsilon: float,
    contrast_layer: int,
    users: list[int],
    items: list[int],
    temperature: float,
    weight: float,
) -> Tensor:
    """XSimGCL's contrastive part: weight * batch_loss between the mean and one layer of a pass.

    The mean of layers 1, ..., L is the anchor, layer contrast_layer (counted from 1) of the same
    perturbed pass is the other view.
    """
    xs = layers(x0, adjacency, num_layers, uniforms, epsilon)
    pooled = torch.stack(xs).sum(dim=0) / num_layers
    contrast = xs[contrast_layer - 1]
    return weight * batch_loss(pooled, contrast, num_users, users, items, temperature)
