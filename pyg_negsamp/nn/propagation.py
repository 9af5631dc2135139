"""Propagation over the training graph, with a backward that costs no more than the forward.

The normalised adjacency of a bipartite graph is symmetric, so the gradient of `A @ x` is
`A @ grad`: the same matrix, never transposed. Training reads few rows, from all `L + 1`
layers. With `X_l = A X_{l-1}` and the sparse gradients `G_l` of the rows read at layer `l`,

    dX_0 = G_0 + A (G_1 + A (G_2 + ... + A G_L))                      (Horner)

takes `L` products and one `[N, D]` buffer, where autograd through stacked layer tables needs
a buffer per layer and a dense gradient for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_negsamp.graph import Links
from pyg_negsamp.nn.csr import csr
from pyg_negsamp.nn.pooling import gather_rows


class Adjacency(torch.nn.Module):
    r"""The symmetric matrix :math:`D^{-1/2} A D^{-1/2}` of LightGCN, users before items.

    The entry of a link is :math:`1 / \sqrt{\deg(u) \deg(i)}`, as PyG's `LGConv` computes it;
    repeated links count repeatedly; isolated nodes have empty rows. Not part of any
    `state_dict`: it is rebuilt from the training graph.

    Args:
        links: The training links; the matrix is `[N, N]` with `N = U + I`.
    """

    pointer: Tensor
    column: Tensor
    value: Tensor

    def __init__(self, links: Links) -> None:
        super().__init__()
        self.num_nodes = num_nodes = links.num_users + links.num_items
        user, item = links.index[0], links.index[1] + links.num_users
        row, column = torch.cat([user, item]), torch.cat([item, user])
        weight = torch.bincount(row, minlength=num_nodes).clamp(min=1).double().rsqrt()

        key, count = torch.unique(row * num_nodes + column, return_counts=True)
        row, column = key // num_nodes, key % num_nodes
        value = (weight[row] * weight[column] * count).to(torch.get_default_dtype())
        pointer = torch.bincount(row, minlength=num_nodes).cumsum(0)
        pointer = torch.nn.functional.pad(pointer, (1, 0))
        if max(num_nodes, key.numel()) < 2**31:  # half the index traffic
            pointer, column = pointer.int(), column.int()
        # Dense parts rather than one sparse buffer, which `copy.deepcopy` cannot copy.
        self.register_buffer("pointer", pointer, persistent=False)
        self.register_buffer("column", column, persistent=False)
        self.register_buffer("value", value, persistent=False)

    def forward(self) -> Tensor:
        """The matrix, sparse CSR `[N, N]`, over the module's buffers."""
        return csr(self.pointer, self.column, self.value, (self.num_nodes, self.num_nodes))


class _Propagate(torch.autograd.Function):
    """`A @ x` for symmetric `A`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return adjacency @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Propagate.apply(grad, ctx.adjacency), None


def propagate(x: Tensor, adjacency: Tensor, num_layers: int) -> list[Tensor]:
    """All layers `X_0 = x, X_l = A X_{l-1}`: `num_layers + 1` tensors `[N, D]`, differentiable.

    Args:
        x: `[N, D]` ego embeddings.
        adjacency: Symmetric sparse CSR `[N, N]`.
        num_layers: `L`.
    """
    xs = [x]
    for _ in range(num_layers):
        xs.append(_Propagate.apply(xs[-1], adjacency))
    return xs


Tables: TypeAlias = tuple[Sequence[Tensor], Sequence[Tensor]]


class _ReadRows(torch.autograd.Function):
    """Rows of users and items out of finished tables, with Horner's backward towards `x`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, adjacency: Tensor | None, tables: Tables, user: Tensor, item: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.adjacency, ctx.size, ctx.num_users = adjacency, x.size(), tables[0][0].size(0)
        ctx.save_for_backward(user, item)
        return gather_rows(tables[0], user), gather_rows(tables[1], item)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, user_grad: Tensor, item_grad: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        user, item = ctx.saved_tensors
        out = user_grad.new_zeros(ctx.size)
        for layer in range(user_grad.size(1) - 1, -1, -1):
            _add_rows(out[: ctx.num_users], user, user_grad, layer)
            _add_rows(out[ctx.num_users :], item, item_grad, layer)
            if layer:
                out = ctx.adjacency @ out
        return out, None, None, None, None


def _add_rows(out: Tensor, index: Tensor, grad: Tensor, layer: int) -> None:
    """Adds `grad[:, layer]` to rows `index` (`[R]`, or `[R, H]`) of `out`, in place."""
    row = index[:, layer] if index.dim() == 2 else index
    # An expanded index takes torch's row-wise scatter: on CPU ten times faster than index_add_.
    out.scatter_add_(0, row.unsqueeze(1).expand(-1, out.size(1)), grad[:, layer])


def read_rows(
    x: Tensor, adjacency: Tensor | None, tables: Tables, user: Tensor, item: Tensor
) -> tuple[Tensor, Tensor]:
    """Reads users' and items' rows of all layers in one operation, differentiable towards `x`.

    Same values and gradients as :func:`propagate` followed by a gather, at the cost of `L`
    products in the backward, and one buffer.

    Args:
        x: `[N, D]` ego embeddings, users before items, which receive the gradient.
        adjacency: Symmetric sparse CSR `[N, N]`; `None` if there is only layer 0.
        tables: The layers `0..L` computed from `x`, for users (`H` tensors `[U, D]`) and for
            items. No gradient flows through them.
        user: `[B]` user ids.
        item: `[R]` item ids, or `[R, H]` with an id per layer.

    Returns:
        `[B, H, D]` and `[R, H, D]`.
    """
    return _ReadRows.apply(x, adjacency, tables, user, item)
