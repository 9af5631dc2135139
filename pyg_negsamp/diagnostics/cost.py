"""Cost: what an epoch spends its time on.

Lai et al., AAAI 2024 (AHNS, arXiv:2401.05191), figure 7, piece by piece. Unit: seconds per epoch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pyg_negsamp.diagnostics.look import Look

#: The pieces of a step: first pass, second pass, rows and what is made of them, the encoder's
#: layers, gradients, and the update.
PIECES = ("draw", "choice", "gather", "propagate", "backward", "optimiser")


def epoch_costs(
    measured: Mapping[str, float], share: float, training: float, evaluation: float = 0.0
) -> dict[str, float]:
    """Seconds of a whole epoch, from those of some of its steps.

    Args:
        measured: Seconds of each piece in the steps that were measured.
        share: How many of the steps these are, as a fraction.
        training: Seconds of all steps together.
        evaluation: Seconds of validation.

    Returns:
        Each piece for all steps; `evaluation`; and the `rest` of `training`: the loss, the order of
        links, logging. They sum to `training + evaluation`, unless measured steps were slower than
        the others: then `rest` is 0.
    """
    pieces = {name: seconds / share for name, seconds in measured.items()}
    rest = max(training - sum(pieces.values()), 0.0)
    return {**pieces, "evaluation": evaluation, "rest": rest}


def look_at_cost(look: Look) -> dict[str, Tensor]:
    """The seconds that were measured, if any."""
    return {
        f"cost/{name}": torch.tensor(value, dtype=torch.double, device=look.pos_score.device)
        for name, value in look.seconds.items()
    }
