"""The cases that every sampler is compared with its oracle on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_negsamp.testing import Toy, toy
from pyg_negsamp.testing.cases import SETTINGS

#: One layer and four, one negative and three, every pooling.
every_case = pytest.mark.parametrize(("num_layers", "num_negatives", "pool"), SETTINGS)


def problem_and_candidates(num_layers: int, num_candidates: int = 6) -> tuple[Toy, Tensor]:
    """A toy problem and `[B, M]` candidates for it, different ones in a row, so without ties."""
    draws = [
        torch.randperm(12, generator=torch.Generator().manual_seed(b))[:num_candidates]
        for b in range(9)
    ]
    return toy(num_layers, seed=1), torch.stack(draws)


def as_given(problem: Toy) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """The first arguments of `sample`, and of every oracle."""
    return problem.user, problem.pos, problem.user_xs, problem.item_xs
