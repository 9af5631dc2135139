"""Propagation over the training graph, with a backward that costs no more than the forward.

The normalised adjacency of a bipartite graph is symmetric, so the gradient of `A @ x` is
`A @ grad`: the same matrix, never transposed. Training reads few rows, from several layers.
With `X_l = A_l X_{l-1}` and the sparse gradients `G_l` of the rows read at layer `l`,

    dX_0 = G_0 + A_1 (G_1 + A_2 (G_2 + ... + A_L G_L))                (Horner)

takes `L` products and one `[N, D]` buffer, where autograd through stacked layer tables needs
a buffer per layer and a dense gradient for each. The matrices of the layers are usually one
and the same; in a random walk (SGL) they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from pyg_negsamp.csr import csr
from pyg_negsamp.layers import gather_rows
from pyg_negsamp.numerics import wide


def multiply(adjacency: Tensor, x: Tensor) -> Tensor:
    """`adjacency @ x`, without gradient.

    On CPU a weighted sum over bags: the same sums in the same order as the sparse product, but
    torch fetches the next rows ahead of time, and knows half precision.

    Args:
        adjacency: Sparse CSR `[N, N]`.
        x: `[N, D]`.
    """
    values = adjacency.values().to(x.dtype)
    if x.device.type != "cpu":
        size = (len(x), len(x))
        return csr(adjacency.crow_indices(), adjacency.col_indices(), values, size) @ x
    return embedding_bag(
        adjacency.col_indices(),
        x.detach(),
        adjacency.crow_indices(),
        mode="sum",
        per_sample_weights=values,
        include_last_offset=True,
    )


class _Propagate(torch.autograd.Function):
    """`A @ x` for symmetric `A`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return multiply(adjacency, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Propagate.apply(grad, ctx.adjacency), None


def propagate_once(x: Tensor, adjacency: Tensor) -> Tensor:
    """`A @ x` for a symmetric sparse CSR matrix `[N, N]`, differentiable towards `x [N, D]`."""
    return _Propagate.apply(x, adjacency)


def propagate(
    x: Tensor,
    adjacencies: Sequence[Tensor],
    then: Callable[[Tensor], Tensor] | None = None,
) -> list[Tensor]:
    """All layers `X_0 = x, X_l = A_l X_{l-1}`: `L + 1` tensors `[N, D]`, differentiable.

    Args:
        x: `[N, D]` ego embeddings.
        adjacencies: `L` symmetric sparse CSR matrices `[N, N]`, first layer first.
        then: Applied to every layer above the first, before the next reads it: dropout, noise.
    """
    xs = [x]
    for adjacency in adjacencies:
        x = propagate_once(x, adjacency)
        xs.append(x := then(x) if then else x)
    return xs


Tables: TypeAlias = tuple[Sequence[Tensor], Sequence[Tensor]]


def _note(
    ctx: Any, x: Tensor, adjacencies: Sequence[Tensor], tables: Tables, scale: Tensor | None
) -> None:
    """Keeps what :func:`_towards_ego` needs."""
    ctx.adjacencies, ctx.size, ctx.num_users = adjacencies, x.size(), tables[0][0].size(0)
    ctx.scale = scale


class _ReadRows(torch.autograd.Function):
    """Rows of users and items out of finished tables, with Horner's backward towards `x`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        adjacencies: Sequence[Tensor],
        tables: Tables,
        user: Tensor,
        item: Tensor,
        scale: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        _note(ctx, x, adjacencies, tables, scale)
        ctx.save_for_backward(user, item)
        return gather_rows(tables[0], user), gather_rows(tables[1], item)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, user_grad: Tensor, item_grad: Tensor
    ) -> tuple[Tensor, None, None, None, None, None]:
        user, item = ctx.saved_tensors
        if ctx.scale is not None:
            scale = ctx.scale.to(user_grad).view(-1, 1)
            user_grad, item_grad = user_grad * scale, item_grad * scale

        def add(users: Tensor, items: Tensor, layer: int) -> None:
            _add_rows(users, user, user_grad, layer)
            _add_rows(items, item, item_grad, layer)

        return _towards_ego(ctx, user_grad, add), None, None, None, None, None


class _ReadRowsAndItems(torch.autograd.Function):
    """The same, with the items' tables as they are in the place of rows of them."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        adjacencies: Sequence[Tensor],
        tables: Tables,
        user: Tensor,
        scale: Tensor | None,
    ) -> tuple[Tensor, ...]:
        _note(ctx, x, adjacencies, tables, scale)
        ctx.save_for_backward(user)
        ctx.set_materialize_grads(False)  # some poolings read a single layer
        return gather_rows(tables[0], user), *(items.view_as(items) for items in tables[1])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, user_grad: Tensor, *item_grads: Tensor | None
    ) -> tuple[Tensor, None, None, None, None]:
        (user,) = ctx.saved_tensors
        scale = None if ctx.scale is None else ctx.scale.to(user_grad)
        if scale is not None:
            user_grad = user_grad * scale.view(-1, 1)

        def add(users: Tensor, items: Tensor, layer: int) -> None:
            _add_rows(users, user, user_grad, layer)
            if (grad := item_grads[layer]) is not None:
                items += grad if scale is None else grad * scale[layer]

        return _towards_ego(ctx, user_grad, add), None, None, None, None


def _towards_ego(ctx: Any, grad: Tensor, add: Callable[[Tensor, Tensor, int], None]) -> Tensor:
    """Horner's scheme: the gradient to `x`, where `add` adds those of a layer's users and items.

    Args:
        ctx: Of the function whose backward it is.
        grad: `[B, H, D]` any gradient of rows.
        add: Called with the users' and the items' part of the sum, and the number of the layer
            among the `H`, highest first.
    """
    num_layers = len(ctx.adjacencies)
    first = num_layers + 1 - grad.size(1)  # the lowest layer that the tables hold
    # In single precision at least: what many rows of a batch add to one node is a large sum.
    out = wide(grad.new_zeros(ctx.size))
    for layer in range(num_layers, -1, -1):
        if layer >= first:
            add(out[: ctx.num_users], out[ctx.num_users :], layer - first)
        if layer:
            out = multiply(ctx.adjacencies[layer - 1], out)
    return out.to(grad.dtype)


def _add_rows(out: Tensor, index: Tensor, grad: Tensor, layer: int) -> None:
    """Adds `grad[:, layer]` to rows `index` (`[R]`, or `[R, H]`) of `out`, in place."""
    row = index[:, layer] if index.dim() == 2 else index
    # An expanded index takes torch's row-wise scatter on CPU, but only if rows lie side by side.
    of_layer = grad[:, layer].to(out.dtype).contiguous()
    out.scatter_add_(0, row.unsqueeze(1).expand(-1, out.size(1)), of_layer)


def read_rows(
    x: Tensor,
    adjacencies: Sequence[Tensor],
    tables: Tables,
    user: Tensor,
    item: Tensor,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Reads users' and items' rows of all layers in one operation, differentiable towards `x`.

    Same values and gradients as :func:`propagate` followed by a gather, at the cost of `L`
    products in the backward, and one buffer. Noise that was added to the layers passes no
    gradient and needs no mention here.

    Args:
        x: `[N, D]` ego embeddings, users before items, which receive the gradient.
        adjacencies: `L` symmetric sparse CSR matrices `[N, N]`; none if there is only layer 0.
        tables: The `H` highest of the layers `0..L` computed from `x`, for users (`H` tensors
            `[U, D]`) and for items. No gradient flows through them.
        user: `[B]` user ids.
        item: `[R]` item ids, or `[R, H]` with an id per layer.
        scale: What the layers in `tables` were multiplied with, `[H]`. Default: nothing.

    Returns:
        `[B, H, D]` and `[R, H, D]`.
    """
    return _ReadRows.apply(x, adjacencies, tables, user, item, scale)


def read_rows_and_items(
    x: Tensor,
    adjacencies: Sequence[Tensor],
    tables: Tables,
    user: Tensor,
    scale: Tensor | None = None,
) -> tuple[Tensor, Sequence[Tensor]]:
    """Reads users' rows, and all items', in one operation; arguments as of :func:`read_rows`.

    Returns:
        `[B, H, D]`, and `H` tensors `[I, D]`, which are the tables themselves.
    """
    rows, *items = _ReadRowsAndItems.apply(x, adjacencies, tables, user, scale)
    return rows, items
