"""Sparse CSR tensors, made in microseconds and without remarks."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.graph import known_links
from pyg_negsamp.ragged import entries_of

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
    return torch.sparse_csr_tensor(
        pointer, column, value, size, device=value.device, check_invariants=False
    )


def binary_matrix(data: HeteroData, edge_type: EdgeType | None) -> Tensor:
    """Who has seen what, sparse CSR `[U, I]` of ones, on CPU."""
    links = known_links(data, edge_type)
    size = (links.num_users, links.num_items)
    user, item = coalesce(links.index.cpu(), num_nodes=max(size))
    pointer = torch.bincount(user, minlength=size[0]).cumsum(0)
    return csr(torch.nn.functional.pad(pointer, (1, 0)), item, torch.ones(len(item)), size)


def dense_rows(matrix: Tensor, row: Tensor) -> Tensor:
    """Rows `[b]` of a sparse CSR matrix `[N, I]`, dense `[b, I]`."""
    pointer = matrix.crow_indices()
    into, entry = entries_of(pointer[row], pointer[row + 1] - pointer[row])
    dense = matrix.values().new_zeros(len(row), matrix.size(1))
    dense[into, matrix.col_indices()[entry]] = matrix.values()[entry]
    return dense
