"""Diverse subsets: exact draws from k-DPPs, many at once."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.numerics import uniform

#: Added to the diagonal, so that there are subsets to draw where vectors depend on each other.
JITTER = 1e-6


def conditioned(x: Tensor, on: Tensor) -> Tensor:
    """The kernel of a DPP of vectors, given that others are in the subset already.

    Args:
        x: `[N, S, D]` vectors, whose products are the kernel.
        on: `[N, H, D]` the others.

    Returns:
        `[N, S, S]`: products of what is left of the vectors beside the span of the others.
    """
    own = on @ on.mT + JITTER * torch.eye(on.size(1), dtype=on.dtype, device=on.device)
    both = x @ on.mT
    return x @ x.mT - both @ torch.linalg.solve(own, both.mT)


def k_dpp(kernel: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    r"""Draws subsets of a size in proportion to the determinants of their kernels.

    Kulesza and Taskar (arXiv:1207.6083), algorithms 7 and 8: eigenvectors are chosen by elementary
    symmetric polynomials of the eigenvalues, and then items, one after the other, by what is left
    of their rows beside those of the items before.

    Args:
        kernel: `[N, S, S]` positive semi-definite, float64.
        num: Size of a subset, at most `S`.
        generator: Source of randomness.

    Returns:
        `[N, num]` different positions in `0..S-1`.
    """
    size, device = kernel.size(1), kernel.device
    value, vector = torch.linalg.eigh(kernel + JITTER * torch.eye(size, device=device).to(kernel))
    # Subsets of one size do not care about the scale. In logarithms, as products underflow.
    value = (value / value[:, -1:]).clamp(min=JITTER**2).log()
    # e[n][:, k]: the sum over subsets of k of the first n eigenvalues of their products.
    e = [torch.full_like(kernel[:, 0, :1], -torch.inf).repeat(1, num + 1)]
    e[0][:, 0] = 0
    for n in range(size):
        with_it = torch.logaddexp(e[n][:, 1:], value[:, n : n + 1] + e[n][:, :-1])
        e.append(torch.cat([e[n][:, :1], with_it], dim=1))
    left = torch.full((len(kernel), 1), num, device=device)
    chance = uniform((len(kernel), size), torch.double, device, generator).log()
    chosen = torch.zeros_like(chance)
    for n in reversed(range(size)):
        with_it = value[:, n : n + 1] + e[n].gather(1, (left - 1).clamp(min=0))
        takes = (left > 0) & (chance[:, n : n + 1] + e[n + 1].gather(1, left) < with_it)
        chosen[:, n : n + 1] = takes.double()
        left = left - takes.long()
    projection = (vector * chosen.unsqueeze(1)) @ vector.mT
    rest, found = projection.diagonal(dim1=1, dim2=2).clone(), []
    rows: list[Tensor] = []
    for _ in range(num):
        item = torch.multinomial(rest.clamp(min=0), 1, generator=generator)
        found.append(item)
        row = projection.gather(1, item.unsqueeze(2).expand(-1, 1, size)).squeeze(1)
        for before in rows:
            row = row - before * before.gather(1, item)
        rows.append(row / rest.gather(1, item).sqrt())
        rest = (rest - rows[-1].square()).scatter(1, torch.cat(found, dim=1), 0)
    return torch.cat(found, dim=1)
