"""What a table consists of, kept beside it: `comparison.json`, from which a page is made later.

It says what was compared, on what data, by which command, and where every cell is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyg_negsamp.errors import invalid
from pyg_negsamp.experiments.cells import Cell
from pyg_negsamp.experiments.comparison import Comparison, Rival, Row
from pyg_negsamp.files import write

#: Its name in the folder of a table.
RECORD = "comparison.json"
#: Version of its layout. A newer one is refused.
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """A table as it is kept.

    Attributes:
        comparison: What was compared.
        cells: All that there are to be, finished or not.
        data: The numbers of `dataset.report()`, by protocol.
        command: What filled it, as it was typed; empty if that was Python.
    """

    comparison: Comparison
    cells: Sequence[Cell]
    data: Mapping[str, Mapping[str, Any]]
    command: str = ""


def write_record(record: Record, out: Path) -> None:
    """Writes `comparison.json` into the folder of a table."""
    comparison = record.comparison
    said = {
        "format": FORMAT,
        "command": record.command,
        "comparison": asdict(comparison) | {"rows": [_row(row) for row in comparison.rows]},
        "cells": [
            {
                "row": cell.row.name,
                "protocol": cell.protocol,
                "seed": cell.seed,
                "sources": cell.sources,
                "folder": cell.folder.relative_to(out).as_posix(),
            }
            for cell in record.cells
        ],
        "data": record.data,
    }
    write(out / RECORD, json.dumps(said, indent=2) + "\n")


def _row(row: Row) -> dict[str, Any]:
    return {**asdict(row), "printed": dict(row.printed)}


def read_record(out: Path) -> Record:
    """Reads what :func:`write_record` wrote.

    Raises:
        ValueError: If it is damaged, or was written by a newer version.
    """
    file = out / RECORD
    try:
        said = json.loads(file.read_text())
        if said["format"] > FORMAT:
            raise invalid(str(file), "format", f"at most {FORMAT}", said["format"])
        plain = said["comparison"]
        rows = {row["name"]: Row(**row) for row in plain["rows"]}
        comparison = Comparison(
            **{
                **plain,
                "rows": tuple(rows.values()),
                "protocols": tuple(plain["protocols"]),
                "rival": plain["rival"] and Rival(**plain["rival"]),
            }
        )
        cells = []
        for cell in said["cells"]:
            row, folder = rows[cell["row"]], out / cell["folder"]
            config = row.config.but(protocol=cell["protocol"], seed=cell["seed"])
            cells.append(Cell(row, config, cell["sources"], folder))
        return Record(comparison, cells, said["data"], said["command"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        why = f"{file} is damaged: the command that filled the table writes it anew"
        raise ValueError(f"{why} ({type(error).__name__}: {error})") from error
