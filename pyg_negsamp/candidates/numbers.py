"""Random whole numbers below a limit of each row: what every draw starts with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence
from torch import Tensor

from pyg_negsamp.numerics import uniform

#: Numbers so small that a float64 has random bits enough for two of them.
SMALL = 2**20


def integers_below(limit: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws `[B, num]` integers, row b uniform in `[0, limit[b])`, for `limit [B, 1]`.

    A float64 in [0, 1) has 53 random bits: for limits up to 2**53 the product stays below the
    limit, and no value is favoured by more than `limit / 2**53` relative.
    """
    return random_doubles((limit.size(0), num), limit.device, generator).mul_(limit).long()


def small_integers_below(
    limit: Tensor, num: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draws as :func:`integers_below`, int32 and faster, on CPU and for limits up to `SMALL`.

    What is behind the product's point is random still, and makes a second integer. No value is
    favoured by more than `limit**2 / 2**53` relative, about a ten-thousandth at most.
    """
    limit, half = limit.double(), (num + 1) // 2
    unit = random_doubles((limit.size(0), half), limit.device, generator).mul_(limit)
    number = torch.empty(limit.size(0), num, dtype=torch.int32, device="cpu")
    number[:, :half] = unit
    number[:, half:] = unit.frac_().mul_(limit)[:, : num - half]
    return number


def random_doubles(
    size: tuple[int, int], device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draws float64 in [0, 1)."""
    if device.type != "cpu":
        return uniform(size, torch.float64, device, generator)
    # Torch's generator says where to start; numpy's is three times as fast from there.
    start: Any = _StartOf(generator)  # numpy's types know only its own class
    return torch.from_numpy(np.random.Generator(np.random.SFC64(start)).random(size))


class _StartOf(ISeedSequence):
    """Starts a generator of numpy's with words of torch's; numpy's hash of a seed takes longer."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray[Any, Any]:
        """Random words, of which numpy asks for as many as it needs."""
        word = torch.randint(
            -(2**63), 2**63 - 1, (n_words,), generator=self.generator, device="cpu"
        )
        return word.numpy().view(dtype)[:n_words]
