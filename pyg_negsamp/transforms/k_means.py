"""Clusters of vectors, for codebooks."""

from __future__ import annotations

import torch
from torch import Tensor

#: Steps from the first centres on.
STEPS = 10


def k_means(x: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """Some steps of k-means from rows chosen at random, the same for the same table.

    Args:
        x: `[N, D]`.
        num: How many clusters; fewer if there are fewer rows. One that loses all rows stays.

    Returns:
        Their centres `[C, D]`, and which is nearest to each row, `[N]`.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    centre = x[torch.randperm(len(x), generator=generator, device="cpu")[:num].to(x.device)]
    for step in range(STEPS + 1):
        # The square of the row's own length is the same for all centres.
        nearest = (centre.square().sum(dim=1) - 2 * x @ centre.t()).argmin(dim=1)
        if step == STEPS:
            break
        count = nearest.bincount(minlength=len(centre)).unsqueeze(1)
        mean = torch.zeros_like(centre).index_add_(0, nearest, x) / count.clamp(min=1)
        centre = torch.where(count > 0, mean, centre)
    return centre, nearest
