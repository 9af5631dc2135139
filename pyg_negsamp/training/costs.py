"""What an epoch spends its time on, measured on some of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from pyg_negsamp.diagnostics import PIECES, epoch_costs
from pyg_negsamp.training.recommender import Recommender
from pyg_negsamp.transforms import NegativeSampling

#: One step out of so many is measured, from the middle on.
EVERY = 20


class Costs(Callback):
    """Measures the pieces of a step, see :data:`pyg_negsamp.diagnostics.PIECES`.

    Methods of sampler and encoder are timed on one step out of twenty, and left alone on the
    others. Only those steps wait for a GPU. A piece inside another one counts once, as the inner.
    With sampled neighbourhoods, where the loader draws and gathers, this counts as the rest.

    Args:
        now: The clock. Default: the system's.

    Attributes:
        seconds: Of the last whole epoch, see :func:`pyg_negsamp.diagnostics.epoch_costs`.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}
        self._inside: list[str] = []
        self._since = 0.0
        self._undo: list[Callable[[], None]] = []

    # Epochs -----------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Starts the clock."""
        self.device = pl_module.device
        self.pieces = dict.fromkeys(PIECES, 0.0)
        self.steps = self.measured = 0
        self.training: float | None = None
        self.evaluation = 0.0
        self.started = self._moment()

    def on_validation_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """The steps are over."""
        self.evaluated = self._moment()
        self.training = self.evaluated - self.started

    def on_validation_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """So is validation."""
        self.evaluation = self._moment() - self.evaluated

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Adds it up."""
        training = self._moment() - self.started if self.training is None else self.training
        share = max(self.measured, 1) / max(self.steps, 1)
        self.seconds = epoch_costs(self.pieces, share, training, self.evaluation)

    # Steps ------------------------------------------------------------------------------------

    def on_train_batch_start(  # type: ignore[override]
        self, trainer: Trainer, pl_module: Recommender, batch: Any, batch_idx: int
    ) -> None:
        """Times the methods that a step calls, if this is a step to be measured."""
        every = int(min(EVERY, trainer.num_training_batches))
        self.steps += 1
        if batch_idx % every != every // 2:
            return
        self.measured += 1
        for part in pl_module.sampler.modules():
            if isinstance(part, NegativeSampling):
                self._time(part, "draw", "draw")
                self._time(part, "share", "draw")
        for method in ("choose", "select"):  # one of several ranks selects for a part of the rows
            self._time(pl_module.sampler, method, "choice")
        self._time(pl_module.encoder, "tables", "propagate")
        self._time(pl_module.encoder, "sampled", "propagate")
        for method in ("rows", "rows_and_items"):
            self._time(pl_module.encoder, method, "gather")
        self._time(pl_module.sampler, "make", "gather")

    def on_before_backward(self, *_: Any) -> None:
        """Gradients begin."""
        self._enter("backward")

    def on_after_backward(self, *_: Any) -> None:
        """Gradients end."""
        self._leave()

    def on_before_optimizer_step(self, *_: Any) -> None:
        """The update begins."""
        self._enter("optimiser")

    def on_train_batch_end(self, *_: Any) -> None:
        """The update ends, and the methods are their own again."""
        self._leave()
        self._restore()

    def on_exception(self, *_: Any) -> None:
        """Leaves no method timed."""
        self._restore()

    # The clock --------------------------------------------------------------------------------

    def _moment(self) -> float:
        """What the clock says once the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.now()

    def _enter(self, piece: str) -> None:
        """Begins a piece; what it is inside of waits."""
        if not self._undo:  # a step that is not measured
            return
        moment = self._moment()
        if self._inside:
            self.pieces[self._inside[-1]] += moment - self._since
        self._inside.append(piece)
        self._since = moment

    def _leave(self) -> None:
        """Ends a piece; what it is inside of goes on."""
        if self._inside:
            moment = self._moment()
            self.pieces[self._inside.pop()] += moment - self._since
            self._since = moment

    def _time(self, owner: torch.nn.Module, method: str, piece: str) -> None:
        """Puts a timed method in front of one that there is."""
        own, plain = vars(owner).get(method), getattr(owner, method, None)
        if plain is None:
            return

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._enter(piece)
            try:
                return plain(*args, **kwargs)
            finally:
                self._leave()

        setattr(owner, method, timed)
        self._undo.append(lambda: setattr(owner, method, own) if own else delattr(owner, method))

    def _restore(self) -> None:
        """Takes away all that was put in front."""
        while self._undo:
            self._undo.pop()()
        self._inside.clear()
