"""What the negatives did: diagnostics that read a look at training, and never change it.

Each file has one idea, with its paper. Beside the entry of :data:`DIAGNOSTICS`, which gives the
numbers of an epoch, stand functions over plain tensors, for anybody to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from pyg_negsamp.diagnostics.area import SampledArea, log_volume, sampled_area
from pyg_negsamp.diagnostics.cost import PIECES, epoch_costs, look_at_cost
from pyg_negsamp.diagnostics.entropy import entropy, look_at_entropy
from pyg_negsamp.diagnostics.factors import ans_factors
from pyg_negsamp.diagnostics.false_negatives import (
    false_negative_share,
    false_negative_share_by_popularity,
    false_negative_share_by_rank,
    look_at_false_negatives,
)
from pyg_negsamp.diagnostics.gradient import gradient_magnitude, look_at_gradient
from pyg_negsamp.diagnostics.hardness import by_positive, deciles, look_at_hardness
from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.over_fitting import look_at_over_fitting, training_ndcg
from pyg_negsamp.diagnostics.overlap import exclusive_hit_ratio, overlap
from pyg_negsamp.diagnostics.plane import in_plane
from pyg_negsamp.diagnostics.popularity import look_at_popularity, mean_popularity
from pyg_negsamp.diagnostics.sweep import Point, sweep, sweep_of_trials
from pyg_negsamp.diagnostics.trap import Trap, ambiguous_trap, augmentation_gain, look_at_trap
from pyg_negsamp.diagnostics.uniformity import alignment, look_at_uniformity, uniformity
from pyg_negsamp.errors import invalid, several_of, short

#: From a look to named numbers, 0-dim tensors: nothing is read back from the device inside.
DIAGNOSTICS: dict[str, Callable[[Look], dict[str, Tensor]]] = {
    "hardness": look_at_hardness,
    "popularity": look_at_popularity,
    "over-fitting": look_at_over_fitting,
    "gradient": look_at_gradient,
    "cost": look_at_cost,
    "ambiguous-trap": look_at_trap,
    "false-negatives": look_at_false_negatives,
    "entropy": look_at_entropy,
    "uniformity": look_at_uniformity,
}
#: What is looked at unless somebody says otherwise.
DEFAULT = ("hardness", "false-negatives", "popularity", "over-fitting")


def diagnostics_named(names: str | Sequence[str], owner: object = "fit") -> tuple[str, ...]:
    """The diagnostics that were asked for, in the order of :data:`DIAGNOSTICS`.

    Args:
        names: Names, or one alone; `'all'`, or `'none'`.
        owner: Who asks, for the error.

    Raises:
        ValueError: If a name is unknown, or stands beside `'none'`.
    """
    given = [names] if isinstance(names, str) else names
    asked = several_of(owner, "diagnostics", given, [*DIAGNOSTICS, "all", "none"])
    if "none" in asked and len(asked) > 1:
        raise invalid(owner, "diagnostics", "'none' alone, or names without it", short(names))
    return tuple(name for name in DIAGNOSTICS if name in asked or "all" in asked)


__all__ = [
    "DEFAULT",
    "DIAGNOSTICS",
    "PIECES",
    "Look",
    "Point",
    "SampledArea",
    "Trap",
    "alignment",
    "ambiguous_trap",
    "ans_factors",
    "augmentation_gain",
    "by_positive",
    "deciles",
    "diagnostics_named",
    "entropy",
    "epoch_costs",
    "exclusive_hit_ratio",
    "false_negative_share",
    "false_negative_share_by_popularity",
    "false_negative_share_by_rank",
    "gradient_magnitude",
    "in_plane",
    "log_volume",
    "look_at_cost",
    "look_at_entropy",
    "look_at_false_negatives",
    "look_at_gradient",
    "look_at_hardness",
    "look_at_over_fitting",
    "look_at_popularity",
    "look_at_trap",
    "look_at_uniformity",
    "mean_popularity",
    "overlap",
    "sampled_area",
    "sweep",
    "sweep_of_trials",
    "training_ndcg",
    "uniformity",
]
