r"""The ambiguous trap: how little of the range of scores a few random candidates reach.

Example. Two users have four candidates each. All scores seen lie between 0 and 10:

    user 1: 1, 2, 2, 3        largest 0.3, smallest 0.1
    user 2: 0, 1, 1, 2        largest 0.2, smallest 0.0
    mean                      largest 0.25, smallest 0.05

Whichever candidate is chosen, its score is in the lowest quarter: that is the trap.

ANS (Zhao et al., RecSys 2023, arXiv:2308.05972), section 3.2 and figure 1(d). There the largest and
the smallest score of the items drawn in the first pass are plotted, min-max normalised, and it is
said that they lie close together throughout. What the normalisation is over is left open. It
cannot be each link's own candidates, of which the largest is 1 and the smallest 0 at all times.
Figure 1(a-c) before it shows how the scores of all unobserved pairs are spread, of all users
together. So it is here the range of all scores of unobserved pairs that the sample has: those of
all candidates, and those of uniform unseen items, of all users together:

.. math::
    \text{largest} = \frac{1}{n} \sum_b \frac{\max_m s_{bm} - \min s}{\max s - \min s}, \quad
    \text{smallest} = \frac{1}{n} \sum_b \frac{\min_m s_{bm} - \min s}{\max s - \min s}

The *augmentation gain* is how much harder a negative was made, ANS, eq. 12: its score after the
augmentation minus its score before. Section 5.4.1 warns that more is not always better: a negative
that was made of a false negative gains, too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.numerics import wide


class Trap(NamedTuple):
    """Where the candidates lie in the range of scores: 0 is its lower end, 1 its upper end.

    Attributes:
        largest: Scalar, of the hardest candidate of each link, in the mean over links.
        smallest: Scalar, of the easiest one.
    """

    largest: Tensor
    smallest: Tensor


def ambiguous_trap(candidate_score: Tensor, unseen_score: Tensor) -> Trap:
    """The largest and the smallest score among a link's candidates, min-max normalised.

    Args:
        candidate_score: `[n, M]` scores of the candidates.
        unseen_score: `[n, R]` scores of uniform unseen items, which make the range a fair one.

    Returns:
        Two scalars. Both are 0 if all scores are equal, and NaN if there is no candidate.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "ambiguous_trap",
        candidate_score=(candidate_score, "numbers n M"),
        unseen_score=(unseen_score, "numbers n R"),
    )
    score = wide(candidate_score)
    if not score.numel():
        return Trap(score.mean(), score.mean())  # NaN
    low, high = torch.cat([score, wide(unseen_score)], dim=1).aminmax()
    length = torch.where(high > low, high - low, 1)
    largest, smallest = ((end - low) / length for end in (score.amax(dim=1), score.amin(dim=1)))
    return Trap(largest.mean(), smallest.mean())


def augmentation_gain(after: Tensor, before: Tensor, weight: Tensor | None = None) -> Tensor:
    """How much the score of a negative grew by what was mixed or added in (eq. 12).

    Args:
        after: `[n, K]` scores of the negatives as they were made.
        before: `[n, K]` scores of the items that they were made from.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        A scalar, in the unit of the scores: the mean gain; NaN if no negative counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "augmentation_gain",
        after=(after, "numbers n K"),
        before=(before, "numbers n K"),
        weight=(weight, "numbers n K"),
    )
    return mean_where(wide(after) - wide(before), weight)


def look_at_trap(look: Look) -> dict[str, Tensor]:
    """`ambiguous-trap/max`, `/min` and `/gain`, as far as the sampler has what they are about."""
    found = {}
    if look.candidate_score is not None:
        trap = ambiguous_trap(look.candidate_score, look.unseen_score)
        found = {"ambiguous-trap/max": trap.largest, "ambiguous-trap/min": trap.smallest}
    if look.chosen_score is not None:
        gain = augmentation_gain(look.neg_score, look.chosen_score, look.weight)
        found["ambiguous-trap/gain"] = gain
    return found
