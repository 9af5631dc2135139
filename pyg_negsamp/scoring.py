"""Every score of the library: of pairs, of candidates, of all items; dot products and cosines.

Scores of tables in half precision are in single precision, see :mod:`pyg_negsamp.numerics`.

| function           | users      | items                 | scores    | gradient |
|--------------------|------------|-----------------------|-----------|----------|
| `dot`, `cosine`    | `[B, D]`   | `[B, K, D]`           | `[B, K]`  | yes      |
| `candidate_scores` | `[B, D]`   | `[I, D]`, ids `[B, M]` | `[B, M]` | no       |
| `table_scores`     | `[B, D]`   | `[I, D]`, ids `[B, K]` | `[B, K]` | yes      |
| `shared_scores`    | `[B, D]`   | `[K, D]`              | `[B, K]`  | yes      |
| `all_scores`       | `[b, D]`   | `[I, D]`              | `[b, I]`  | yes      |
| `scores_by`        | ids `[b]`  | `[I, D]`              | `[b, I]`  | no       |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, normalize

from pyg_negsamp.csr import csr
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.numerics import unit_rows, wide

Similarity: TypeAlias = Literal["dot", "cosine"]
#: How a user and an item become a number: `'dot'`, `'cosine'`, or a function (or a module, such as
#: a decoder) from rows of users `[B, D]` and of items `[B, K, D]` to `[B, K]`.
Score: TypeAlias = Similarity | Callable[[Tensor, Tensor], Tensor]
Decoder = TypeVar("Decoder", bound=Callable[[Tensor, Tensor], Tensor])
#: Length below which a vector counts as having none, as in :func:`torch.nn.functional.normalize`.
LEAST = 1e-12
#: Items per row below which a matrix product takes up to three times as long as the sums.
FEW = 8
#: Ids per item of a table from which scoring in it is faster than copying rows out of it.
MANY = 2
#: Bytes of candidate rows read at a time on CPU: small enough to stay in a core's cache.
BLOCK_BYTES = 2**22
#: Bytes of item rows that a decoder gets at a time, which makes more of them.
DECODED_BYTES = 2**26


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


def similarity_of(score: Score) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of pairs, `[B, D]` and `[B, K, D]` to `[B, K]`, that a score is."""
    if callable(score):
        return partial(_scored_by, score)
    return cosine if score == "cosine" else dot


def _scored_by(score: Callable[[Tensor, Tensor], Tensor], user: Tensor, item: Tensor) -> Tensor:
    """Somebody's own score, `[B, K]` or refused: another shape would rank without a word."""
    scores = score(user, item)
    if not isinstance(scores, Tensor) or scores.shape != item.shape[:2]:
        size = [*item.shape[:2]]
        expected = f"a function of rows {[*user.shape]} and {[*item.shape]} that gives {size}"
        raise invalid("score", "score", expected, short(scores))
    return scores


def shared_scores(score: Score, user: Tensor, item: Tensor) -> Tensor:
    """Scores of users with the same items for all: by one product, unless a decoder scores.

    Args:
        score: Which score.
        user: `[B, D]`.
        item: `[K, D]`.

    Returns:
        `[B, K]`.
    """
    if callable(score):
        return _scored_by(score, user, item.expand(len(user), *item.shape))
    user, item = wide(user), wide(item)
    if score == "cosine":
        cosines: Tensor = _SharedCosine.apply(user, item)
        return cosines
    return user @ item.t()


def ranking_tables(pooled: Tensor, similarity: str) -> Tensor:
    """Vectors `[N, D]` whose dot products are the scores: normalised ones for cosines."""
    pooled = wide(pooled)
    return normalize(pooled, dim=-1) if similarity == "cosine" else pooled


def all_scores(user: Tensor, items: Tensor) -> Tensor:
    """Dot products of users `[b, D]` with every item of a table `[I, D]`: `[b, I]`."""
    return user @ items.t()


def scores_by(
    score: Callable[[Tensor, Tensor], Tensor], users: Tensor, items: Tensor
) -> Callable[[Tensor], Tensor]:
    """The scores of all items by a decoder, some users at a time, without gradient.

    Args:
        score: From rows `[B, D]` and `[B, K, D]` to `[B, K]`; a module is asked in evaluation mode.
        users: `[U, D]`.
        items: `[I, D]`.

    Returns:
        A function from user ids `[b]` to scores `[b, I]`.
    """
    users, items, score = wide(users), wide(items), wide_decoder(score)
    pairs = similarity_of(score)
    step = max(1, DECODED_BYTES // max(1, items.numel() * items.element_size()))

    @torch.no_grad()
    def of(user: Tensor) -> Tensor:
        with settled(score):
            parts = [
                pairs(users[ids], items.expand(len(ids), *items.shape)) for ids in user.split(step)
            ]
        return torch.cat(parts) if parts else users.new_empty(0, len(items))

    return of


def wide_decoder(score: Decoder) -> Decoder:
    """A decoder in single precision if it is in half, where many scores would be equal."""
    if isinstance(score, torch.nn.Module) and any(wide(x) is not x for x in score.parameters()):
        return copy.deepcopy(score).float()
    return score


@contextmanager
def settled(score: object) -> Iterator[None]:
    """A module in evaluation mode meanwhile, then every part as it was; anything else as it is."""
    if not isinstance(score, torch.nn.Module):
        yield
        return
    modes = [(part, part.training) for part in score.modules()]
    score.eval()
    try:
        yield
    finally:
        score.train(modes[0][1])  # for those who do something about it
        for part, training in modes:  # a frozen part stays frozen
            part.training = training


def candidate_scores(
    user: Tensor, items: Tensor, candidates: Tensor, score: Score = "dot"
) -> Tensor:
    """Scores of users with their candidates, without gradient.

    Args:
        user: `[B, D]` user rows.
        items: `[I, D]` item table.
        candidates: `[B, M]` item ids.
        score: Which score. Default: the dot product.

    Returns:
        `[B, M]`.
    """
    if callable(score):
        pairs = similarity_of(score)
        return rows_in_blocks(candidates, (items,), lambda block, rows: pairs(user[block], rows))
    if score == "cosine":
        user, items = unit_rows(user), unit_rows(items)
    on_cpu = user.device.type == "cpu" and user.dtype in (torch.float32, torch.float64)
    # Compiled code reads rows where they lie by itself, and knows no sparse tensors.
    if on_cpu and not torch.compiler.is_compiling() and candidates.size(1) <= len(items):
        return _products_at(user, items, candidates)
    return rows_in_blocks(candidates, (items,), lambda block, rows: dot(user[block], rows))


def _products_at(user: Tensor, items: Tensor, index: Tensor) -> Tensor:
    """Dot products `[B, M]` by a sampled dense-dense product, without gradient, on CPU.

    It reads the item rows where they lie, and copies none. It has no room for more entries than
    the dense product has: `M <= I`.
    """
    num_rows, num_candidates = index.shape
    pointer = torch.arange(num_rows + 1) * num_candidates
    zeros = user.new_zeros(index.numel())
    pattern = csr(pointer, index.reshape(-1), zeros, (num_rows, items.size(0)))
    products = torch.sparse.sampled_addmm(pattern, user, items.t(), beta=0.0)
    return products.values().view(num_rows, num_candidates)


def scores_where_they_lie(user: Tensor, items: Tensor, index: Tensor, score: Score) -> bool:
    """Whether :func:`table_scores` can, and is faster than copies: arguments are those."""
    return (
        not callable(score)
        and index.numel() >= MANY * len(items)
        and index.size(1) <= len(items)
        and user.device.type == "cpu"
        and user.dtype == items.dtype
        and user.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def table_scores(user: Tensor, items: Tensor, index: Tensor, score: Similarity = "dot") -> Tensor:
    """Scores of users with items where their rows lie, with gradient, on CPU.

    The same as gathering `items[index]` and scoring these, without anything as large as
    `[B, K, D]`: with 64 negatives per row a tenth of the time, see docs/performance.md.

    Args:
        user: `[B, D]`.
        items: `[I, D]` the whole table.
        index: `[B, K]` item ids, `K <= I`.
        score: Which score. Default: the dot product.

    Returns:
        `[B, K]`.
    """
    least, most = (int(x) for x in index.aminmax())
    if least < 0 or most >= len(items):
        expected = f"item ids in [0, {len(items)})"
        raise invalid("table_scores", "index", expected, least if least < 0 else most)
    scores: Tensor = (_CosineInTable if score == "cosine" else _InTable).apply(user, items, index)
    return scores


def rows_in_blocks(
    candidates: Tensor, tables: Sequence[Tensor], score: Callable[..., Tensor]
) -> Tensor:
    """Applies `score` to the candidates' rows, so many at a time as stay in the cache.

    Args:
        candidates: `[B, M]` item ids.
        tables: Tables `[I, D]` to read their rows from.
        score: Called with a slice of `0..B` and, for each table, the rows `[b, M, D]` of the
            candidates in that slice; returns `[b, M]`.

    Returns:
        `[B, M]`.
    """
    num_rows, num_candidates = candidates.shape
    step = max(num_rows, 1)
    if candidates.device.type == "cpu" and not torch.compiler.is_compiling():
        row_bytes = num_candidates * sum(x.size(1) * x.element_size() for x in tables)
        step = max(1, BLOCK_BYTES // row_bytes)
    blocks = [slice(start, start + step) for start in range(0, num_rows, step)]
    scores = [score(block, *(x[candidates[block]] for x in tables)) for block in blocks]
    return torch.cat(scores) if scores else tables[0].new_empty(0, num_candidates)


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
        return _products_at(user, items, index)

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
        cosines = _products_at(direction, items, index).div_(length)
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
    pointer = torch.arange(len(user) + 1) * index.size(1)
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
