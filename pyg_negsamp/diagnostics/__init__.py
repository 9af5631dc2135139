"""What the negatives did: diagnostics that read a look at training, and never change it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pyg_negsamp.diagnostics.look import Look

#: From a look to named numbers, 0-dim tensors: nothing is read back from the device inside.
DIAGNOSTICS: dict[str, Callable[[Look], dict[str, Tensor]]] = {}

__all__ = ["DIAGNOSTICS", "Look"]
