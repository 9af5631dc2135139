"""Sparse CSR tensors, made in microseconds and without remarks."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch says once per process that CSR support is in beta: let it say so here.
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    torch.sparse_csr_tensor([0], [], [], (0, 0), check_invariants=False)


def csr(pointer: Tensor, column: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse matrix over the given buffers, which are neither copied nor checked.

    Args:
        pointer: `[rows + 1]` where each row starts.
        column: `[E]` column ids.
        value: `[E]` entries.
        size: Rows and columns.
    """
    return torch.sparse_csr_tensor(pointer, column, value, size, check_invariants=False)
