"""Scores of candidates, and the hardest among them: the inner loop of most samplers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyg_negsamp.nn.csr import csr
from pyg_negsamp.nn.pooling import Pool, facing_layers, pool_layers

#: Bytes of candidate rows read at a time on CPU: small enough to stay in a core's cache.
BLOCK_BYTES = 2**22


def candidate_scores(user: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """Dot products of users with their candidates, without gradient.

    Args:
        user: `[B, D]` user rows.
        items: `[I, D]` item table.
        candidates: `[B, M]` item ids.

    Returns:
        `[B, M]`.
    """
    num_rows, num_candidates = candidates.shape
    on_cpu = user.device.type == "cpu" and user.dtype in (torch.float32, torch.float64)
    if on_cpu and num_candidates <= items.size(0):
        # Sampled dense-dense product: reads the item rows where they lie, copies none. It has no
        # room for more entries than the dense product has.
        pointer = torch.arange(num_rows + 1) * num_candidates
        zeros = user.new_zeros(candidates.numel())
        pattern = csr(pointer, candidates.reshape(-1), zeros, (num_rows, items.size(0)))
        products = torch.sparse.sampled_addmm(pattern, user, items.t(), beta=0.0)
        return products.values().view(num_rows, num_candidates)
    return rows_in_blocks(
        candidates, (items,), lambda block, rows: torch.einsum("bd,bmd->bm", user[block], rows)
    )


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
    if candidates.device.type == "cpu":
        row_bytes = num_candidates * sum(x.size(1) * x.element_size() for x in tables)
        step = max(1, BLOCK_BYTES // row_bytes)
    blocks = [slice(start, start + step) for start in range(0, num_rows, step)]
    scores = [score(block, *(x[candidates[block]] for x in tables)) for block in blocks]
    return torch.cat(scores) if scores else tables[0].new_empty(0, num_candidates)


def hardest(
    user: Tensor,
    user_xs: Sequence[Tensor],
    item_xs: Sequence[Tensor],
    candidates: Tensor,
    num: int,
    pool: Pool,
) -> Tensor:
    """The `num` candidates with the highest scores, hardest first: `[B, num]` item ids.

    Args:
        user: `[B]` user ids.
        user_xs: `H` tensors `[U, D]`.
        item_xs: `H` tensors `[I, D]`.
        candidates: `[B, M]` item ids.
        num: How many to keep, `K <= M`.
        pool: How layers become the scoring embedding.
    """
    pooled_user = pool_layers([x[user] for x in user_xs], pool)
    scores = candidate_scores(pooled_user, pool_layers(item_xs, pool), candidates)
    return candidates.gather(1, scores.topk(num, dim=1).indices)


def hardest_per_layer(
    user: Tensor,
    user_xs: Sequence[Tensor],
    item_xs: Sequence[Tensor],
    candidates: Tensor,
    num: int,
    pool: Pool,
) -> Tensor:
    """At each layer, the `num` candidates hardest there: `[B, num, H]` item ids.

    Layer `l` ranks by the dot product with the user vector that its items meet in the score,
    see :func:`pyg_negsamp.nn.pooling.facing_layers`. Arguments as in :func:`hardest`.
    """
    facing = facing_layers([x[user] for x in user_xs], pool)
    chosen = [
        candidate_scores(rows, items, candidates).topk(num, dim=1).indices
        for rows, items in zip(facing, item_xs, strict=True)
    ]
    return torch.stack([candidates.gather(1, index) for index in chosen], dim=2)
