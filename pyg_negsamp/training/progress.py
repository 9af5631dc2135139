"""Progress of a run: a bar on a terminal, short plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from pyg_negsamp.training.recommender import Recommender


class Progress(Callback):
    """Shows epochs, loss, the monitored metric, and the time left if no epoch is saved.

    Args:
        every: Seconds between plain lines.
        name: What to call the run, if it is one of several: its lines begin so, on a terminal
            too, where bars would get into each other's way.
    """

    def __init__(self, every: float = 5.0, name: str = "") -> None:
        self.every, self.name = every, name
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Opens the bar."""
        self.started = self.printed = time.monotonic()
        self.first = trainer.current_epoch
        self.steps = int(trainer.num_training_batches)
        if sys.stderr and sys.stderr.isatty() and not self.name:
            total = (trainer.max_epochs or 0) * self.steps
            self.bar = tqdm(
                total=total, initial=self.first * self.steps, unit="step", dynamic_ncols=True
            )

    def on_train_batch_end(self, *_: Any) -> None:
        """Moves the bar."""
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Says where the epoch has led, on the bar or in a line."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        said = f"epoch {epoch}/{epochs}  loss {pl_module.mean_loss():.4f}"
        if (monitor := pl_module.monitor) in pl_module.validated:
            said += f"  {monitor} {pl_module.validated[monitor]:.4f}"
        if self.bar is not None:
            self.bar.set_description_str(said, refresh=False)
            return
        now = time.monotonic()
        if epoch in (self.first + 1, epochs) or now - self.printed >= self.every:
            self.printed = now
            left = (now - self.started) / (epoch - self.first) * (epochs - epoch)
            named = f"{self.name}: " if self.name else ""
            time_left = f"{left:.0f} s" if left < 600 else f"{left / 60:.0f} min"
            print(f"{named}{said}  at most {time_left} left", flush=True)

    def on_train_end(self, *_: Any) -> None:
        """Closes the bar."""
        self._close()

    def on_exception(self, *_: Any) -> None:
        """Closes the bar, so that the error starts on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
