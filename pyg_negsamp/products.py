"""Products of rows, and cosines, with gradients written out: fewer passes than autograd makes.

| function                        | users    | items                   | products |
|---------------------------------|----------|-------------------------|----------|
| `dot`, `cosine`                 | `[B, D]` | `[B, K, D]`             | `[B, K]` |
| `shared_cosine`                 | `[B, D]` | `[K, D]`                | `[B, K]` |
| `dot_in_table`, `cosine_in_table` | `[B, D]` | `[I, D]`, ids `[B, K]` | `[B, K]` |
| `products_at`, without gradient | `[B, D]` | `[I, D]`, ids `[B, K]`  | `[B, K]` |

Those in a table gather no rows: they are a sampled dense-dense product, on CPU, with `K <= I`.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from pyg_negsamp.csr import csr
from pyg_negsamp.numerics import wide

#: Length below which a vector counts as having none, as in :func:`torch.nn.functional.normalize`.
LEAST = 1e-12
#: Items per row below which a matrix product takes up to three times as long as the sums.
FEW = 8


def dot(user: Tensor, item: Tensor) -> Tensor:
    """Dot products of users and the items in their rows.

    Args:
        user: `[B, D]`.
        item: `[B, K, D]`.

    Returns:
        `[B, K]`.
    """
    user, item = wide(user), wide(item)
    if item.size(1) < FEW:
        return torch.linalg.vecdot(user.unsqueeze(1), item)
    return torch.bmm(item, user.unsqueeze(2)).squeeze(2)


def cosine(user: Tensor, item: Tensor) -> Tensor:
    """Cosines of users and the items in their rows; arguments and result as of :func:`dot`.

    The same as :func:`dot` of normalised vectors, in a quarter of the passes over `item`: with
    `K` in the hundreds, these are what a step takes its time for.
    """
    return _Cosine.apply(wide(user), wide(item))


def shared_cosine(user: Tensor, item: Tensor) -> Tensor:
    """Cosines of users `[B, D]` with items `[K, D]` that all of them share: `[B, K]`."""
    cosines: Tensor = _SharedCosine.apply(user, item)
    return cosines


def dot_in_table(user: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """Dot products of users `[B, D]` with rows `[B, K]` of a table `[I, D]`: `[B, K]`."""
    products: Tensor = _InTable.apply(user, items, index)
    return products


def cosine_in_table(user: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """Cosines; arguments and result as of :func:`dot_in_table`."""
    cosines: Tensor = _CosineInTable.apply(user, items, index)
    return cosines


def products_at(user: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """Dot products `[B, M]` by a sampled dense-dense product, without gradient, on CPU.

    It reads the item rows where they lie, and copies none. It has no room for more entries than
    the dense product has: `M <= I`.
    """
    num_rows, num_candidates = index.shape
    pointer = torch.arange(num_rows + 1, device=index.device) * num_candidates
    zeros = user.new_zeros(index.numel())
    pattern = csr(pointer, index.reshape(-1), zeros, (num_rows, items.size(0)))
    products = torch.sparse.sampled_addmm(pattern, user, items.t(), beta=0.0)
    return products.values().view(num_rows, num_candidates)


class _Cosine(torch.autograd.Function):
    """With `c = u.n / (|u| |n|)`: the gradient to `n` is `(u / |u| - c n / |n|) / |n|`."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor) -> Tensor:
        user_norm = torch.linalg.vector_norm(user, dim=1, keepdim=True)
        item_norm = torch.linalg.vector_norm(item, dim=2)
        direction = user / user_norm.clamp(min=LEAST)
        cosines = dot(direction, item).div_(item_norm.clamp(min=LEAST))
        ctx.save_for_backward(direction, item, user_norm, item_norm, cosines)
        return cosines

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        direction, item, user_norm, item_norm, cosines = ctx.saved_tensors
        length = item_norm.clamp(min=LEAST)
        scaled = grad / length
        to_user = to_item = None
        # A vector at the least length has nothing to be normalised by: its norm is a constant.
        fixed = (user_norm <= LEAST, item_norm <= LEAST)
        along = grad * cosines
        few = item.size(1) < FEW
        if ctx.needs_input_grad[0]:
            if few:
                to_user = (scaled.unsqueeze(2) * item).sum(dim=1)
            else:
                to_user = torch.bmm(scaled.unsqueeze(1), item).squeeze(1)
            shrink = along.sum(1, keepdim=True).masked_fill_(fixed[0], 0)
            to_user.addcmul_(shrink, direction, value=-1).div_(user_norm.clamp(min=LEAST))
        if ctx.needs_input_grad[1]:
            shrink = (along / length.square()).masked_fill_(fixed[1], 0)
            to_item = item * shrink.neg_().unsqueeze(2)
            if few:
                to_item.addcmul_(scaled.unsqueeze(2), direction.unsqueeze(1))
            else:
                to_item.baddbmm_(scaled.unsqueeze(2), direction.unsqueeze(1))
        return to_user, to_item


class _SharedCosine(torch.autograd.Function):
    """As :class:`_Cosine`, of rows that all users share: nothing is as large as `[B, K, D]`."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor) -> Tensor:
        norms = [torch.linalg.vector_norm(x, dim=1, keepdim=True) for x in (user, item)]
        user, item = user / norms[0].clamp(min=LEAST), item / norms[1].clamp(min=LEAST)
        ctx.save_for_backward(user, item, *norms)
        return user @ item.t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        user, item, *norms = ctx.saved_tensors
        grad = grad.to(user.dtype)  # products are in half precision under autocast
        to_user = to_item = None
        if ctx.needs_input_grad[0]:
            to_user = _across(grad @ item, user, norms[0])
        if ctx.needs_input_grad[1]:
            to_item = _across(grad.t() @ user, item, norms[1])
        return to_user, to_item


class _InTable(torch.autograd.Function):
    """Products of rows `[B, D]` with the rows of a table `[I, D]` that ids `[B, K]` name."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, items: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(user, items, index)
        return products_at(user, items, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        user, items, index = ctx.saved_tensors
        to_user, to_items, _ = ctx.needs_input_grad
        return (
            _sum_by_row(grad, items, index) if to_user else None,
            _sum_by_item(grad, user, index, len(items)) if to_items else None,
            None,
        )


class _CosineInTable(torch.autograd.Function):
    """The same of cosines, as :class:`_Cosine`: norms are divided out of scores, not of rows."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, items: Tensor, index: Tensor) -> Tensor:
        user_norm = torch.linalg.vector_norm(user, dim=1, keepdim=True)
        item_norm = torch.linalg.vector_norm(items, dim=1)
        direction = user / user_norm.clamp(min=LEAST)
        length = item_norm.clamp(min=LEAST)[index]
        cosines = products_at(direction, items, index).div_(length)
        ctx.save_for_backward(direction, items, index, user_norm, item_norm, length, cosines)
        return cosines

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        direction, items, index, user_norm, item_norm, length, cosines = ctx.saved_tensors
        scaled = grad / length
        to_user = to_items = None
        if ctx.needs_input_grad[0]:
            to_user = _across(_sum_by_row(scaled, items, index), direction, user_norm)
        if ctx.needs_input_grad[1]:
            to_items = _sum_by_item(scaled, direction, index, len(items))
            # What would change the length changes nothing, unless there is no length.
            along = torch.zeros_like(item_norm)
            along.index_add_(0, index.flatten(), (scaled * cosines).flatten())
            shrink = (along / item_norm.clamp(min=LEAST)).masked_fill_(item_norm <= LEAST, 0)
            to_items.addcmul_(items, shrink.unsqueeze(1), value=-1)
        return to_user, to_items, None


def _sum_by_row(weight: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """For each row `[B, D]`, the sum of its items' rows `[I, D]`, weighted by `[B, K]`."""
    return embedding_bag(index, items, per_sample_weights=weight, mode="sum")


def _sum_by_item(weight: Tensor, user: Tensor, index: Tensor, num_items: int) -> Tensor:
    """For each item `[I, D]`, the sum of rows `[B, D]`, weighted by `[B, K]` where it stands."""
    pointer = torch.arange(len(user) + 1, device=index.device) * index.size(1)
    entries = (weight.flatten().numpy(), index.flatten().numpy(), pointer.numpy())
    # Sorted by item, so that every row of the result is written once.
    by_item = csr_array(entries, shape=(len(user), num_items)).tocsc()
    row, start, value = map(torch.from_numpy, (by_item.indices, by_item.indptr, by_item.data))
    return embedding_bag(
        row, user, start, per_sample_weights=value, mode="sum", include_last_offset=True
    )


def _across(grad: Tensor, direction: Tensor, norm: Tensor) -> Tensor:
    """The gradient `[N, D]` to vectors of that direction and length, from that to the direction.

    What would change the length changes nothing, unless there is no length.
    """
    along = torch.linalg.vecdot(grad, direction).unsqueeze(1).masked_fill_(norm <= LEAST, 0)
    return torch.addcmul(grad, along, direction, value=-1).div_(norm.clamp(min=LEAST))
