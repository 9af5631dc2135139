"""Means over the negatives that count."""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.numerics import wide


def mean_where(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of what counts: all, or what has a weight other than 0. NaN if nothing does.

    Args:
        x: Numbers `[n, K]`, or `[n, K, H]` with one per layer.
        weight: `[n, K]`. Default: all count.

    Returns:
        A scalar.
    """
    x = wide(x)
    if weight is None:
        return x.mean()
    counts = (weight != 0).view(*weight.shape, *[1] * (x.dim() - weight.dim())).expand_as(x)
    return x.masked_fill(~counts, 0).sum() / counts.sum()
