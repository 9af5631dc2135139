"""What the negatives did: diagnostics that read a look at training, and never change it.

Each file has one idea, with its paper. Beside the entry of :data:`DIAGNOSTICS`, which gives the
numbers of an epoch, stand functions over plain tensors, for anybody to call.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pyg_negsamp.diagnostics.area import SampledArea, log_volume, sampled_area
from pyg_negsamp.diagnostics.entropy import entropy, entropy_of
from pyg_negsamp.diagnostics.factors import ans_factors
from pyg_negsamp.diagnostics.false_negatives import (
    false_negative_share,
    false_negative_share_by_popularity,
    false_negative_share_by_rank,
    false_negatives_of,
)
from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.overlap import exclusive_hit_ratio, overlap
from pyg_negsamp.diagnostics.plane import in_plane
from pyg_negsamp.diagnostics.sweep import Point, sweep, sweep_of_trials
from pyg_negsamp.diagnostics.trap import Trap, ambiguous_trap, augmentation_gain, trap_of
from pyg_negsamp.diagnostics.uniformity import alignment, uniformity, uniformity_of

#: From a look to named numbers, 0-dim tensors: nothing is read back from the device inside.
DIAGNOSTICS: dict[str, Callable[[Look], dict[str, Tensor]]] = {
    "ambiguous-trap": trap_of,
    "entropy": entropy_of,
    "false-negatives": false_negatives_of,
    "uniformity": uniformity_of,
}

__all__ = [
    "DIAGNOSTICS",
    "Look",
    "Point",
    "SampledArea",
    "Trap",
    "alignment",
    "ambiguous_trap",
    "ans_factors",
    "augmentation_gain",
    "entropy",
    "exclusive_hit_ratio",
    "false_negative_share",
    "false_negative_share_by_popularity",
    "false_negative_share_by_rank",
    "in_plane",
    "log_volume",
    "overlap",
    "sampled_area",
    "sweep",
    "sweep_of_trials",
    "uniformity",
]
