"""A run that ends in the middle, as a power cut ends it."""

from __future__ import annotations

from lightning.pytorch.callbacks import Callback

from pyg_negsamp.training import Recommender


class PowerCut(Callback):
    """Ends a run as an epoch begins.

    Args:
        epoch: Which, from 0.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: object, pl_module: Recommender) -> None:  # type: ignore[override]
        """Fails there."""
        if pl_module.current_epoch == self.epoch:
            raise RuntimeError("power cut")
