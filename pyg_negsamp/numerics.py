"""What keeps numbers numbers: sums in enough bits, lengths above zero, means of nothing, draws.

A bfloat16 has eight bits, and a float16 ends at 65504. Tables may be either. But scores, losses
and norms are calculated in single precision then; what becomes an embedding again goes back. In
single and double precision nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.errors import invalid, short


def wide(x: Tensor) -> Tensor:
    """`x` in single precision if it is in half; else `x` itself."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def unit_rows(x: Tensor) -> Tensor:
    """The rows of `x [..., D]` at length 1, in the type of `x`; zero stays zero."""
    return normalize(wide(x), dim=-1).to(x.dtype)


def mean(x: Tensor) -> Tensor:
    """The mean of all entries; 0 of none, where torch's is NaN."""
    return x.mean() if x.numel() else x.sum()


def check_generator(owner: object, generator: object, device: torch.device) -> None:
    """Refuses what is no generator on the device that it is to draw on; `None` is torch's own.

    Args:
        owner: Who asks, for the error.
        generator: What came.
        device: Where ids and embeddings are.
    """
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        expected = "a torch.Generator, such as torch.Generator().manual_seed(0), or None"
        raise invalid(owner, "generator", expected, short(generator))
    if generator.device.type != device.type:
        raise invalid(owner, "generator", f"on {device.type}, as the ids are", generator.device)


def reverse_gradient(x: Tensor) -> Tensor:
    """`x` itself, whose gradient is reversed: what lowers a loss raises it instead."""
    return 2 * x.detach() - x


def uniform(
    size: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws from [0, 1), of a type that does not depend on torch's default.

    The numbers are those of :func:`torch.rand`, which cannot be compiled for batches of any size.
    """
    return torch.empty(size, dtype=dtype, device=device).uniform_(generator=generator)
