"""What keeps numbers numbers: sums in enough bits, lengths above zero, means of nothing.

A bfloat16 has eight bits, and a float16 ends at 65504. Tables may be either. But scores, losses
and norms are calculated in single precision then; what becomes an embedding again goes back. In
single and double precision nothing changes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def wide(x: Tensor) -> Tensor:
    """`x` in single precision if it is in half; else `x` itself."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def unit_rows(x: Tensor) -> Tensor:
    """The rows of `x [..., D]` at length 1, in the type of `x`; zero stays zero."""
    return normalize(wide(x), dim=-1).to(x.dtype)


def mean(x: Tensor) -> Tensor:
    """The mean of all entries; 0 of none, where torch's is NaN."""
    return x.mean() if x.numel() else x.sum()
