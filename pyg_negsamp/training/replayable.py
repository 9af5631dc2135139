"""Which runs can have their steps recorded and replayed, see :mod:`.replay`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch.callbacks import Callback

from pyg_negsamp.diagnostics import diagnostics_named
from pyg_negsamp.errors import invalid
from pyg_negsamp.nn import FromModule
from pyg_negsamp.training.costs import Costs
from pyg_negsamp.training.recommender import Recommender
from pyg_negsamp.training.trainer import accelerator_of
from pyg_negsamp.transforms import NegativeSampling


def on_cuda(device: str) -> bool:
    """Whether a run on this device, as named for :func:`fit`, is on CUDA."""
    return accelerator_of(device) == "gpu" and torch.cuda.is_available()


def check_replays(
    recommender: Recommender,
    device: str,
    precision: str,
    diagnostics: str | Sequence[str],
    callbacks: Sequence[Callback] = (),
) -> None:
    """Refuses runs whose steps cannot be replayed.

    Args:
        recommender: What is to be trained.
        device: As for :func:`fit`.
        precision: As for :func:`fit`.
        diagnostics: As for :func:`fit`.
        callbacks: As for :func:`fit`.

    Raises:
        ValueError: If they cannot.
    """
    encoder = recommender.encoder
    samplers = [x for x in recommender.sampler.modules() if isinstance(x, NegativeSampling)]
    keeping = [type(x).__name__ for x in samplers if not x.replayable]
    waiting = [
        type(x.candidates).__name__
        for x in samplers
        if x.takes_candidates and x.candidates is not None and x.candidates.waits
    ]
    timed = "cost" in diagnostics_named(diagnostics) or any(isinstance(x, Costs) for x in callbacks)
    reasons = {
        "the run is not on CUDA": not on_cuda(device),
        "several processes exchange numbers in a step": recommender.ranks.size > 1,
        "the encoder samples neighbourhoods": encoder.num_neighbors is not None,
        "modules of one's own draw from torch's own stream": isinstance(encoder, FromModule),
        "precision is 'bf16-mixed'": precision == "bf16-mixed",
        "the diagnostic 'cost' looks into single steps": timed,
        "hooks on parameters would run twice": any(
            x._backward_hooks for x in recommender.parameters()
        ),
        f"{', '.join(keeping)} cannot be replayed as it is set": bool(keeping),
        f"a draw of {', '.join(waiting)} waits for the GPU": bool(waiting),
    }
    for reason, holds in reasons.items():
        if holds:
            raise invalid("fit", "cuda_graph", f"False, as {reason}", True)
