"""The best `k` of many: torch's `topk`, asked about few."""

from __future__ import annotations

import torch
from torch import Tensor

#: Columns that share a lane, and the least columns for each of the `k` that make lanes worth it.
DEPTH, LEAST = 8, 64


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `scores.topk(k, dim=1)`, in half the time where rows are long.

    The columns are dealt to lanes, `DEPTH` to each. The best of every lane is found first, which
    is one fast pass; the `k` best columns lie in the `k` lanes whose best is highest, because
    each of these has one that beats whatever is in the other lanes. So one column out of `DEPTH`
    is left to choose lanes from, in the same way if that is still many, and then `k * DEPTH`
    columns for `topk`.

    Args:
        scores: `[b, I]`. NaN counts as the best, as it does there.
        k: How many, `1 <= k <= I`.

    Returns:
        Values and columns, both `[b, k]`, best first. Among equal values, any.
    """
    columns = scores.size(1)
    if scores.device.type != "cpu" or columns < LEAST * k:
        best = scores.topk(k, dim=1)
        return best.values, best.indices
    lanes = columns // DEPTH
    # Column `depth * lanes + lane` is in `lane`: maxima of rows of lanes, side by side.
    highest = scores[:, : DEPTH * lanes].unflatten(1, (DEPTH, lanes)).amax(dim=1)
    _, lane = top_k(highest, k)
    depth = torch.arange(DEPTH, device=lane.device).view(1, -1, 1)
    left_over = torch.arange(DEPTH * lanes, columns, device=lane.device).expand(len(scores), -1)
    column = torch.cat([(depth * lanes + lane.unsqueeze(1)).flatten(1), left_over], dim=1)
    best = scores.gather(1, column).topk(k, dim=1)
    return best.values, column.gather(1, best.indices)
