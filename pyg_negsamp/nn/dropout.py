"""Dropout that takes a generator, so that a resumed run drops what it would have dropped."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.errors import number_in


def check_rate(owner: object, name: str, rate: float) -> float:
    """Returns `rate` if it is a share that can be dropped, and raises `ValueError` if not."""
    return number_in(owner, name, rate, "[0, 1)")


def kept(num: int, rate: float, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws which of `num` things to keep: `[num]` bool on the device of `like`."""
    return _kept((num,), rate, like.device, generator)


def dropout(x: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Zeroes entries of `x` with probability `rate`, and divides the others by `1 - rate`."""
    keep = _kept(x.shape, rate, x.device, generator)
    return x * keep.to(x.dtype).div_(1 - rate)


def _kept(
    size: tuple[int, ...], rate: float, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """In single precision whatever torch's default is: in half, rates would be rounded."""
    return torch.rand(size, dtype=torch.float32, device=device, generator=generator) >= rate
