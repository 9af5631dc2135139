"""Hardness: how high the chosen negatives score, beside positives and random unseen items.

Lai et al., AAAI 2024 (AHNS, arXiv:2401.05191), figures 1 and 5 (over the epochs) and 4 (by the
positive's score). Unit: that of the scores.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.numerics import wide

#: Parts of equal size that links are divided into.
PARTS = 10


def deciles(score: Tensor, weight: Tensor | None = None) -> Tensor:
    """The nine numbers that divide scores into ten parts of equal size, linearly interpolated.

    Args:
        score: `[n, K]` scores.
        weight: `[n, K]`; a score of weight 0 does not count. Default: all count.

    Returns:
        `[9]`, ascending; not finite if no score counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes("deciles", score=(score, "numbers n K"), weight=(weight, "numbers n K"))
    value, number = wide(score).flatten(), torch.full((), score.numel(), device=score.device)
    if weight is not None:
        value = value.masked_fill(weight.flatten() == 0, torch.inf)
        number = (weight != 0).sum()
    value = pad(value.sort().values, (0, 1), value=torch.inf)  # so that there is one
    at = torch.arange(1, PARTS, device=score.device) * (number - 1).clamp(min=0).double() / PARTS
    low, high = value[at.floor().long()], value[at.ceil().long()]
    return torch.lerp(low, high, at.frac().to(low.dtype))


def by_positive(
    pos_score: Tensor, neg_score: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean scores of positives and of their negatives, by tenth of the positive's score.

    Args:
        pos_score: `[n]` scores of the positives.
        neg_score: `[n, K]` scores of their negatives.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        Two `[10]`, the links with the lowest positives first; NaN where a tenth is empty.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "by_positive",
        pos_score=(pos_score, "numbers n"),
        neg_score=(neg_score, "numbers n K"),
        weight=(weight, "numbers n K"),
    )
    pos_score, neg_score = wide(pos_score), wide(neg_score)
    place = torch.arange(len(pos_score), device=pos_score.device) * PARTS // len(pos_score)
    tenth = torch.empty_like(place).scatter_(0, pos_score.argsort(), place)
    counts = torch.ones_like(neg_score) if weight is None else (weight != 0).to(neg_score.dtype)

    def total(x: Tensor) -> Tensor:
        return x.new_zeros(PARTS).index_add_(0, tenth, x)

    positive = total(pos_score) / total(torch.ones_like(pos_score))
    return positive, total((neg_score * counts).sum(1)) / total(counts.sum(1))


def look_at_hardness(look: Look) -> dict[str, Tensor]:
    """Means and deciles of positives, negatives and unseen items; both by tenth of the positive.

    `relative` is the mean score of negatives over that of positives: AHNS's hardness, the ratio of
    a negative's score to its positive's, without the links whose positive scores near 0.
    """
    found = {}
    for name, score, weight in (
        ("positive", look.pos_score.unsqueeze(1), None),
        ("negative", look.neg_score, look.weight),
        ("unseen", look.unseen_score, None),
    ):
        found[f"hardness/{name}"] = mean_where(score, weight)
        for part, value in enumerate(deciles(score, weight), 1):
            found[f"hardness/{name}/p{10 * part}"] = value
    found["hardness/relative"] = found["hardness/negative"] / found["hardness/positive"]
    positive, negative = by_positive(look.pos_score, look.neg_score, look.weight)
    for part in range(PARTS):
        found[f"hardness/positive/{part + 1}"] = positive[part]
        found[f"hardness/by-positive/{part + 1}"] = negative[part]
    return found
