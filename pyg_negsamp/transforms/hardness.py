"""The hardest candidates, over all layers or at each: the inner loop of most samplers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid, short
from pyg_negsamp.layers import Pool, facing_layers, gather_pooled, pool_layers, rows_at
from pyg_negsamp.scoring import Score, candidate_scores


def hardest(
    user: Tensor,
    user_xs: Sequence[Tensor],
    item_xs: Sequence[Tensor],
    candidates: Tensor,
    num: int,
    pool: Pool,
    score: Score = "dot",
) -> Tensor:
    """The `num` candidates with the highest scores, hardest first: `[B, num]` item ids.

    Args:
        user: `[B]` user ids.
        user_xs: `H` tensors `[U, D]`.
        item_xs: `H` tensors `[I, D]`.
        candidates: `[B, M]` item ids.
        num: How many to keep, `K <= M`.
        pool: How layers become the scoring embedding.
        score: How rows become a score. Default: by dot products.
    """
    pooled_user = gather_pooled(user_xs, user, pool)
    scores = candidate_scores(pooled_user, pool_layers(item_xs, pool), candidates, score)
    return candidates.gather(1, scores.topk(num, dim=1).indices)


def facing_users(user: Tensor, user_xs: Sequence[Tensor], pool: Pool, score: Score) -> list[Tensor]:
    """The rows of users that meet each layer of their candidates: `H` tensors `[B, W]`.

    Raises:
        ValueError: If they are single layers, and the score is a decoder of all of them together.
    """
    if callable(score) and pool == "concat" and len(user_xs) > 1:
        expected = "'dot' or 'cosine' to choose at each of several concatenated layers"
        raise invalid("score", "score", expected, f"{short(score)}, which reads all at once")
    return facing_layers([rows_at(x, user) for x in user_xs], pool)


def hardest_per_layer(
    user: Tensor,
    user_xs: Sequence[Tensor],
    item_xs: Sequence[Tensor],
    candidates: Tensor,
    num: int,
    pool: Pool,
    score: Score = "dot",
) -> Tensor:
    """At each layer, the `num` candidates hardest there: `[B, num, H]` item ids.

    Layer `l` ranks by the score with the user vector that its items meet in the score,
    see :func:`pyg_negsamp.layers.facing_layers`. Arguments as in :func:`hardest`.
    """
    facing = facing_users(user, user_xs, pool, score)
    chosen = [
        candidate_scores(rows, items, candidates, score).topk(num, dim=1).indices
        for rows, items in zip(facing, item_xs, strict=True)
    ]
    return torch.stack([candidates.gather(1, index) for index in chosen], dim=2)
