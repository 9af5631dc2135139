"""A whole run: train, validate, keep the best, stop early, and be able to go on."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.diagnostics import DEFAULT
from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.evaluation import check_leakage
from pyg_negsamp.graph import held_out_links
from pyg_negsamp.nn import FromModule
from pyg_negsamp.training.checkpoints import read_checkpoint
from pyg_negsamp.training.diagnostics import watching
from pyg_negsamp.training.graphs import check_graphs
from pyg_negsamp.training.links import LinkLoader
from pyg_negsamp.training.neighbors import NeighborLinkLoader
from pyg_negsamp.training.process import process_left_as_found
from pyg_negsamp.training.progress import Progress
from pyg_negsamp.training.ranks import ALONE, Ranks
from pyg_negsamp.training.recommender import Recommender
from pyg_negsamp.training.replayable import check_replays
from pyg_negsamp.training.strategy import lost_ranks_named
from pyg_negsamp.training.trainer import (
    WEIGHTS,
    TimeLimit,
    default_loggers,
    make_trainer,
    run_callbacks,
)


@dataclass(frozen=True)
class Fitted:
    """What a run left behind.

    Attributes:
        history: A dictionary per epoch, see :class:`Recommender`.
        best_epoch: Epoch of the best validation, from 0; its weights are loaded. Without any
            validation: the last one.
        best: The monitored metric there; NaN without any validation.
        monitor: Name of the monitored metric, such as `'val/NDCG@20'`.
        checkpoint: File with those weights; `None` if the run had no folder to keep it in.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best: float
    monitor: str
    checkpoint: Path | None


def fit(
    recommender: Recommender,
    train_data: HeteroData,
    val_data: HeteroData | None,
    out: str | Path | None = None,
    epochs: int = 100,
    batch_size: int = 2048,
    patience: int = 20,
    eval_every: int = 1,
    device: str = "auto",
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    planned: int | None = None,
    *,
    precision: str = "32-true",
    max_time: str | timedelta | dict[str, int] | None = None,
    loggers: Sequence[Logger] | None = None,
    diagnostics: str | Sequence[str] = DEFAULT,
    devices: int = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    cuda_graph: bool = False,
) -> Fitted:
    """Trains a recommender, selecting by NDCG at its first `k` on `val_data` only.

    After every epoch `out/checkpoints/last.ckpt` holds the whole state, written to a temporary
    name and renamed; after a better validation, `best.ckpt` does. With `resume`, a run goes on
    from the last checkpoint and gives, bit by bit, what it would have given uninterrupted (with as
    many `epochs`: :class:`CuCo`'s schedule, for one, depends on their number).

    The process is left as it was found, after an error too: log levels, warning filters, signal
    handlers, the states of global random generators (what an encoder draws from them by itself
    excepted). For C memory see :func:`freed_memory_kept`.

    Args:
        recommender: What to train; left with the best weights, in evaluation mode.
        train_data: Training graph.
        val_data: Split to select by. With `None` all `epochs` are trained and the last weights
            kept, whatever `patience` and `eval_every` are: to train anew on all links, say, for
            as long as an earlier run found best.
        out: Folder for checkpoints and logs. Default: a temporary one, which is gone afterwards.
        epochs: Most epochs to train. Default 100.
        batch_size: Positives per step, `B`. Default 2048.
        patience: Validations without a better result before training stops. Default 20:
            some methods start with a dip.
        eval_every: Epochs between validations. Default 1.
        device: `'auto'`, `'cpu'`, `'cuda'`, or another name of a lightning accelerator.
            Default `'auto'`: CUDA where there is some.
        resume: Go on from `out/checkpoints/last.ckpt`. Default: no.
        callbacks: More of lightning's callbacks, such as one that gives up a hopeless trial.
            Default: none.
        progress: Whether to show how far training is. Default: yes.
        planned: Epochs that schedules count on, at least `epochs`. Default: `epochs`.
        precision: Lightning's name of the arithmetic: `'32-true'`, `'64-true'` (weights become
            double and stay so; the matrix of a graph encoder keeps the precision that it was
            made in), `'bf16-mixed'` (products of a step in 16 bits; weights and validation stay
            in 32) or `'bf16-true'` (weights become bfloat16 and stay so, at half the memory;
            scores, losses and validation are in 32 bits). Default `'32-true'`.
        max_time: When to stop: after the first epoch that ends later than this, counted from the
            start of this call. A time such as `'90s'`, `'20m'`, `'1.5h'` or `'01:12:00:00'`, a
            `timedelta`, or a dictionary of its arguments. The last checkpoint is that of a whole
            epoch, to go on from. If it comes before the first validation, the last weights are
            kept. Default: no limit.
        loggers: Lightning's loggers for the metrics of each epoch; an empty sequence for none.
            Default: CSV, and TensorBoard if that is installed, under `out/logs`; without `out`,
            none.
        diagnostics: What to notice at the end of epochs, see :class:`Diagnostics`, by the names of
            :data:`pyg_negsamp.diagnostics.DIAGNOSTICS`; `'all'` or `'none'`. It goes into `history`
            and to the loggers; training is the same with it. Default: hardness, false negatives
            (of `val_data`), popularity and over-fitting.
        devices: How many processes of this machine train together, one per GPU, if there are such:
            they find what one finds, see `docs/scale.md`. The first one runs the script again for
            the others, unless torchrun or Slurm has started them; all return the same. Default 1.
        num_nodes: Machines, each with as many processes. Default 1.
        strategy: `'auto'` or `'ddp'`, lightning's name of how they work together. Default
            `'auto'`: what `devices` and `num_nodes` need.
        cuda_graph: Whether to record a step as a CUDA graph, and to replay it: the same steps, in
            less time where a GPU waits for Python, see `docs/performance.md`. For one GPU, whole
            graphs, and samplers that are `replayable`. An encoder, sampler, loss, callback or
            optimiser of one's own may keep something from step to step only by writing into
            tensors: new tensors and numbers of Python's are not seen, and nothing says so.
            Default: no.

    Raises:
        ValueError: If nothing is held out to validate on, if what is held out can be read off a
            graph (see :func:`check_leakage`) or the encoder's graph holds it, if links to train on
            are not known to the sampler's candidates, if a number, `precision` or `max_time` is out
            of range, if a diagnostic is unknown, if a step cannot be recorded, if there are fewer
            devices, or other numbers of processes were started, if `resume` has no `out`, if a
            checkpoint is damaged, of another model or selected by another metric, or if more than
            `epochs` are trained already.
        FileNotFoundError: If there is nothing to resume from.
        FileExistsError: If `out` holds another run and `resume` is not set.
        OSError: If a checkpoint cannot be written; the one before is kept.
        NonFiniteLossError: If the loss becomes NaN or infinite.
        RankLostError: If another of several processes has ended.
        KeyboardInterrupt: On Ctrl-C, with the last checkpoint kept.
        SystemExit: On SIGTERM, with code 143 and the last checkpoint kept.
    """
    if not isinstance(recommender, Recommender):
        expected = "a Recommender, such as Recommender(encoder, DNS(train_data))"
        raise invalid("fit", "recommender", expected, short(recommender))
    edge_type = recommender.encoder.edge_type
    check_schedule(epochs, patience, eval_every, selects=val_data is not None)
    if planned is not None and planned < epochs:
        raise invalid("fit", "planned", f"at least epochs = {epochs}", planned)
    if out is None and resume:
        raise invalid("fit", "out", "the folder of the run to resume", None)
    ranks = recommender.ranks = Ranks.here(devices, num_nodes)
    if cuda_graph:
        check_replays(recommender, device, precision, diagnostics, callbacks)
    watched_by = watching(diagnostics, train_data, val_data)
    validation = _validation(train_data, val_data, edge_type, ranks)
    loader = _loader(recommender, train_data, batch_size)
    check_graphs(recommender, train_data, val_data, loader.links, loader.times)
    monitor = recommender.monitor

    with _folder(out) as folder, process_left_as_found(), lost_ranks_named(ranks):
        last = last_checkpoint(folder, resume)
        if resume:
            _check_goes_on(recommender, last, epochs)
        if loggers is None:
            loggers = [] if out is None else default_loggers(folder / "logs")
        trainer = make_trainer(
            device,
            precision,
            devices,
            num_nodes,
            strategy,
            max_epochs=epochs,
            check_val_every_n_epoch=eval_every,
            logger=loggers,
            callbacks=[
                *watched_by,
                *([Progress()] if progress and ranks.first else []),
                *([] if max_time is None else [TimeLimit(max_time)]),
                *run_callbacks(last.parent, None if validation is None else monitor, patience),
                *callbacks,
            ],
        )
        if not resume:
            recommender.history = []
        if precision in WEIGHTS:  # before a checkpoint's are read into them
            recommender.to(WEIGHTS[precision])
        recommender.train()  # an earlier run has left it in evaluation mode
        recommender.planned_epochs = planned  # and perhaps with a schedule of its own
        checkpoint = str(last) if resume else None
        recommender.replays = cuda_graph
        try:
            trainer.fit(recommender, loader, validation, ckpt_path=checkpoint, weights_only=True)
        finally:
            recommender.replay = None  # a recording can neither be copied nor saved
            recommender.replays = False
        validated = validation is not None and any(monitor in e for e in recommender.history)
        best = last.with_name("best.ckpt") if validated else last
        # Of the first rank, whose folder it is.
        best, epoch, weights = ranks.told(lambda: _weights(best, recommender))
        fitted = _with_weights(recommender, best, epoch, weights)
    return replace(fitted, checkpoint=None) if out is None else fitted


def _loader(
    recommender: Recommender, train_data: HeteroData, batch_size: int
) -> LinkLoader | NeighborLinkLoader:
    """Loads links alone, or with the neighbourhoods that the encoder asks for."""
    encoder, seed = recommender.encoder, recommender.seed
    loader = LinkLoader(train_data, batch_size, seed=seed, edge_type=encoder.edge_type)
    if encoder.num_neighbors is None:
        return loader
    assert isinstance(encoder, FromModule)  # nobody else's loader samples
    return NeighborLinkLoader(
        encoder.graph,
        loader.links,
        loader.times,
        encoder.edge_type,
        recommender.sampler,
        encoder.num_neighbors,
        batch_size,
        seed,
        recommender.ranks if recommender.by_row else ALONE,
    )


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """Gives `out`, or a folder that is gone afterwards."""
    if out is not None:
        yield Path(out).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="pyg_negsamp-") as folder:
        yield Path(folder)


def check_schedule(epochs: int, patience: int, eval_every: int, selects: bool = True) -> None:
    """Refuses numbers with which :func:`fit` would train nothing, or select nothing.

    Args:
        epochs: Most epochs to train.
        patience: Validations without a better result before training stops.
        eval_every: Epochs between validations.
        selects: Whether there are validations at all. Default: yes.

    Raises:
        ValueError: If one is no whole number of at least 1, or `eval_every` more than `epochs`.
    """
    for name, value in (("epochs", epochs), ("patience", patience), ("eval_every", eval_every)):
        whole_number("fit", name, value, least=1)
    if selects and eval_every > epochs:
        expected = f"at most epochs = {epochs}, or nothing is ever selected"
        raise invalid("fit", "eval_every", expected, eval_every)


def _validation(
    train_data: HeteroData, val_data: HeteroData | None, edge_type: EdgeType, ranks: Ranks
) -> DataLoader[HeteroData] | None:
    """Gives the split to select by as the one "batch" of a loader; refuses one that cannot.

    Of several ranks, each gets the users that it ranks.
    """
    if val_data is None:
        return None
    held_out = held_out_links(val_data, edge_type)
    if held_out.size(1) == 0:
        raise invalid("fit", "val_data", "a split with held-out links to select by", "none")
    check_leakage(train_data, val_data, edge_type=edge_type)
    if ranks.size > 1:
        users = held_out[0].unique()
        mine = torch.isin(held_out[0], users[ranks.rows(len(users))])
        val_data = copy.copy(val_data)
        val_data[edge_type].pos_edge_label_index = held_out[:, mine]
    return DataLoader(
        [val_data],  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=copy.copy,  # what is moved to the device is not the caller's
        generator=torch.Generator(),  # the loader would otherwise move the global one
    )


def _check_goes_on(recommender: Recommender, last: Path, epochs: int) -> None:
    """Refuses checkpoints that the run could not end with, before an epoch is spent."""
    state = read_checkpoint(last, recommender)
    history, monitor = state["history"], recommender.monitor
    kept_by = {kept.get("monitor") for kept in state["callbacks"].values()} - {None}
    if kept_by and monitor not in kept_by:  # its best epoch and patience would be forgotten
        expected = f"one that selects by {' or '.join(sorted(kept_by))}, as {last.parents[1]} does"
        raise invalid("fit", "recommender", expected, monitor)
    if epochs < len(history):
        expected = f"at least {len(history)}, as many as the run in {last.parents[1]} has trained"
        raise invalid("fit", "epochs", expected, epochs)
    if len(history) != state["epoch"] + 1:  # lightning validates before an epoch ends
        expected = "a checkpoint from the end of an epoch (begin the run anew)"
        raise invalid("fit", str(last), expected, f"one from within epoch {state['epoch']}")
    rate = state["optimizer_states"][0]["param_groups"][0]["lr"]
    if recommender.lr not in (None, rate) and not state["lr_schedulers"]:
        expected = f"one with lr={rate}, as the run in {last.parents[1]}"
        raise invalid("fit", "recommender", expected, f"lr={recommender.lr}")
    if any(monitor in epoch for epoch in history):
        read_checkpoint(last.with_name("best.ckpt"), recommender)


def _weights(best: Path, recommender: Recommender) -> tuple[Path, int, dict[str, Any]]:
    """The file of the best epoch, which epoch that was, and its weights."""
    state = read_checkpoint(best, recommender)
    return best, state["epoch"], state["state_dict"]


def _with_weights(
    recommender: Recommender, best: Path, epoch: int, weights: dict[str, Any]
) -> Fitted:
    """Gives a trained recommender the weights of its best epoch, and says what the run was."""
    recommender.load_state_dict(weights)
    recommender.eval()  # so that embeddings read from now on are without dropout and noise
    history, monitor = recommender.history, recommender.monitor
    return Fitted(history, epoch, history[epoch].get(monitor, math.nan), monitor, best)


def last_checkpoint(out: str | Path, resume: bool = False) -> Path:
    """Where the run in `out` keeps its last checkpoint.

    Args:
        out: Folder of the run.
        resume: Whether there should be one already.

    Raises:
        FileNotFoundError: If there should be and is not.
        FileExistsError: If there is and should not be.
    """
    last = Path(out).expanduser() / "checkpoints" / "last.ckpt"
    if resume and not last.exists():
        raise FileNotFoundError(f"there is no run to resume: no {last}; begin it anew")
    if not resume and last.exists():
        raise FileExistsError(f"{out} already holds a run: resume it, or choose another folder")
    return last
