"""Rows of different lengths that lie one after another in a list."""

from __future__ import annotations

import torch
from torch import Tensor


def entries_of(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Where the entries of some rows lie.

    Args:
        first: `[B]` int64 where each row starts in the list.
        count: `[B]` int64 how many entries it has.

    Returns:
        Positions in `0..B-1` that the entries belong to, and positions in the list, two int64
        `[E]` with `E` the sum of `count`, row after row.
    """
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count)
    entry = torch.arange(len(owner), device=count.device)
    return owner, entry + (first - (count.cumsum(0) - count))[owner]
