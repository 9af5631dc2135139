"""A paper's table as its YAML says it: data set, methods, hyper-parameters, printed numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pyg_negsamp.evaluation import Scorer
from pyg_negsamp.nn import EASE, ENCODERS, ItemKNN, popularity

HERE = Path(__file__).parent / "reproduce"
PROTOCOLS = ("clean", "paper")
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
    """

    method: str
    encoder: str
    flags: Mapping[str, Any]
    source: str
    printed: Mapping[str, float]
    proposed: bool = False


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
    """

    paper: str
    number: int
    dataset: str
    encoder: str
    protocols: tuple[str, ...]
    flags: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.paper}-{self.number}-{self.dataset}-{self.encoder}"


def read_table(path: str | Path) -> Table:
    """Reads a table's YAML.

    Args:
        path: A file, or the name of one in `examples/reproduce`.

    Raises:
        ValueError: Naming the file, the row and the field.
    """
    path = Path(path)
    path = path if path.exists() else HERE / path
    said = yaml.safe_load(path.read_text())
    if not isinstance(said, dict):
        raise ValueError(f"{path} must hold a table: paper, table, dataset, encoder, rows")
    fields = {"paper", "table", "dataset", "encoder", "protocol", "flags", "source", "rows"}
    if set(said) != fields:
        raise ValueError(f"{path} must have the fields {', '.join(sorted(fields))}")
    if said["encoder"] not in ENCODERS:
        raise ValueError(f"{path}: no encoder '{said['encoder']}'")
    for name, kind in (("flags", dict), ("rows", list)):
        if not isinstance(said[name], kind) or (kind is list and not said[name]):
            raise ValueError(f"{path}, {name}: must be a {kind.__name__} that says something")
    rows = [_read_row(f"{path}, row {n}", row, said) for n, row in enumerate(said["rows"], 1)]
    protocols = tuple(np.atleast_1d(said["protocol"]).tolist())
    if not set(protocols) <= set(PROTOCOLS):
        raise ValueError(f"{path}: protocol must be out of {', '.join(PROTOCOLS)}")
    return Table(
        said["paper"],
        said["table"],
        said["dataset"],
        said["encoder"],
        protocols,
        said["flags"],
        tuple(rows),
    )


def _read_row(where: str, row: Any, table: Mapping[str, Any]) -> Row:
    """A row of the YAML; refuses one with which no cell could be computed, or shown."""
    fields = {"method", "encoder", "flags", "source", "printed", "proposed"}
    if not isinstance(row, dict) or not {"method", "flags", "source"} <= set(row) <= fields:
        raise ValueError(f"{where}: needs method, flags, source; may have {', '.join(fields)}")
    encoder = row.get("encoder", table["encoder"])
    if encoder not in {**ENCODERS, **REFERENCES}:
        raise ValueError(f"{where}: no encoder '{encoder}'")
    if not isinstance(row["flags"], dict) or not isinstance(row.get("printed", {}), dict):
        raise ValueError(f"{where}: flags and printed must be 'name: value' lines")
    if encoder in REFERENCES:
        own = set(inspect.signature(REFERENCES[encoder]).parameters) - {"data", "edge_type"}
        if unknown := set(row["flags"]) - own:
            raise ValueError(f"{where}: {encoder} has no {', '.join(sorted(unknown))}")
    cutoffs = {str(k) for k in np.atleast_1d(table["flags"].get("top-k", [20, 50]))}
    for name in row.get("printed", {}):
        if "@" in name and name.split("@")[1] not in cutoffs:
            raise ValueError(f"{where}: printed {name} is not among top-k of the table's flags")
    return Row(
        row["method"],
        encoder,
        row["flags"],
        row["source"],
        row.get("printed", {}),
        row.get("proposed", False),
    )
