"""A whole run: train, validate, keep the best, stop early, and be able to go on."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import check_leakage
from pyg_negsamp.graph import held_out_links
from pyg_negsamp.training.checkpoints import WholeCheckpoints
from pyg_negsamp.training.links import LinkLoader
from pyg_negsamp.training.memory import keep_freed_memory
from pyg_negsamp.training.progress import Progress
from pyg_negsamp.training.recommender import Recommender


@dataclass(frozen=True)
class Fitted:
    """What a run left behind.

    Attributes:
        history: A dictionary per epoch, see :class:`Recommender`.
        best_epoch: Epoch of the best validation, from 0; its weights are loaded. Without
            validation: the last one.
        best: The monitored metric there; NaN without validation.
        monitor: Name of the monitored metric, such as `'val/NDCG@20'`.
        checkpoint: File with those weights.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best: float
    monitor: str
    checkpoint: Path


def fit(
    recommender: Recommender,
    train_data: HeteroData,
    val_data: HeteroData | None,
    out: str | Path,
    epochs: int = 100,
    batch_size: int = 2048,
    patience: int = 20,
    eval_every: int = 1,
    device: str = "auto",
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    planned: int | None = None,
) -> Fitted:
    """Trains a recommender, selecting by NDCG at its first `k` on `val_data` only.

    After every epoch `out/checkpoints/last.ckpt` holds the whole state, written to a temporary
    name and renamed; after a better validation, `best.ckpt` does. With `resume`, a run goes on
    from the last checkpoint and gives, bit by bit, what it would have given uninterrupted (with as
    many `epochs`: :class:`CuCo`'s schedule, for one, depends on their number).
    Large blocks of freed memory stay with the process, see :func:`keep_freed_memory`.
    Metrics per epoch are logged as CSV, and for TensorBoard if that is installed, under
    `out/logs`.

    Args:
        recommender: What to train; left with the best weights, in evaluation mode.
        train_data: Training graph.
        val_data: Split to select by. With `None` all `epochs` are trained and the last weights
            kept, whatever `patience` and `eval_every` are: to train anew on all links, say, for
            as long as an earlier run found best.
        out: Folder for checkpoints and logs.
        epochs: Most epochs to train. Default 100.
        batch_size: Positives per step, `B`. Default 2048.
        patience: Validations without a better result before training stops. Default 20:
            some methods start with a dip.
        eval_every: Epochs between validations. Default 1.
        device: `'auto'`, `'cpu'`, `'cuda'`, or another name of a lightning accelerator.
        resume: Go on from `out/checkpoints/last.ckpt`.
        callbacks: More of lightning's callbacks, such as one that gives up a hopeless trial.
        progress: Whether to show how far training is. Default: yes.
        planned: Epochs that schedules count on, at least `epochs`. Default: `epochs`.

    Raises:
        ValueError: If nothing is held out to validate on, if what is held out can be read off a
            graph (see :func:`check_leakage`), if a number is out of range, if there is no CUDA
            device for `device='cuda'`, or if the checkpoint to resume from is damaged.
        FileNotFoundError: If there is nothing to resume from.
        FileExistsError: If `out` holds another run and `resume` is not set.
        NonFiniteLossError: If the loss becomes NaN or infinite.
        KeyboardInterrupt: On Ctrl-C, with the last checkpoint kept.
    """
    edge_type = recommender.encoder.edge_type
    check_schedule(epochs, patience, min(eval_every, epochs) if val_data is None else eval_every)
    if planned is not None and planned < epochs:
        raise invalid("fit", "planned", f"at least epochs = {epochs}", planned)
    validation = _validation(train_data, val_data, edge_type)
    accelerator = _accelerator(device)
    loader = LinkLoader(train_data, batch_size, seed=recommender.seed, edge_type=edge_type)

    if not resume:
        recommender.history = []
    keep_freed_memory()
    last = last_checkpoint(out, resume)
    folder = last.parent

    monitor = f"val/NDCG@{recommender.k[0]}"
    trainer = _quiet_trainer(
        accelerator=accelerator,
        max_epochs=epochs,
        check_val_every_n_epoch=eval_every,
        logger=_loggers(Path(out) / "logs"),
        callbacks=[
            *([Progress(monitor)] if progress else []),
            *([] if validation is None else _selecting(folder, monitor, patience)),
            _keep_last(folder),
            *callbacks,
        ],
    )
    recommender.train()  # an earlier run has left it in evaluation mode
    recommender.planned_epochs = planned  # and perhaps with a schedule of its own
    with _ctrl_c_as_ever():
        checkpoint = str(last) if resume else None
        trainer.fit(recommender, loader, validation, ckpt_path=checkpoint, weights_only=True)

    return _with_best_weights(
        recommender, last if validation is None else folder / "best.ckpt", monitor
    )


def check_schedule(epochs: int, patience: int, eval_every: int) -> None:
    """Refuses numbers with which :func:`fit` would train nothing, or select nothing.

    Args:
        epochs: Most epochs to train.
        patience: Validations without a better result before training stops.
        eval_every: Epochs between validations.

    Raises:
        ValueError: If one is less than 1, or `eval_every` more than `epochs`.
    """
    for name, value in (("epochs", epochs), ("patience", patience), ("eval_every", eval_every)):
        if value < 1:
            raise invalid("fit", name, "at least 1", value)
    if eval_every > epochs:
        expected = f"at most epochs = {epochs}, or nothing is ever selected"
        raise invalid("fit", "eval_every", expected, eval_every)


def _validation(
    train_data: HeteroData, val_data: HeteroData | None, edge_type: EdgeType
) -> DataLoader[HeteroData] | None:
    """Gives the split to select by as the one "batch" of a loader; refuses one that cannot."""
    if val_data is None:
        return None
    if held_out_links(val_data, edge_type).size(1) == 0:
        raise invalid("fit", "val_data", "a split with held-out links to select by", "none")
    check_leakage(train_data, val_data, edge_type=edge_type)
    return DataLoader([val_data], batch_size=None)  # type: ignore[arg-type]


def _with_best_weights(recommender: Recommender, best: Path, monitor: str) -> Fitted:
    """Gives a trained recommender the weights of its best epoch, and says what the run was."""
    state = torch.load(best, map_location=recommender.device, weights_only=True)
    recommender.load_state_dict(state["state_dict"])
    recommender.eval()  # so that embeddings read from now on are without dropout and noise
    history = recommender.history
    value = history[state["epoch"]].get(monitor, math.nan)
    return Fitted(history, state["epoch"], value, monitor, best)


@contextmanager
def _ctrl_c_as_ever() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, of which lightning makes an exit, and a handler."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _accelerator(device: str) -> str:
    """What lightning calls the device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise invalid("fit", "device", "one that is there", "'cuda', and torch sees no CUDA device")
    if device == "auto":  # lightning would take Apple's, which has no double precision
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"cuda": "gpu"}.get(device, device)


def last_checkpoint(out: str | Path, resume: bool = False) -> Path:
    """Where the run in `out` keeps its last checkpoint.

    Args:
        out: Folder of the run.
        resume: Whether there should be one already.

    Raises:
        FileNotFoundError: If there should be and is not.
        FileExistsError: If there is and should not be.
    """
    last = Path(out) / "checkpoints" / "last.ckpt"
    if resume and not last.exists():
        raise FileNotFoundError(f"nothing to resume: no {last}")
    if not resume and last.exists():
        raise FileExistsError(f"{out} already holds a run: resume it, or choose another folder")
    return last


class _EarlyStopping(EarlyStopping):
    """Resumes with the patience of today, and not at all where it had stopped for good."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def _selecting(folder: Path, monitor: str, patience: int) -> list[Callback]:
    """Early stopping, and the checkpoint of the best epoch."""
    return [
        _EarlyStopping(monitor, mode="max", patience=patience),
        ModelCheckpoint(folder, "best", monitor=monitor, mode="max", enable_version_counter=False),
    ]


def _keep_last(folder: Path) -> Callback:
    """The checkpoint of the last epoch, better or not."""
    return ModelCheckpoint(
        folder, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )


def _loggers(folder: Path) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(folder, name="csv")]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    return loggers


def _quiet_trainer(**arguments: Any) -> Trainer:
    """A trainer that leaves the talking to :class:`Progress`."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # The loaders have no workers because they have nothing to do; a folder is not empty because
    # a run resumes.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # lightning's own
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than")
    warnings.filterwarnings("ignore", message=".*defined a `validation_step` but have no")
    return Trainer(
        devices=1,
        plugins=[WholeCheckpoints()],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
