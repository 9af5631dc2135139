"""One run, from a configuration to a tested and saved model.

RUN/config.yaml     every field and hyper-parameter
RUN/checkpoints/    the last epoch and the best; RUN/logs/ metrics per epoch
RUN/metrics.json    what was found on test, and how; RUN/users.npz and RUN/hits.npz: see
                    :mod:`pyg_negsamp.experiments.kept`
RUN/model/          the saved model, see :class:`pyg_negsamp.TrainedModel`
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.datasets.report import format_summary
from pyg_negsamp.evaluation import Measured, Scorer, check_leakage
from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.config import MAY_CHANGE, Config, merged, read_run
from pyg_negsamp.experiments.data import FRAME, digest, load_data
from pyg_negsamp.experiments.kept import FOUND, as_json, measure_test, write_arrays
from pyg_negsamp.experiments.machine import Peak
from pyg_negsamp.experiments.methods import try_out
from pyg_negsamp.experiments.protocols import Say, Selected, evaluate_otherwise, select, selecting
from pyg_negsamp.experiments.record import RECORD as TABLE
from pyg_negsamp.files import taken, write
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.serving.folder import check_replaceable
from pyg_negsamp.training import Ranks, Recommender, last_checkpoint

#: The folders in the folder of a run.
OF_A_RUN = ("model", "checkpoints", "logs", "refit")


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes:
        config: What was run.
        model: The model, with the ids of its users and items.
        selected: How it came about.
        measured: What the model does on test, by full ranking.
        other: Those of another evaluation, if `eval` asks for one.
        popularity: Test metrics of ranking by popularity.
    """

    config: Config
    model: TrainedModel
    selected: Selected
    measured: Measured
    other: dict[str, float]
    popularity: dict[str, float]

    @property
    def test(self) -> dict[str, float]:
        """Test metrics by full ranking, as fractions; numbers of links of AveragePopularity."""
        return self.measured.metrics


def train(
    source: str | Path | pd.DataFrame, out: str | Path | None = None, **given: Any
) -> TrainedModel:
    """Trains and tests a model on interactions, and returns it ready to be asked.

    ```python
    model = pyg_negsamp.train("purchases.csv", user_column="customer", item_column="sku",
                              encoder="lightgcn", neg="dins")
    model.recommend(["c17"], k=10)
    ```

    With `devices=2`, say, the script is run again for the other processes, which end here; what
    comes after is for the first one alone.

    Args:
        source: A file, a benchmark or synthetic data by name, or a frame with a row each.
        out: Folder for checkpoints, logs and the saved model. Default: nothing is left on disk.
        **given: Fields of :class:`Config` but `dataset`, and arguments of the chosen methods: the
            flags of `pyg-negsamp train`, with underscores.

    Raises:
        ValueError: If a field is unknown or wrong, or the source cannot be used.
        FileExistsError: If `out` holds another run.
        NonFiniteLossError: If training diverges.
    """
    if not isinstance(source, str | Path | pd.DataFrame):
        raise ConfigError("source", "a file, a name or a pandas DataFrame", source)
    if out is not None and not isinstance(out, str | Path):
        raise ConfigError("out", "a folder, as text or a path", out)
    if "dataset" in given:
        raise ConfigError("dataset", "left out: the source says it", given["dataset"])
    frame = source if isinstance(source, pd.DataFrame) else None
    name = FRAME if frame is not None else str(source)
    config = Config.of(**given, dataset=name)
    return run(config, None if out is None else Path(out).expanduser(), frame=frame).model


def run(
    config: Config,
    out: Path | None,
    resume: bool = False,
    frame: pd.DataFrame | None = None,
    say: Say = lambda text: None,
) -> Outcome:
    """Trains a model, tests it once, and saves it.

    Args:
        config: What to run.
        out: Folder of the run; with `None` nothing stays on disk.
        resume: Whether to go on with the run in `out`.
        frame: Interactions in memory, in place of a named source.
        say: Is told what happens.

    Raises:
        SystemExit: In other processes than the first of several, once training is over.
        ValueError: If the configuration, the data or the run to resume do not go together.
        FileExistsError: If `out` holds another run, or another process is at it.
        FileNotFoundError: If there is nothing to resume.
        NonFiniteLossError: If training diverges.
    """
    ranks = Ranks.here(config.training.devices, config.training.num_nodes)
    if not ranks.first:
        train_along(config, out, resume, frame)
    if out is not None:
        check_free(out)
        check_folder(out, resume)
    try_out(config)
    dataset = load_data(config, frame)
    check_leakage(*dataset)
    say(format_summary(dataset.summary()))
    if config.evaluation.protocol == "paper":
        say("\nprotocol: paper - the model is SELECTED ON TEST links, as some released codes do")
    if out is None:
        return finish(config, dataset, select(config, dataset, None, say=say))
    with taken(out) as ours:
        if not ours:
            raise in_use(out)
        check_folder(out, resume)  # another process may have been here meanwhile
        links = digest(dataset, dataset.user_ids, dataset.item_ids)
        begun = {**config.flat(), "links": links}
        if resume:
            check_same_run(begun, out / "config.yaml")
            (out / FOUND).unlink(missing_ok=True)  # until it is of the configuration beside it
        peak = Peak()
        watch = WriteConfig(out / "config.yaml", begun)
        selected = select(config, dataset, out, resume, lambda name: [watch], say=say)
        if config.is_reference:
            watch.write()
        outcome = finish(config, dataset, selected)
        outcome.model.save(out / "model")
        write_arrays(out, outcome.measured, config.evaluation.top_k[0])
        found = found_by(outcome, dataset, peak)
        write(out / FOUND, json.dumps(found, indent=2) + "\n")
    return outcome


def train_along(
    config: Config, out: Path | None, resume: bool, frame: pd.DataFrame | None
) -> NoReturn:
    """What other ranks than the first do, who sees to all the rest: they train, and end."""
    select(config, load_data(config, frame), out, resume, progress=False)
    raise SystemExit(0)


def finish(config: Config, dataset: InteractionDataset, selected: Selected) -> Outcome:
    """Reads test, and makes the model that is kept."""
    test_data, k = dataset[2], config.evaluation.top_k
    measured, popularity = measure_test(config, selected, test_data)
    other = evaluate_otherwise(config, selected.scorer, test_data)
    by = selecting(config.evaluation.protocol)
    metrics = {f"{by}/NDCG@{k[0]}": selected.notes[by]}
    metrics |= {f"test/{name}": value for name, value in measured.metrics.items()}
    described = {**config.flat(), **own_numbers(selected.model)}
    model = TrainedModel.from_training(
        selected.model, dataset, selected.known, config=described, metrics=metrics
    )
    return Outcome(config, model, selected, measured, other, popularity)


def own_numbers(model: Recommender | Scorer) -> dict[str, Any]:
    """What methods chose by themselves, where the configuration left it to them."""
    if not isinstance(model, Recommender):
        return {}
    return {
        "num_candidates": model.sampler.num_candidates,
        "num_negatives": model.sampler.num_negatives,
        "layers": model.encoder.num_layers,
        "pool": model.encoder.pool,
    }


def found_by(outcome: Outcome, dataset: InteractionDataset, peak: Peak) -> dict[str, Any]:
    """What `metrics.json` holds."""
    selected, evaluation = outcome.selected, outcome.config.evaluation
    other = {f"test_{evaluation.eval.replace('-', '_')}": outcome.other} if outcome.other else {}
    history = selected.fitted.history if selected.fitted else []
    return {
        **as_json(selected, outcome.measured, outcome.popularity, history, peak),
        **other,
        "protocol": evaluation.protocol,
        "report": dataset.summary(),
    }


def check_free(out: Path) -> None:
    """Refuses a folder that another process is at, before anything is loaded."""
    if (out / "lock").exists():
        with taken(out) as ours:
            if not ours:
                raise in_use(out)


def in_use(out: Path) -> FileExistsError:
    """What to say of a folder that another process is at."""
    return FileExistsError(f"{out} is in use by another process: choose another folder, or wait")


def check_folder(out: Path, resume: bool) -> None:
    """Refuses a folder that holds another run, before anything is written."""
    if out.is_file():
        raise FileExistsError(f"{out} is a file: choose another folder")
    last_checkpoint(out, resume)
    if resume:
        check_replaceable(out / "model")
    else:
        if (out / TABLE).exists():
            raise FileExistsError(f"{out} holds a table of `compare`: choose another folder")
        where = out.resolve()
        if where.name in OF_A_RUN and (where.parent / "config.yaml").exists():
            raise FileExistsError(f"{out} is a part of another run: choose another folder")
        last_checkpoint(out / "refit")
        if (out / "model").exists():
            raise FileExistsError(f"{out} already holds a model: choose another folder")


def check_same_run(config: dict[str, Any], file: Path) -> None:
    """Refuses to go on with a run that was begun with other fields, or on other data."""
    was = read_run(file)
    names = {name for name in {*was, *config} if was.get(name) != config.get(name)}
    if changed := sorted(names.difference(MAY_CHANGE)):
        said = {"links": "set of links, or of ids"}
        what = ", ".join(said.get(name, f"--{name.replace('_', '-')}") for name in changed)
        raise ValueError(f"--resume: the run in {file.parent} was begun with another {what}")


def to_resume(out: Path, given: dict[str, Any]) -> Config:
    """The configuration of a run to go on with, with what may change in it changed.

    Args:
        out: Folder of the run.
        given: Fields that somebody gave beside.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If its file cannot be read, or a field is wrong.
    """
    if not (out / "config.yaml").is_file():
        raise FileNotFoundError(f"there is no run to resume in {out}: no config.yaml")
    was = read_run(out / "config.yaml")
    was.pop("links", None)
    return Config.of(**merged(was, given))


class WriteConfig(Callback):
    """Writes the run's configuration once training has accepted it."""

    def __init__(self, file: Path, config: dict[str, Any]) -> None:
        self.file, self.config = file, config

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first step: what a resumption needs is there before its checkpoint."""
        self.write()

    def write(self) -> None:
        """Writes it now."""
        write(self.file, yaml.safe_dump(self.config, sort_keys=False))
