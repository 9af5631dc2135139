"""A look made by hand, and the same without data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from pyg_negsamp.diagnostics import Look
from pyg_negsamp.pairs import Pairs


def look(**changes: Any) -> Look:
    """Three links of two users, all known; four items; `liked` has (0, 3) and (1, 1)."""
    made = Look(
        user=torch.tensor([0, 0, 1]),
        pos=torch.tensor([0, 1, 2]),
        candidates=torch.tensor([[2, 3], [3, 3], [1, 0]]),
        chosen=torch.tensor([[2], [3], [1]]),
        weight=None,
        pos_score=torch.tensor([3.0, 2.0, 1.0]),
        neg_score=torch.tensor([[2.0], [1.5], [0.5]]),
        chosen_score=torch.tensor([[1.0], [1.0], [0.5]]),
        candidate_score=torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.5, 0.0]]),
        unseen=torch.tensor([[2, 3], [2, 3], [0, 1]]),
        unseen_score=torch.tensor([[1.0, 0.0], [1.0, 0.0], [2.0, -2.0]]),
        users=torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
        items=torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [-1.0, 0.0]]),
        count=torch.tensor([4, 3, 2, 1]),
        known=Pairs(torch.tensor([[0, 0, 1], [0, 1, 2]]), 2, 4),
        liked=Pairs(torch.tensor([[0, 1], [3, 1]]), 2, 4),
    )
    return replace(made, **changes)


def on_meta(made: Look) -> Look:
    """The same shapes without numbers: whoever reads one back fails."""
    tensors = {
        field.name: copy.deepcopy(value).to("meta")  # a module moves in place
        for field in fields(made)
        if isinstance(value := getattr(made, field.name), Tensor | Pairs)
    }
    return replace(made, **tensors)


def reads_nothing_back(diagnostic: Callable[[Look], dict[str, Tensor]], made: Look) -> bool:
    """Whether a diagnostic gives the same names without data, each a 0-dim tensor."""
    found, expected = diagnostic(on_meta(made)), diagnostic(made)
    return found.keys() == expected.keys() and all(
        x.dim() == 0 and x.device.type == "meta" for x in found.values()
    )
