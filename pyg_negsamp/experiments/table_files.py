"""Tables as YAML says them: a paper's, with printed numbers, or a user's own, with rows only.

    rows:
      - {method: random, flags: {neg: rns}}
      - {method: hard, flags: {neg: dns, num-candidates: 32}}
      - {method: neighbours, encoder: item-knn}
    flags: {epochs: 20}       # for all rows that have them

Flags are the fields of a configuration, with hyphens or underscores. A paper's table says besides
which paper it is of, on what data, by which protocols, and where every number comes from.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pyg_negsamp.errors import invalid, nearest
from pyg_negsamp.evaluation import ACCURACY
from pyg_negsamp.experiments.arguments import checked
from pyg_negsamp.experiments.comparison import (
    Comparison,
    Rival,
    Row,
    missing_references,
    spread,
)
from pyg_negsamp.experiments.parts import FIELDS, PROTOCOLS
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.references import REFERENCES

#: The tables that ship with the package, and the numbers that papers print.
PAPERS = Path(__file__).parent / "papers"
PRINTED = Path(__file__).parent / "printed.csv"

#: Fields of a paper's table: all but `against`, which it may have.
OF_PAPER = ("paper", "table", "dataset", "encoder", "protocol", "flags", "source", "rows")
#: Fields that a user's own table may have; it must have rows.
OF_OWN = ("rows", "dataset", "encoder", "protocol", "flags", "source")
#: Fields that a row may have.
OF_ROW = ("method", "flags", "source", "encoder", "printed", "proposed")
#: Flags that nobody sets: a table has fields for them, and every cell its own seed.
OF_CELL = ("dataset", "root", "protocol", "seed", "encoder")
#: Flags that hold for all rows, because they decide what is compared.
OF_TABLE = tuple(name for name, each in FIELDS.items() if each.part in ("data", "evaluation"))


def packaged() -> list[str]:
    """Names of the tables that ship with the package, such as `'ahns/amazon-phones'`."""
    files = sorted(PAPERS.glob("*/*.yaml"))
    return [file.relative_to(PAPERS).with_suffix("").as_posix() for file in files]


def find(name: str) -> Path:
    """The file of a table that ships with the package; refuses another name."""
    if name not in packaged():
        said = "; a file of your own is for compare --table" if Path(name).is_file() else ""
        expected = f"one of those that --list shows{nearest(name, packaged())}{said}"
        raise invalid("reproduce", "TABLE", expected, name)
    return PAPERS / f"{name}.yaml"


def read_table(
    source: str | Path, given: Mapping[str, Any] | None = None, references: bool = False
) -> Comparison:
    """Reads the YAML of a table.

    Args:
        source: A file.
        given: Flat fields for all rows that have them; they win over the file.
        references: Whether popularity, ItemKNN and EASE stand below, if they are no rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: Naming the file, the row and the field that is wrong.
    """
    path = Path(source)
    with path.open(encoding="utf-8") as file:  # not its text, so that errors of syntax name it
        said = yaml.safe_load(file)
    if not isinstance(said, dict):
        raise ValueError(f"{path} must hold a table with the field rows")
    of_paper = bool({"paper", "table", "against"} & set(said))
    check_table(str(path), said, of_paper)
    rows = [
        read_row(f"{path}, row {n}", row, said, of_paper) for n, row in enumerate(said["rows"], 1)
    ]
    rows += missing_references(rows) if references else []
    shared = underscored(said.get("flags", {}))
    shared |= {"dataset": said["dataset"]} if "dataset" in said else {}
    protocols = protocols_of(str(path), said.get("protocol", "clean"))
    try:
        rows = spread(rows, {**shared, "protocol": protocols[0]}, win=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    given = dict(given or {})
    for name in sorted(given.keys() & FIELDS.keys()):
        checked(name, FIELDS[name].kind, given[name])  # named as itself, not as a row's
    if "protocol" in given:
        protocols = (str(given["protocol"]),)
    rows = spread(rows, given)
    dataset = Path(rows[0].config.data.dataset).name.split(".")[0]
    if not of_paper:
        return Comparison(path.stem, dataset, tuple(rows), protocols, rows[0].name)
    return Comparison(
        f"{said['paper']}-{said['table']}-{dataset}-{said['encoder']}",
        f"{said['paper']}, table {said['table']}, {dataset}",
        tuple(rows),
        protocols,
        rival=read_rival(str(path), said) if "against" in said else None,
        paper=said["paper"],
        number=said["table"],
    )


def check_table(where: str, said: Mapping[str, Any], of_paper: bool) -> None:
    """Refuses a table whose fields are not those of its kind."""
    if of_paper and set(said) - {"against"} != {*OF_PAPER}:
        raise ValueError(f"{where} must have the fields {', '.join(OF_PAPER)}; may have against")
    if not of_paper and not {"rows"} <= set(said) <= {*OF_OWN}:
        raise ValueError(f"{where} must have the field rows; may have {', '.join(OF_OWN[1:])}")
    kinds = {"paper": str, "table": int, "dataset": str, "encoder": str, "rows": list}
    for name, kind in kinds.items():
        if name in said and (not isinstance(said[name], kind) or not said[name]):
            raise invalid(where, name, f"a {kind.__name__} that says something", said[name])
    if said.get("encoder", "mf") not in ENCODERS:
        raise ValueError(f"{where}: no encoder '{said['encoder']}'")
    check_flags(where, said.get("flags", {}), OF_CELL, "each cell has its own")


def protocols_of(where: str, said: Any) -> tuple[str, ...]:
    """The protocols of a table, in our order."""
    several = said if isinstance(said, list) else [said]
    known = tuple(name for name in PROTOCOLS if name in several)
    if not known or len(known) != len(several):
        raise invalid(where, "protocol", f"out of {', '.join(PROTOCOLS)}, each once", said)
    return known


def read_rival(where: str, table: Mapping[str, Any]) -> Rival:
    """The row of `printed.csv` that a table names, on the table's data set."""
    wanted, fields = table["against"], ("paper", "table", "encoder", "method")
    if not isinstance(wanted, dict) or set(wanted) != {*fields}:
        raise invalid(where, "against", f"{', '.join(fields)} of a printed row", wanted)
    key = {name: str(value) for name, value in wanted.items()} | {"dataset": table["dataset"]}
    shown = metrics_shown(table)
    with PRINTED.open(newline="") as file:
        printed = {
            row["metric"]: float(row["value"])
            for row in csv.DictReader(file)
            if key.items() <= row.items() and row["metric"] in shown
        }
    if not printed:
        raise invalid(where, "against", f"a row of printed.csv on {table['dataset']}", wanted)
    return Rival(f"{wanted['paper']}, table {wanted['table']}: {wanted['method']}", printed)


def read_row(where: str, row: Any, table: Mapping[str, Any], of_paper: bool) -> Row:
    """A row of the YAML; refuses one with which no cell could be computed, or shown."""
    needed = OF_ROW[:3] if of_paper else OF_ROW[:1]
    if not isinstance(row, dict) or not {*needed} <= set(row) <= {*OF_ROW}:
        also = ", ".join(name for name in OF_ROW if name not in needed)
        raise ValueError(f"{where}: needs {', '.join(needed)}; may have {also}")
    if not isinstance(row["method"], str) or not row["method"]:
        raise invalid(where, "method", "a name", row["method"])
    encoder = row.get("encoder", table.get("encoder", FIELDS["encoder"].default))
    if not isinstance(encoder, str) or encoder not in {**ENCODERS, **REFERENCES}:
        raise ValueError(f"{where}: no encoder '{encoder}'")
    flags = row.get("flags", {})
    check_flags(where, flags, (*OF_CELL, *OF_TABLE), "not a row's to choose")
    printed = row.get("printed", {})
    check_printed(where, printed, metrics_shown(table))
    return Row(
        row["method"],
        {**underscored(flags), "encoder": encoder},
        tuned=not of_paper,
        source=row.get("source", ""),
        printed=printed,
        proposed=row.get("proposed", False),
        where=where,
    )


def underscored(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags as fields are called; YAML may have either spelling."""
    return {name.replace("-", "_"): value for name, value in flags.items()}


def check_flags(where: str, flags: Any, foreign: Sequence[str], why: str) -> None:
    """Refuses what are no flags, or are not to be set here."""
    if not isinstance(flags, dict) or not all(isinstance(name, str) for name in flags):
        raise invalid(where, "flags", "'name: value' lines", flags)
    if own := [name for name in flags if name.replace("-", "_") in foreign]:
        raise ValueError(f"{where}: flags may not hold {', '.join(own)}: {why}")


def metrics_shown(table: Mapping[str, Any]) -> list[str]:
    """Metrics that the cells of a table have, and papers print."""
    said = underscored(table.get("flags", {})).get("top_k", FIELDS["top_k"].default)
    cutoffs = said if isinstance(said, list | tuple) else [said]
    return ["false-negative rate", *(f"{name}@{k}" for name in ACCURACY for k in cutoffs)]


def check_printed(where: str, printed: Any, shown: Sequence[str]) -> None:
    """Refuses printed numbers of which there is no column, or that nothing compares with."""
    if not isinstance(printed, dict):
        raise invalid(where, "printed", "'name: value' lines", printed)
    for name, value in printed.items():
        if name not in shown:
            raise invalid(where, "printed", f"out of {', '.join(shown)} (by top-k)", name)
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise invalid(where, f"printed {name}", "a fraction above 0", repr(value))
