"""How a model comes about: selected on validation links, on test links, or selected and refitted.

clean   train on train, select on validation, test once
refit   the same; then train anew on train and validation, for as many epochs as were best
paper   train on train, select on test (as the released codes of several papers do)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lightning.pytorch.callbacks import Callback
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.evaluation import Scorer, evaluate, evaluate_sampled
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.data import known_in, with_known
from pyg_negsamp.experiments.methods import fit_options, make_recommender, make_reference
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import Fitted, Recommender, fit

#: Says something to whoever started a run, such as `print`.
Say = Callable[[str], None]
#: The callbacks that watch a training run, by what is added to its name: nothing, or `' anew'`.
Watch = Callable[[str], Sequence[Callback]]


def selected_on(protocol: str) -> str:
    """The held-out links that epochs are selected on: `'validation'` or `'test'`."""
    return "test" if protocol == "paper" else "validation"


def selecting(protocol: str) -> str:
    """What to call the metric that selects, in front of its name."""
    links = selected_on(protocol)
    return "selected on test" if links == "test" else links


def still_improving(config: Config, notes: Mapping[str, Any]) -> bool:
    """Whether the best epoch was the last that was validated of all that were asked for.

    Args:
        config: What was trained.
        notes: Those of :class:`Selected`.
    """
    epochs, every = config.training.epochs, config.training.eval_every
    return notes.get("epochs") == epochs and notes["best_epoch"] > epochs - every


@dataclass(frozen=True)
class Selected:
    """A model, and how it came about.

    Attributes:
        model: What was trained; or a reference.
        scorer: What it ranks by.
        known: The graph that it knows.
        notes: The metric that selected it, by the name of :func:`selecting`, and the `seconds` of
            training, or of making a reference, without validation. Of a trained one also
            `best_epoch` (from 1), `epochs` and `seconds_per_epoch`.
        fitted: Of the run that selected; `None` if none was needed.
        checkpoint: The file that holds the model, if any.
    """

    model: Recommender | Scorer
    scorer: Scorer
    known: HeteroData
    notes: dict[str, Any]
    fitted: Fitted | None = None
    checkpoint: Path | None = None


def select(
    config: Config,
    dataset: InteractionDataset,
    out: Path | None,
    resume: bool = False,
    watch: Watch = lambda name: (),
    progress: bool = True,
    selection: Mapping[str, Any] | None = None,
    say: Say = lambda text: None,
) -> Selected:
    """Makes a model by the protocol of its configuration.

    Args:
        config: What to make.
        dataset: Three graphs.
        out: Folder of checkpoints and logs; with `None` nothing stays on disk.
        resume: Whether to go on with the run in `out`.
        watch: Further callbacks of training.
        progress: Whether to show how far training is.
        selection: Notes of an earlier run under `'clean'`, whose epochs `'refit'` takes.
        say: Is told what happens.
    """
    train_data, val_data, test_data = dataset
    protocol = config.evaluation.protocol
    by = test_data if protocol == "paper" else val_data
    known = known_in(test_data) if protocol == "refit" else train_data
    if config.is_reference:
        return select_reference(config, train_data, by, known)

    fitted, seconds = None, []
    if protocol != "refit" or selection is None:
        model = start(config, train_data, dataset, say)
        model.selects_on = "test" if protocol == "paper" else "val"
        say(f"\n{model.sampler}\n{model.loss}\n")
        options = {**fit_options(config), "progress": progress, "callbacks": watch("")}
        fitted = fit(model, train_data, by, out, **options, resume=resume)
        seconds += [epoch["seconds"] for epoch in fitted.history]
        selection = {
            "best_epoch": fitted.best_epoch + 1,
            "epochs": len(fitted.history),
            selecting(protocol): fitted.best,
        }
    checkpoint = fitted.checkpoint if fitted else None
    if protocol == "refit":
        best = selection["best_epoch"]
        say(f"\ntraining anew, on validation links too; epochs: {best}")
        model = start(config, known, dataset, say)
        seconds = []  # of the training that made it, whoever selected its epochs
        anew = None if out is None else out / "refit"
        begun = anew is not None and (anew / "checkpoints" / "last.ckpt").exists()
        options = {**fit_options(config), "progress": progress, "callbacks": watch(" anew")}
        options |= {"epochs": best, "planned": config.training.epochs}
        checkpoint = fit(model, known, None, anew, **options, resume=begun).checkpoint
        seconds += [epoch["seconds"] for epoch in model.history]
    notes = {name: selection[name] for name in ("best_epoch", "epochs", selecting(protocol))}
    # Of training; with what came before an interruption, and without the stop.
    notes |= {"seconds": sum(seconds), "seconds_per_epoch": median(seconds)}
    return Selected(model, model.scoring_tables(), known, notes, fitted, checkpoint)


def select_reference(
    config: Config, train_data: HeteroData, by: HeteroData, known: HeteroData
) -> Selected:
    """A ranking without training; there is nothing to select, but the metric is noted."""
    k = config.evaluation.top_k[:1]
    started = time.perf_counter()
    scorer = selecting_one = make_reference(config, train_data)
    if known is not train_data:
        scorer = make_reference(config, known)
    seconds = time.perf_counter() - started
    found = evaluate(selecting_one, by, k, ("NDCG",))[f"NDCG@{k[0]}"]
    notes = {selecting(config.evaluation.protocol): found, "seconds": seconds}
    return Selected(scorer, scorer, known, notes)


def start(config: Config, data: HeteroData, dataset: InteractionDataset, say: Say) -> Recommender:
    """An untrained model; with `warm_start`, one that knows the rows of an earlier one."""
    model = make_recommender(config, data)
    if config.training.warm_start is not None:
        earlier = TrainedModel.load(config.training.warm_start)
        new = earlier.warm_start(model.encoder, dataset)
        say(f"warm start from {config.training.warm_start}: {new}")
    return model


def evaluate_otherwise(config: Config, scorer: Scorer, test_data: HeteroData) -> dict[str, float]:
    """What `eval` asks for beside full ranking; nothing by default."""
    k = config.evaluation.top_k
    if config.evaluation.eval == "sampled":
        sets = evaluate_sampled(scorer, test_data, k)
        return {name: sum(found[name] for found in sets) / len(sets) for name in sets[0]}
    if config.evaluation.eval == "with-known":
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # which is the point
            return evaluate(scorer, with_known(config, test_data), k)
    return {}
