"""Gradient: how much a step still learns from its negatives.

Zhang et al., SIGIR 2013 (DNS, doi:10.1145/2484028.2484126): the gradient of BPR with respect to a
score is `sigmoid(neg - pos)`, and vanishes for easy negatives; the factor in eq. 8 of SDNS
(arXiv:2211.13912). Unit: none, from 0 (nothing is learned) to 1.
"""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.numerics import wide


def gradient_magnitude(
    pos_score: Tensor, neg_score: Tensor, weight: Tensor | None = None
) -> Tensor:
    """The mean of `sigmoid(neg - pos)`.

    Args:
        pos_score: `[n]` scores of the positives.
        neg_score: `[n, K]` scores of their negatives.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        A scalar; NaN if no negative counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "gradient_magnitude",
        pos_score=(pos_score, "numbers n"),
        neg_score=(neg_score, "numbers n K"),
        weight=(weight, "numbers n K"),
    )
    return mean_where((wide(neg_score) - wide(pos_score).unsqueeze(1)).sigmoid(), weight)


def look_at_gradient(look: Look) -> dict[str, Tensor]:
    """The mean over the links that are looked at."""
    found = gradient_magnitude(look.pos_score, look.neg_score, look.weight)
    return {"gradient/mean": found}
