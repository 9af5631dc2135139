"""A paper's table as its YAML says it: data set, methods, hyper-parameters, printed numbers."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from flags import IN_COMMAND_ONLY, PROTOCOLS

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import METRICS, Scorer
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.references import EASE, ItemKNN, popularity

HERE = Path(__file__).parent / "reproduce"
#: Flags that a cell sets by itself.
OF_CELL = ("dataset", "root", "protocol", "seed", *IN_COMMAND_ONLY)
#: Flags that decide which columns there are, and so hold for all rows.
OF_TABLE = ("top-k", "eval")
#: Rankings without training, which a row may name as its `reference`.
REFERENCES: dict[str, Callable[..., Scorer]] = {
    "popularity": popularity,
    "item-knn": ItemKNN,
    "ease": EASE,
}


@dataclass(frozen=True)
class Row:
    """A method of a table.

    Attributes:
        method: Its name, as printed where it is.
        encoder: The encoder, by its name in `ENCODERS`; or a name in `REFERENCES`.
        flags: Its own flags of the training script; or arguments of the reference.
        source: Where the hyper-parameters come from.
        printed: Printed numbers, as fractions.
        proposed: Whether it is what the paper proposes, and not a baseline.
        where: Its file and number, for messages.
    """

    method: str
    encoder: str
    flags: Mapping[str, Any]
    source: str
    printed: Mapping[str, float]
    proposed: bool = False
    where: str = ""


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
class Table:
    """A paper's table on one data set.

    Attributes:
        paper: Stem of the paper's name in `printed.csv`.
        number: Its number in the paper.
        dataset: Name of the data set.
        encoder: That of rows which name no other.
        protocols: Those to run, out of `PROTOCOLS`.
        flags: Flags of the training script that all rows share.
        rows: Methods, in the order of the paper.
        rival: What rows without printed numbers of their own are held against.
    """

    paper: str
    number: int
    dataset: str
    encoder: str
    protocols: tuple[str, ...]
    flags: Mapping[str, Any]
    rows: tuple[Row, ...]
    rival: Rival | None = None

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.paper}-{self.number}-{self.dataset}-{self.encoder}"

    @property
    def cutoffs(self) -> list[int]:
        """Lengths of the lists that metrics look at."""
        return _cutoffs(self.flags)


def read_table(path: str | Path) -> Table:
    """Reads a table's YAML.

    Its fields are those of :class:`Table`; `against` may name a row of `printed.csv` by `paper`,
    `table`, `encoder` and `method`, for rows that have no printed numbers of their own.

    Args:
        path: A file, or the name of one in `examples/reproduce`.

    Raises:
        ValueError: Naming the file, the row and the field.
    """
    path = Path(path)
    path = path if path.exists() else HERE / path
    with path.open() as file:  # not its text, so that errors of syntax name it
        said = yaml.safe_load(file)
    if not isinstance(said, dict):
        raise ValueError(f"{path} must hold a table: paper, table, dataset, encoder, rows")
    fields = {"paper", "table", "dataset", "encoder", "protocol", "flags", "source", "rows"}
    if set(said) - {"against"} != fields:
        wanted = ", ".join(sorted(fields))
        raise ValueError(f"{path} must have the fields {wanted}; may have against")
    kinds = {"paper": str, "table": int, "dataset": str, "encoder": str, "rows": list}
    for name, kind in kinds.items():
        if not isinstance(said[name], kind) or not said[name]:
            raise invalid(str(path), name, f"a {kind.__name__} that says something", said[name])
    if said["encoder"] not in ENCODERS:
        raise ValueError(f"{path}: no encoder '{said['encoder']}'")
    _check_flags(str(path), said["flags"])
    if own := [name for name in said["flags"] if _dashed(name) in OF_CELL]:
        raise ValueError(f"{path}: flags may not hold {', '.join(own)}: each cell has its own")
    rows = [_read_row(f"{path}, row {n}", row, said) for n, row in enumerate(said["rows"], 1)]
    protocols = said["protocol"] if isinstance(said["protocol"], list) else [said["protocol"]]
    known = [name for name in PROTOCOLS if name in protocols]
    if not known or len(known) != len(protocols):
        expected = f"out of {', '.join(PROTOCOLS)}, each once"
        raise invalid(str(path), "protocol", expected, said["protocol"])
    return Table(
        said["paper"],
        said["table"],
        said["dataset"],
        said["encoder"],
        tuple(protocols),
        said["flags"],
        tuple(rows),
        _read_rival(str(path), said) if "against" in said else None,
    )


def _read_rival(where: str, table: Mapping[str, Any]) -> Rival:
    """The row of `printed.csv` that a table names, on the table's data set."""
    wanted, fields = table["against"], ("paper", "table", "encoder", "method")
    if not isinstance(wanted, dict) or set(wanted) != {*fields}:
        raise invalid(where, "against", f"{', '.join(fields)} of a printed row", wanted)
    key = {name: str(value) for name, value in wanted.items()} | {"dataset": table["dataset"]}
    shown = _metrics_shown(table)
    with (HERE / "printed.csv").open(newline="") as file:
        printed = {
            row["metric"]: float(row["value"])
            for row in csv.DictReader(file)
            if key.items() <= row.items() and row["metric"] in shown
        }
    if not printed:
        raise invalid(where, "against", f"a row of printed.csv on {table['dataset']}", wanted)
    return Rival(f"{wanted['paper']}, table {wanted['table']}: {wanted['method']}", printed)


def _read_row(where: str, row: Any, table: Mapping[str, Any]) -> Row:
    """A row of the YAML; refuses one with which no cell could be computed, or shown."""
    needed, further = ("method", "flags", "source"), ("encoder", "printed", "proposed")
    if not isinstance(row, dict) or not {*needed} <= set(row) <= {*needed, *further}:
        also = ", ".join(further)
        raise ValueError(f"{where}: needs {', '.join(needed)}; may have {also}")
    if not isinstance(row["method"], str) or not row["method"]:
        raise invalid(where, "method", "a name", row["method"])
    encoder = row.get("encoder", table["encoder"])
    if not isinstance(encoder, str) or encoder not in {**ENCODERS, **REFERENCES}:
        raise ValueError(f"{where}: no encoder '{encoder}'")
    _check_flags(where, row["flags"])
    if encoder in REFERENCES:
        _check_arguments(where, encoder, row["flags"])
    elif own := [name for name in row["flags"] if _dashed(name) in (*OF_CELL, *OF_TABLE)]:
        raise ValueError(f"{where}: flags may not hold {', '.join(own)}: not a row's to choose")
    printed = row.get("printed", {})
    _check_printed(where, printed, _metrics_shown(table))
    return Row(
        row["method"],
        encoder,
        row["flags"],
        row["source"],
        printed,
        row.get("proposed", False),
        where,
    )


def _dashed(flag: str) -> str:
    """A flag's name as it is typed; YAML may have either spelling."""
    return flag.replace("_", "-")


def _check_flags(where: str, flags: Any) -> None:
    if not isinstance(flags, dict) or not all(isinstance(name, str) for name in flags):
        raise invalid(where, "flags", "'name: value' lines", flags)


def _check_arguments(where: str, reference: str, flags: Mapping[str, Any]) -> None:
    """Refuses what the reference does not take; no parser sees these flags."""
    known = inspect.signature(REFERENCES[reference]).parameters
    for name, value in flags.items():
        if name not in known or name in ("data", "edge_type"):
            raise ValueError(f"{where}: {reference} has no {name}")
        kind = type(known[name].default)
        if type(value) not in ((int, float) if kind is float else (kind,)):
            raise invalid(where, name, f"of type {kind.__name__}", repr(value))


def _cutoffs(flags: Mapping[str, Any]) -> list[int]:
    """`--top-k` of a table's flags."""
    said = {_dashed(name): value for name, value in flags.items()}
    return list(np.atleast_1d(said.get("top-k", [20, 50])))


def _metrics_shown(table: Mapping[str, Any]) -> list[str]:
    """Metrics that the cells of a table have."""
    return [
        "false-negative rate",
        *(f"{name}@{k}" for name in METRICS for k in _cutoffs(table["flags"])),
    ]


def _check_printed(where: str, printed: Any, shown: Sequence[str]) -> None:
    """Refuses printed numbers of which there is no column, or that nothing compares with."""
    if not isinstance(printed, dict):
        raise invalid(where, "printed", "'name: value' lines", printed)
    for name, value in printed.items():
        if name not in shown:
            raise invalid(where, "printed", f"out of {', '.join(shown)} (by top-k)", name)
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise invalid(where, f"printed {name}", "a fraction above 0", repr(value))
