"""Random streams that depend on the seed and the epoch alone.

Nothing about them needs to be saved: a run that resumes at an epoch draws what an
uninterrupted run would have drawn there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

ORDER, NEGATIVES, ENCODER, DIAGNOSTICS = 0, 1, 2, 3


def epoch_generator(
    seed: int, epoch: int, stream: int, device: torch.device | str = "cpu", batch: int | None = None
) -> torch.Generator:
    """A generator for one purpose in one epoch.

    Args:
        seed: The run's seed, not negative.
        epoch: Epoch, from 0.
        stream: `ORDER` of the positives, drawing of `NEGATIVES`, dropout and noise of the
            `ENCODER`, or what `DIAGNOSTICS` draw, independent of each other.
        device: Where the draws are made.
        batch: Number of a batch, for a stream of its own. Default: one for the whole epoch.
    """
    # From 1: a trailing 0 would not change the state.
    entropy = [seed, epoch, stream] if batch is None else [seed, epoch, stream, batch + 1]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)


@contextmanager
def global_streams_kept(device: torch.device) -> Iterator[None]:
    """Puts the global generators of torch, numpy and Python back to where they were.

    Args:
        device: Where torch may draw, besides the CPU.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
