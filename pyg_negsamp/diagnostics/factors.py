r"""Hard and easy factors of items, as the gates of ANS split them.

Example. A candidate (2, 4) with a gate (0.9, 0.1) has the hard factor (1.8, 0.4) and the easy one
(0.2, 3.6). The positive is split by the same gate.

ANS (Zhao et al., RecSys 2023, arXiv:2308.05972), eq. 3, 4 and 6, and figure 4(a), where t-SNE has
them in two dimensions: hard factors of candidates and positives lie together, and easy ones are
scattered. (The legend calls the positive's hard factor `pe` and its easy one `ph`; by eq. 6
and section 5.3 it is the other way round.)

    points = in_plane(ans_factors(sampler, user, pos, candidates, user_xs, item_xs), by="t-sne")
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.layers import as_layers, gather_rows, pool_rows
from pyg_negsamp.numerics import wide
from pyg_negsamp.transforms import ANS


@torch.no_grad()
def ans_factors(
    sampler: ANS,
    user: Tensor,
    pos: Tensor,
    candidates: Tensor,
    user_xs: Tensor | Sequence[Tensor],
    item_xs: Tensor | Sequence[Tensor],
) -> dict[str, Tensor]:
    """The factors of candidates and positives, `[B * M, D]` each, pooled as they score.

    Args:
        sampler: ANS, as it was trained.
        user: `[B]` user ids; for a picture, one user.
        pos: `[B]` item ids of positives.
        candidates: `[B, M]` item ids.
        user_xs: Users' table or layers that the sampler read, in any form of
            :func:`pyg_negsamp.layers.as_layers`.
        item_xs: The items' likewise.

    Returns:
        `'hard'` and `'easy'` of the candidates, `'positive hard'` and `'positive easy'`; a positive
        is split by the gate of each candidate.

    Raises:
        ValueError: If the sampler has no gates, or shapes do not agree.
    """
    if not isinstance(sampler, ANS) or not (sampler.disentangle or sampler.hard_only):
        got = f"{sampler}" if isinstance(sampler, ANS) else short(sampler)
        raise invalid("ans_factors", "sampler", "an ANS that disentangles", got)
    check_shapes(
        "ans_factors",
        user=(user, "ids B"),
        pos=(pos, "ids B"),
        candidates=(candidates, "ids B M"),
    )
    users, items = (
        as_layers(xs, owner="ans_factors", name=name)
        for name, xs in (("user_xs", user_xs), ("item_xs", item_xs))
    )
    for name, layers in (("user_xs", users), ("item_xs", items)):
        if layers[0].size(1) != sampler.width or len(layers) != len(users):
            expected = f"{len(users)} layers of width {sampler.width}"
            got = f"{len(layers)} of width {layers[0].size(1)}"
            raise invalid("ans_factors", name, expected, got)
    neg = gather_rows(items, candidates.flatten()).unflatten(0, candidates.shape)
    gate = sampler.gate(gather_rows(users, user), neg)
    positive = gather_rows(items, pos).unsqueeze(1).expand_as(neg)
    hard, positive_hard = neg * gate, positive * gate
    factors = {
        "hard": hard,
        "easy": neg - hard,
        "positive hard": positive_hard,
        "positive easy": positive - positive_hard,
    }
    return {
        name: wide(pool_rows(part, sampler.pool)).flatten(0, 1) for name, part in factors.items()
    }
