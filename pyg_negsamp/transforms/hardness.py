"""The hardest candidates, over all layers or at each: the inner loop of most samplers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.layers import Pool, facing_layers, pool_layers
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
    pooled_user = pool_layers([x[user] for x in user_xs], pool)
    scores = candidate_scores(pooled_user, pool_layers(item_xs, pool), candidates, score)
    return candidates.gather(1, scores.topk(num, dim=1).indices)


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
    facing = facing_layers([x[user] for x in user_xs], pool)
    chosen = [
        candidate_scores(rows, items, candidates, score).topk(num, dim=1).indices
        for rows, items in zip(facing, item_xs, strict=True)
    ]
    return torch.stack([candidates.gather(1, index) for index in chosen], dim=2)
