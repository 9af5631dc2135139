"""Cells of a table: a row under one protocol with one seed, each in a folder of its own.

A folder is named by all that decides the numbers: the configuration, what is read, and the code.
So a finished cell is never computed again, unless one of them has changed. A killed cell goes on
with its last epoch.

    metrics.json   what was found; a cell is finished once it is there
    users.npz      test metrics of every user, `[n]` each, for paired tests
    hits.npz       which held-out links are in the lists
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import DEFAULT, check_leakage
from pyg_negsamp.experiments.code import code_version
from pyg_negsamp.experiments.comparison import Comparison, Row
from pyg_negsamp.experiments.config import PLACES, Config
from pyg_negsamp.experiments.data import digest, load_data
from pyg_negsamp.experiments.kept import (
    FOUND,
    HITS,
    USERS,
    as_json,
    measure_test,
    read_arrays,
    write_arrays,
)
from pyg_negsamp.experiments.machine import Peak
from pyg_negsamp.experiments.protocols import evaluate_otherwise, select, selecting, start
from pyg_negsamp.experiments.reference_rows import choose_arguments
from pyg_negsamp.files import taken, write
from pyg_negsamp.graph import held_out_links
from pyg_negsamp.serving.folder import RECORD, find_folder
from pyg_negsamp.training import FalseNegatives, NonFiniteLossError, Progress


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        row: What is run.
        config: Its configuration, with protocol and seed.
        sources: What it reads, see :func:`sources`.
        folder: Where it is kept.
        clean: Folder of the cell that selects on validation links, whose epochs a refit takes.
    """

    row: Row
    config: Config
    sources: str
    folder: Path
    clean: Path | None = None

    @property
    def protocol(self) -> str:
        """How its model comes about."""
        return self.config.evaluation.protocol

    @property
    def seed(self) -> int:
        """What its draws depend on."""
        return self.config.training.seed

    @property
    def finished(self) -> bool:
        """Whether its numbers are there, or that there are none."""
        return (self.folder / FOUND).exists()

    def found(self) -> dict[str, Any]:
        """What a finished cell found; `failed` says why there are no numbers."""
        found: dict[str, Any] = json.loads((self.folder / FOUND).read_text())
        return found

    def users(self) -> dict[str, NDArray[Any]]:
        """Test metrics of every user, and their ids as `user`; of a cell that has numbers."""
        return read_arrays(self.folder / USERS)

    def hits(self) -> dict[str, NDArray[Any]]:
        """The held-out links as `link`, and which are hit, as `hit@K`; of one that has numbers."""
        return read_arrays(self.folder / HITS)

    @property
    def has_users(self) -> bool:
        """Whether it kept numbers of users; a run of an earlier version did not."""
        return (self.folder / USERS).exists()

    @property
    def damaged(self) -> bool:
        """Whether it is finished, but its files were cut or lost since, or made unreadable."""
        if not self.finished:
            return False
        try:
            run = self.found()
            if "failed" in run:
                return False
            users, hits = self.users(), self.hits()
            needed = {"seconds", "history", "groups", selecting(self.protocol)}
            names = users.keys() - {"user"}
            whole = needed <= {*run} and "user" in users and names <= {*run["test"]}
            hit = hits[f"hit@{self.config.evaluation.top_k[0]}"]
            alike = len({len(x) for x in users.values()}) == 1
            return not (whole and alike and hits["link"].shape == (2, len(hit)))
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return True

    def __str__(self) -> str:
        return f"{self.row.name}, {self.protocol}, seed {self.seed}"


def load_all(comparison: Comparison) -> dict[str, InteractionDataset]:
    """The data of every protocol, checked.

    Raises:
        ValueError: If a source cannot be read, nothing is held out, or what is held out can be
            read off a graph.
    """
    found: dict[str, InteractionDataset] = {}
    for protocol in ("clean", "paper"):
        mine = [name for name in comparison.protocols if (name == "paper") == (protocol == "paper")]
        if mine:
            config = comparison.rows[0].config.but(protocol=protocol)
            dataset = load_data(config)
            check_leakage(*dataset)
            for name, split in zip(("validation", "test"), list(dataset)[1:], strict=True):
                if not held_out_links(split).numel() and (name == "test" or protocol == "clean"):
                    expected = f"large enough that {name} links are held out"
                    raise invalid("compare", "dataset", expected, config.data.dataset)
            found |= dict.fromkeys(mine, dataset)
    return found


def plan(
    comparison: Comparison, datasets: Mapping[str, InteractionDataset], out: Path, seeds: int
) -> list[Cell]:
    """All cells, seed by seed, so that an early stop leaves a whole table of fewer seeds.

    Args:
        comparison: What to compare.
        datasets: By protocol, see :func:`load_all`.
        out: Folder of the table.
        seeds: Seeds of every row that is trained, counted from 0.
    """
    links = {
        name: digest(dataset, dataset.user_ids, dataset.item_ids)
        for name, dataset in datasets.items()
    }
    found = []
    for seed in range(seeds):
        for protocol in comparison.protocols:
            for row in comparison.rows:
                if row.config.is_reference and seed:
                    continue  # nothing in it is random
                config = row.config.but(protocol=protocol, seed=seed)
                read = sources(config, links[protocol])
                folder, clean = (
                    out / "cells" / folder_name(row, each, read)
                    for each in (config, config.but(protocol="clean"))
                )
                refit = protocol == "refit"
                found.append(Cell(row, config, read, folder, clean if refit else None))
    return found


def check_warm_starts(comparison: Comparison, dataset: InteractionDataset) -> None:
    """Refuses a model to start from that cannot be read, or does not fit a row."""
    for row in comparison.rows:
        if row.config.training.warm_start is not None:
            with row.named_in_errors():
                start(row.config, dataset[0], dataset, lambda text: None)


# What a cell is -------------------------------------------------------------------------------


def sources(config: Config, links: str) -> str:
    """A hash of what a cell reads: its links, and the model that it starts from.

    Args:
        config: Of the cell.
        links: Digest of its graphs.
    """
    if config.training.warm_start is None:
        return links
    record = find_folder(Path(config.training.warm_start)) / RECORD  # it has all checksums
    return f"{links} {hashlib.sha256(record.read_bytes()).hexdigest()[:16]}"


def folder_name(row: Row, config: Config, read: str) -> str:
    """What the folder of a cell is called."""
    slug = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-")
    said = config.evaluation.protocol, config.training.seed, identity(row, config, read)
    return "-".join([slug, *map(str, said)])


def identity(row: Row, config: Config, read: str) -> str:
    """A hash of all that decides a cell's numbers: its fields, what it reads, and the code."""
    places = (*PLACES, "warm_start")
    fields = {name: value for name, value in config.flat().items() if name not in places}
    fields["metrics"] = sorted({*DEFAULT, *(config.evaluation.metrics or ())})  # others are shown
    said = json.dumps([fields, row.search, read, code_version()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


# One cell -------------------------------------------------------------------------------------


def forget_damaged(cell: Cell) -> bool:
    """Makes a damaged cell one that is not finished; says whether it was damaged."""
    if not cell.damaged:
        return False
    with taken(cell.folder) as ours:  # else another process is at it already
        if ours and cell.damaged:
            (cell.folder / FOUND).unlink()
    return True


def run_cell(cell: Cell, deadline: float) -> bool:
    """Trains and tests one cell, or goes on with it; `False` if it is not to be started now.

    Args:
        cell: Which one.
        deadline: Moment, as of `time.time()`, after which none is started.
    """
    if cell.finished:
        return True
    if time.time() > deadline:
        return False
    with taken(cell.folder) as ours:
        if ours and not cell.finished:
            train_and_test(cell)
        return ours


def train_and_test(cell: Cell) -> None:
    """Runs a cell that is ours, or goes on with it, and writes what was found.

    Raises:
        ValueError: If what it reads is not what it was when the table was planned.
    """
    result = cell.folder / FOUND
    dataset = load_data(cell.config)
    links = digest(dataset, dataset.user_ids, dataset.item_ids)
    if sources(cell.config, links) != cell.sources:
        expected = "what they were when the table was begun; the same command begins anew"
        said = cell.config.data.dataset, cell.config.training.warm_start
        raise invalid("compare", "dataset, warm_start", expected, ", ".join(filter(None, said)))
    check_leakage(*dataset)
    peak = Peak()
    config, notes = chosen(cell, dataset)
    watch, selection = Watch(cell, dataset[2]), selection_of(cell)
    try:
        selected = select(
            config,
            dataset,
            cell.folder,
            resume=(cell.folder / "checkpoints" / "last.ckpt").exists(),
            watch=watch,
            progress=False,
            selection=selection,
        )
    except NonFiniteLossError as error:
        write(result, json.dumps({"failed": str(error)}) + "\n")
        return
    test_data = dataset[2]
    measured, popularity = measure_test(config, selected, test_data)
    other = evaluate_otherwise(config, selected.scorer, test_data)
    extra = {} if config.is_reference else {"false-negative rate": watch.false.rate}
    extra |= {f"{config.evaluation.eval} {name}": value for name, value in other.items()}
    write_arrays(cell.folder, measured, config.evaluation.top_k[0])
    history = selected.fitted.history if selected.fitted else (selection or {}).get("history", [])
    found = as_json(selected, measured, popularity, history, peak)
    found |= {"test": {**measured.metrics, **extra}, **notes, "code": code_version()}
    write(result, json.dumps(found, indent=2) + "\n")
    for folder in ("checkpoints", "logs", "refit"):
        shutil.rmtree(cell.folder / folder, ignore_errors=True)


def chosen(cell: Cell, dataset: InteractionDataset) -> tuple[Config, dict[str, Any]]:
    """The configuration with a reference's arguments, and a note of those chosen from its grid."""
    if not cell.row.search:
        return cell.config, {}
    train_data, val_data, test_data = dataset
    by = test_data if cell.protocol == "paper" else val_data
    config = choose_arguments(cell.config, cell.row.search, train_data, by)
    found = {name: config.encoder.arguments[name] for name in cell.row.search}
    return config, {"chosen": found}


def selection_of(cell: Cell) -> dict[str, Any] | None:
    """What the cell under `clean` selected, and how, for its refit; `None` if it is not there."""
    if cell.clean is None:
        return None
    try:
        found = json.loads((cell.clean / FOUND).read_text())
        return {
            name: found[name] for name in ("best_epoch", "epochs", "history", selecting("clean"))
        }
    except (OSError, ValueError, KeyError, TypeError):  # it failed, or is damaged
        return None


class Watch:
    """The callbacks of a cell's training: progress, and a count of false negatives.

    Attributes:
        false: The count of the run that was begun last, which is the one that is tested.
    """

    def __init__(self, cell: Cell, test_data: HeteroData) -> None:
        self.cell, self.test_data = cell, test_data

    def __call__(self, name: str) -> Sequence[Callback]:
        """Those of one run, by what is added to its name."""
        self.false = FalseNegatives(self.test_data)
        return [self.false, Progress(every=60.0, name=f"{self.cell}{name}")]
