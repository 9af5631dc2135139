"""What was run: configuration, data, machine, and the commands that made it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pyg_negsamp.experiments.comparison import Row
from pyg_negsamp.experiments.config import takes
from pyg_negsamp.experiments.data import FRAME
from pyg_negsamp.experiments.filling import finished_of
from pyg_negsamp.experiments.flags import as_flags
from pyg_negsamp.experiments.report.page import Block, Commands, Part, Table
from pyg_negsamp.experiments.report.reading import Found, yes_or_no
from pyg_negsamp.experiments.tables import Grid


def setup(found: Found) -> Part:
    """Configuration and data."""
    blocks: list[Block] = [Table("Data, in numbers", data_grid(found.data))]
    shared, own = configuration(found)
    blocks.append(Table("What all rows share", Grid(["field", "value"], shared)))
    if own.rows:
        blocks.append(Table("What rows differ in", own))
    if machines := machine(found):
        blocks.append(Table("Where it ran", Grid(["what", "value"], machines)))
    says = "Every field, its defaults said, too; of a reference what it chose from its grid."
    return Part("configuration", "Configuration and data", says, blocks)


def data_grid(data: Mapping[str, Mapping[str, Any]]) -> Grid:
    """The numbers of the data, a column per protocol, alike ones together."""
    if len(set(map(str, data.values()))) == 1:
        data = {"value": next(iter(data.values()))}
    names = dict.fromkeys(name for summary in data.values() for name in summary)
    rows = [
        [name.replace("_", " "), *(text(summary.get(name)) for summary in data.values())]
        for name in names
    ]
    return Grid(["", *data], rows)


def text(value: Any) -> str:
    """A value as one reads it."""
    if value is None:
        return ""
    value = yes_or_no(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def configuration(found: Found) -> tuple[list[list[str]], Grid]:
    """Fields that are the same wherever they are, and a table of the others."""
    flats = {row.name: settings(found, row) for row in found.comparison.rows}
    names = dict.fromkeys(name for flat in flats.values() for name in flat)
    values = {n: [flat[n] for flat in flats.values() if n in flat] for n in names}
    methods = ("encoder", "neg", "loss")
    taking = {
        name: [row.name for row in found.comparison.rows if takes(row.methods, name)]
        for name in names
    }
    same = [
        name for name, seen in values.items()
        if all(value == seen[0] for value in seen)
        and all(name in flats[row] for row in taking[name])  # others have a default of their own
        and (len(seen) > 1 or len(flats) == 1 or name in methods)
    ]  # fmt: skip
    shared = [[name.replace("_", " "), text(values[name][0])] for name in same]
    seeds = sorted({cell.seed for cell in found.cells})
    shared.append(["seeds", ", ".join(map(str, seeds))])
    rest = [name for name in names if name not in same]
    rows = []
    for row in found.comparison.rows:
        said = [
            f"{n.replace('_', ' ')} = {text(flats[row.name].get(n, 'default'))}"
            for n in rest
            if n in flats[row.name] or row.name in taking[n]
        ]
        rows.append([row.name, ", ".join(said)])
    return shared, Grid(["method", "fields"], rows if rest else [])


def settings(found: Found, row: Row) -> dict[str, Any]:
    """The fields of a row but its seed, as it was run: a reference with what it chose."""
    fields = {name: value for name, value in row.config.flat().items() if name != "seed"}
    chosen: dict[str, Mapping[str, Any]] = {}
    for protocol in found.comparison.protocols:
        finished, _ = finished_of(row, protocol, found.cells)
        if row.search and finished:
            chosen[protocol] = finished[0].found()["chosen"]
    for name in row.search:
        values = {protocol: text(each[name]) for protocol, each in chosen.items()}
        said = list(dict.fromkeys(values.values()))
        if len(said) > 1:
            said = [f"{value} ({protocol})" for protocol, value in values.items()]
        fields[f"encoder_{name}"] = " or ".join(said) or "not chosen yet"
    return fields


def machine(found: Found) -> list[list[str]]:
    """What computed it, each once."""
    seen: dict[str, dict[str, None]] = {}
    for method in found.shown:
        for run in method.runs:
            said = {
                **run.get("machine", {}),
                **{n: run[n] for n in ("torch", "threads", "code") if n in run},
            }
            for name, value in said.items():
                seen.setdefault(name, {})[text(value)] = None
    return [[name, ", ".join(values)] for name, values in seen.items()]


def commands(found: Found) -> Part:
    """What to type to make it again."""
    blocks: list[Block] = []
    if found.commands:
        blocks.append(Commands("The comparison", found.commands))
    rows = [row for row in found.comparison.rows if not row.config.is_reference]
    lines = [shlex.join(["pyg-negsamp", "train", *as_flags(row.config)]) for row in rows]
    title = "One row, trained and its model kept" if found.commands else "The runs"
    if any(row.config.data.dataset == FRAME for row in rows):
        title += f" (whose data were a frame in memory: write it to a file, in place of {FRAME})"
    blocks += [Commands(title, lines)] if lines else []
    again = shlex.join(["pyg-negsamp", "report", *map(str, found.folders), *found.flags])
    blocks.append(Commands("This page", [again]))
    return Part("commands", "Commands", "They made it, and make it again.", blocks)
