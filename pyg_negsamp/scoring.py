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
from typing import Literal, TypeAlias, TypeVar, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.errors import invalid, short
from pyg_negsamp.layers import rows_at
from pyg_negsamp.numerics import unit_rows, wide
from pyg_negsamp.products import (
    cosine,
    cosine_in_table,
    dot,
    dot_in_table,
    products_at,
    shared_cosine,
)

Similarity: TypeAlias = Literal["dot", "cosine"]
#: Their names.
SIMILARITIES: tuple[str, ...] = get_args(Similarity)
#: How a user and an item become a number: `'dot'`, `'cosine'`, or a function (or a module, such as
#: a decoder) from rows of users `[B, D]` and of items `[B, K, D]` to `[B, K]`.
Score: TypeAlias = Similarity | Callable[[Tensor, Tensor], Tensor]
Decoder = TypeVar("Decoder", bound=Callable[[Tensor, Tensor], Tensor])
#: Rows per item, those of all layers counted, from which scoring in the table is faster than copies
#: (measured: docs/performance.md).
MANY = 1.5
#: Bytes of candidate rows read at a time on CPU: small enough to stay in a core's cache.
BLOCK_BYTES = 2**22
#: Bytes of item rows that a decoder gets at a time, which makes more of them.
DECODED_BYTES = 2**26


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
        return shared_cosine(user, item)
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
    if callable(score) or (score == "cosine" and wide(user) is not user):
        pairs = similarity_of(score)
        return rows_in_blocks(candidates, (items,), lambda block, rows: pairs(user[block], rows))
    if score == "cosine":
        user, items = unit_rows(user), unit_rows(items)
    on_cpu = user.device.type == "cpu" and user.dtype in (torch.float32, torch.float64)
    # Compiled code reads rows where they lie by itself, and knows no sparse tensors.
    if on_cpu and not torch.compiler.is_compiling() and candidates.size(1) <= len(items):
        return products_at(user, items, candidates)
    return rows_in_blocks(candidates, (items,), lambda block, rows: dot(user[block], rows))


def scores_where_they_lie(
    user: Tensor, items: Tensor, index: Tensor, score: Score, layers: int = 1
) -> bool:
    """Whether :func:`table_scores` can, and is faster than copies: arguments are those.

    Copies would be rows of all layers, of which the table is the pooled one.
    """
    return (
        not callable(score)
        and index.numel() * layers >= MANY * len(items)
        and index.size(1) <= len(items)
        and user.device.type == "cpu"
        and user.dtype == items.dtype
        and user.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def table_scores(user: Tensor, items: Tensor, index: Tensor, score: Similarity = "dot") -> Tensor:
    """Scores of users with items where their rows lie, with gradient, on CPU.

    The same as gathering `items[index]` and scoring these, without anything as large as
    `[B, K, D]`: what it brings to whole steps is in docs/performance.md.

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
    return (cosine_in_table if score == "cosine" else dot_in_table)(user, items, index)


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
    scores = [score(block, *(rows_at(x, candidates[block]) for x in tables)) for block in blocks]
    return torch.cat(scores) if scores else tables[0].new_empty(0, num_candidates)
