"""What to compare: rows, each a configuration, under one or several protocols.

    table = product({"dataset": "sales.csv", "neg": ["rns", "dns", "dins"], "num_candidates": 32})
    [row.name for row in table.rows]      # ['rns', 'dns', 'dins', 'popularity', 'item-knn', 'ease']

A field that all rows share goes to those that have it: `beta` to the row of DINS only, `epochs` to
all but the references. A field that no row has is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.errors import invalid, nearest
from pyg_negsamp.evaluation import PER_USER
from pyg_negsamp.experiments.arguments import METHODS, ConfigError
from pyg_negsamp.experiments.config import Config, refuse_torchrun, takes
from pyg_negsamp.experiments.methods import try_out
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.experiments.protocols import selecting
from pyg_negsamp.experiments.reference_rows import search_of, too_large_for_ease
from pyg_negsamp.references import REFERENCES


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: What it is called, as printed where it is.
        fields: Flat fields of its configuration; those left out have their defaults.
        unasked: Whether it is a reference that nobody named.
        tuned: Whether arguments of a reference that it does not give are chosen on validation
            links; else they have their defaults.
        source: Where the hyper-parameters come from.
        printed: Printed numbers, as fractions.
        proposed: Whether it is what the paper proposes, and not a baseline.
        where: Its file and number, for messages.
    """

    name: str
    fields: dict[str, Any]
    unasked: bool = False
    tuned: bool = True
    source: str = ""
    printed: Mapping[str, float] = field(default_factory=dict)
    proposed: bool = False
    where: str = ""

    @cached_property
    def config(self) -> Config:
        """What is run, under the first protocol and with seed 0.

        Raises:
            ConfigError: If a field is wrong; a `ValueError` with the place, if it is of a file.
        """
        with self.named_in_errors():
            return Config.of(**self.fields)

    @property
    def methods(self) -> dict[str, list[str]]:
        """Its methods, by part: one of each."""
        return {part: [self.fields.get(part, FIELDS[part].default)] for part in METHODS}

    @property
    def search(self) -> tuple[str, ...]:
        """Arguments of a reference that are chosen on validation links."""
        return search_of(self.fields) if self.config.is_reference and self.tuned else ()

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Puts the row's place, if it has one, in front of what is wrong with it."""
        try:
            yield
        except ValueError as error:
            if not self.where:
                raise
            raise ValueError(f"{self.where}: {error}") from error


@dataclass(frozen=True)
class Rival:
    """A printed row that all rows of a table are held against.

    Attributes:
        name: Paper, table and method.
        printed: Its numbers, as fractions, at the cut-offs that the table has.
    """

    name: str
    printed: Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """A table to fill.

    Attributes:
        name: What its folder is called.
        title: What stands above it.
        rows: In the order of the table; their names differ.
        protocols: Those to run, out of `PROTOCOLS`.
        against: Name of the row that the others are tested against. With `None`, of the baselines
            with printed numbers the one that is best as measured here.
        rival: What rows without printed numbers of their own are held against.
        paper: Of a paper's table, stem of its name in `printed.csv`.
        number: Of a paper's table, its number there.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    protocols: tuple[str, ...]
    against: str | None = None
    rival: Rival | None = None
    paper: str | None = None
    number: int | None = None

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Lengths of the lists that metrics look at."""
        return self.rows[0].config.evaluation.top_k

    @property
    def asked(self) -> tuple[str, ...]:
        """The metrics that were asked for, such as `'Recall'`; none by default."""
        return self.rows[0].config.evaluation.metrics or ()

    def selecting(self, protocol: str) -> str:
        """The column of what epochs, and methods, are selected by."""
        return f"{selecting(protocol)} NDCG@{self.cutoffs[0]}"

    def tested_against(self, name: str | None) -> Comparison:
        """The same, tested against another row.

        Args:
            name: That row. Default: the first one.

        Raises:
            ConfigError: If there is no such row, or users have no value of any metric asked for.
        """
        names = [row.name for row in self.rows]
        if name is not None and name not in names:
            raise ConfigError("against", f"a row: {', '.join(names)}{nearest(name, names)}", name)
        if name is not None and self.asked and not {*self.asked} & {*PER_USER}:
            expected = f"with one that users have values of, to test by: {', '.join(PER_USER)}"
            raise ConfigError("metrics", expected, " ".join(self.asked))
        return replace(self, against=name or names[0])


def product(given: Mapping[str, Any], references: bool = True) -> Comparison:
    """A comparison of every encoder with every loss and every sampler.

    Args:
        given: Flat fields of a configuration; `neg`, `loss` and `encoder` may be lists. The fields
            of one method go to the rows that have it.
        references: Whether popularity, ItemKNN and EASE stand below.

    Raises:
        ConfigError: If a field is unknown, has a wrong value, or no row has it.
    """
    shared = {name: value for name, value in given.items() if value is not None}
    if "seed" in shared:
        raise ConfigError("seed", "left out: a table has several (seeds=3)", shared["seed"])
    several: dict[str, list[str]] = {}
    for part in ("encoder", "neg", "loss"):
        said = shared.pop(part, FIELDS[part].default)
        several[part] = list(dict.fromkeys([said] if isinstance(said, str) else said))
        for name in several[part]:
            Config.of(**{part: name})  # refuses one that is none, before rows are named by it
    rows: list[Row] = []
    for encoder in several["encoder"]:
        if encoder in REFERENCES:  # not trained: no sampler and no loss
            rows.append(Row(encoder, {"encoder": encoder}))
            continue
        for loss in several["loss"]:
            for neg in several["neg"]:
                methods = {"encoder": encoder, "neg": neg, "loss": loss}
                rows.append(Row(_name(methods, several), methods))
    rows += missing_references(rows) if references else []
    rows = spread(rows, shared)
    config = rows[0].config
    name = Path(config.data.dataset).name.split(".")[0]
    return Comparison(name, name, tuple(rows), (config.evaluation.protocol,), rows[0].name)


def _name(methods: Mapping[str, str], several: Mapping[str, Sequence[str]]) -> str:
    """What a row of a product is called: by the methods in which rows differ."""
    trained = {**several, "encoder": [e for e in several["encoder"] if e not in REFERENCES]}
    differing = [methods[part] for part in several if len(trained[part]) > 1]
    return " + ".join(differing or [methods["neg"]])


def missing_references(rows: Sequence[Row]) -> list[Row]:
    """Rows for the references that no row is.

    Raises:
        ValueError: If another row has such a name.
    """
    there = {row.fields.get("encoder") for row in rows}
    missing = [name for name in REFERENCES if name not in there]
    for row in rows:
        if row.name in missing:
            expected = f"another than '{row.name}': the reference of that name stands there, too"
            raise invalid(row.where or "compare", "method", expected, row.name)
    return [Row(name, {"encoder": name}, unasked=True) for name in missing]


def spread(rows: Sequence[Row], shared: Mapping[str, Any], win: bool = True) -> list[Row]:
    """The rows, with each shared field where they have it.

    Args:
        rows: Without these fields.
        shared: Fields and values.
        win: Whether they replace what a row has of its own.

    Raises:
        ConfigError: If a field is unknown, or no row has it.
    """
    found = list(rows)
    for name in sorted(shared, key=lambda name: name not in METHODS):  # methods decide the rest
        new = {name: shared[name]}
        having = [takes(row.methods, name) for row in found]
        if not any(having):
            Config.of(**{**found[0].fields, **new})  # says why not
            raise ConfigError(name, "left out: no row has it", shared[name])
        found = [
            replace(row, fields=row.fields | new if win else new | row.fields) if has else row
            for row, has in zip(found, having, strict=True)
        ]
    return found


def check_rows(comparison: Comparison) -> None:
    """Refuses a row that could not be run before any other is: builds each on a small graph.

    Raises:
        ValueError: Naming the row, and its file if it has one.
    """
    refuse_torchrun()
    names = [row.name for row in comparison.rows]
    if twice := [name for name in names if names.count(name) > 1]:
        raise invalid(comparison.name, "rows", "of different names", f"two called '{twice[0]}'")
    for row in comparison.rows:
        with row.named_in_errors():
            try_out(row.config.for_one_process())


def without_large_ease(
    comparison: Comparison, dataset: InteractionDataset
) -> tuple[Comparison, str]:
    """Leaves EASE out where nobody asked for it and it would take long, or not fit.

    Returns:
        The comparison, and what is to be said of it; nothing if all rows stay.

    Raises:
        ValueError: If the others were to be tested against it.
    """
    rows = [row for row in comparison.rows if not (row.unasked and row.name == "ease")]
    num_items = int(dataset[0]["item"].num_nodes)
    if len(rows) == len(comparison.rows) or (why := too_large_for_ease(num_items)) is None:
        return comparison, ""
    if comparison.against == "ease":
        raise ValueError(f"--against ease: it is left out, because {why}")
    return replace(comparison, rows=tuple(rows)), f"ease is left out: {why}"


def columns(comparison: Comparison, protocol: str) -> list[str]:
    """Metrics to show: those asked for, else those that the paper prints, in its order.

    Where no row is of a paper, the metric that selects chooses among them, and comes first.
    """
    printed = dict.fromkeys(name for row in comparison.rows for name in row.printed)
    if comparison.asked:
        names = [f"{name}@{k}" for k in comparison.cutoffs for name in comparison.asked]
    elif printed:
        names = list(printed)
    elif comparison.rival is not None:
        names = list(comparison.rival.printed)
    else:
        names = [f"{name}@{k}" for k in comparison.cutoffs for name in ("Recall", "NDCG")]
    first = [] if printed else [comparison.selecting(protocol)]
    # What the paper prints is from another evaluation; full ranking stands beside it.
    otherwise = as_evaluated(comparison, dict.fromkeys(names))
    return list(dict.fromkeys([*first, *otherwise, *(name for name in names if "@" in name)]))


def as_evaluated(comparison: Comparison, printed: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics under the names that they have in the paper's evaluation."""
    by = comparison.rows[0].config.evaluation.eval
    if by == "full":
        return dict(printed)
    return {f"{by} {name}" if "@" in name else name: x for name, x in printed.items()}
