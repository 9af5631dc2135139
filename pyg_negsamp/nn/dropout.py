"""Dropout that takes a generator, so that a resumed run drops what it would have dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in
from pyg_negsamp.numerics import uniform


def check_rate(owner: object, name: str, rate: float) -> float:
    """Returns `rate` if it is a share that can be dropped, and raises `ValueError` if not."""
    return number_in(owner, name, rate, "[0, 1)")


def kept(num: int, rate: float, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws which of `num` things to keep: `[num]` bool on the device of `like`."""
    return uniform((num,), torch.float32, like.device, generator) >= rate


def dropout(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Zeroes entries of `x` with probability `rate`, and divides the others by `1 - rate`."""
    keep = uniform(x.shape, torch.float32, x.device, generator) >= rate
    return x * keep.to(x.dtype).div_(1 - rate)
