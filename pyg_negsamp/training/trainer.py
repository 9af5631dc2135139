"""The parts of lightning that a run is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pyg_negsamp.durations import WRITTEN, seconds_of
from pyg_negsamp.errors import invalid, one_of
from pyg_negsamp.training.checkpoints import WholeCheckpoints
from pyg_negsamp.training.strategy import RanksStrategy

#: What `fit` is tested to calculate in, by lightning's names. Not `'16-true'`: squares of usual
#: gradients are zero in float16, and Adam divides by their root.
PRECISIONS = ("32-true", "64-true", "bf16-mixed", "bf16-true")
#: What weights are made and stay, where it is not single precision.
WEIGHTS = {"64-true": torch.double, "bf16-true": torch.bfloat16}

#: How devices work together, by lightning's names: `'ddp'`, and `'auto'` for what is needed.
STRATEGIES = ("auto", "ddp")


def make_trainer(
    device: str, precision: str, devices: int, num_nodes: int, strategy: str, **arguments: Any
) -> Trainer:
    """A trainer that leaves the talking to :class:`Progress`.

    Args:
        device: As for :func:`fit`.
        precision: As for :func:`fit`.
        devices: As for :func:`fit`.
        num_nodes: As for :func:`fit`.
        strategy: As for :func:`fit`.
        **arguments: More of lightning's arguments.

    Raises:
        ValueError: If there are fewer devices, or `precision` or `strategy` is unknown.
    """
    if precision not in PRECISIONS:
        raise invalid("fit", "precision", f"one of {PRECISIONS}", repr(precision))
    several = one_of("fit", "strategy", strategy, STRATEGIES) == "ddp" or devices * num_nodes > 1
    accelerator = accelerator_of(device)
    if accelerator == "gpu" and devices > (there := torch.cuda.device_count()):
        raise invalid("fit", "devices", f"at most {there}, as many as there are", devices)
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=RanksStrategy() if several else "auto",
        use_distributed_sampler=False,
        # Lightning's own would make 16 bits torch's default, for sums of metrics and draws as well:
        # the weights are in bfloat16 before it sees them.
        precision="32-true" if precision == "bf16-true" else precision,  # type: ignore[arg-type]
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )


def accelerator_of(device: str) -> str:
    """What lightning calls the device.

    Args:
        device: As for :func:`fit`.

    Raises:
        ValueError: If it is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise invalid("fit", "device", "one that is there", "'cuda', and torch sees no CUDA device")
    if device == "auto":  # lightning would take Apple's, which has no double precision
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"cuda": "gpu"}.get(device, device)


def default_loggers(folder: Path) -> list[Logger]:
    """Metrics per epoch as CSV, and for TensorBoard if that is installed.

    Args:
        folder: Where to log to.
    """
    loggers: list[Logger] = [CSVLogger(folder, name="csv")]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    return loggers


class PatientStopping(EarlyStopping):
    """Early stopping that resumes with the patience of today.

    A run that had stopped for good does not go on at all.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting, with the patience it was given now."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops where patience is over already."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class TimeLimit(Timer):
    """Ends training after the first epoch that is over the time.

    Lightning's own `max_time` stops in the middle of an epoch, from where no run can go on as if
    nothing had happened. And it counts a run's earlier legs; here each call of `fit` has the
    whole time.

    Args:
        limit: A time such as `"90s"`, `"20m"`, `"1.5h"` or `"01:12:00:00"`, a `timedelta`, or a
            dictionary of its arguments.

    Raises:
        ValueError: If `limit` is none of these, or not more than 0.
    """

    def __init__(self, limit: str | timedelta | dict[str, int]) -> None:
        expected = f"more than 0, {WRITTEN}, a timedelta or a dict of its arguments"
        try:
            given = timedelta(seconds=seconds_of(limit)) if isinstance(limit, str) else limit
            super().__init__(given, interval="epoch", verbose=False)
        except (ValueError, OverflowError, TypeError, AttributeError) as error:
            raise invalid("fit", "max_time", expected, repr(limit)) from error
        if (self.time_remaining() or 0) <= 0:
            raise invalid("fit", "max_time", expected, repr(limit))

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the time of an earlier leg does not count."""
        return {}


class KeptFile(ModelCheckpoint):
    """One file that is written over, also in a folder that was moved since."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the best score so far; lightning forgets it where the path is another."""
        assert self.dirpath is not None
        file = str(Path(self.dirpath) / f"{self.filename}.ckpt")
        scores = [(file, score) for score in state_dict["best_k_models"].values()]
        paths = {name: file for name in ("best_model_path", "kth_best_model_path") if scores}
        here = {"dirpath": self.dirpath, "best_k_models": dict(scores)}
        super().load_state_dict({**state_dict, **paths, **here})


def run_callbacks(folder: Path, monitor: str | None, patience: int) -> Sequence[Callback]:
    """What selects, stops and keeps the state.

    Args:
        folder: Where checkpoints go: `best.ckpt` and `last.ckpt`.
        monitor: Metric to select by; `None` to select nothing.
        patience: Validations without a better one before training stops.
    """
    last = KeptFile(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    if monitor is None:
        return [last]
    best = KeptFile(folder, "best", monitor=monitor, mode="max", enable_version_counter=False)
    return [PatientStopping(monitor, mode="max", patience=patience), best, last]
