"""The page of what was found: its parts, in order."""

from __future__ import annotations

from pyg_negsamp.experiments.report.accuracy import accuracy
from pyg_negsamp.experiments.report.beyond import beyond
from pyg_negsamp.experiments.report.cost import cost
from pyg_negsamp.experiments.report.curves import learning, over_fitting
from pyg_negsamp.experiments.report.groups import who_gains
from pyg_negsamp.experiments.report.negatives import (
    false_negatives,
    hardness,
    popularity,
    signals,
)
from pyg_negsamp.experiments.report.overlap import overlap
from pyg_negsamp.experiments.report.page import Page
from pyg_negsamp.experiments.report.reading import Found
from pyg_negsamp.experiments.report.setup import commands, setup
from pyg_negsamp.experiments.report.sweep import sweep
from pyg_negsamp.experiments.report.words import answer

PARTS = (
    accuracy, beyond, learning, hardness, false_negatives, popularity, over_fitting, signals,
    who_gains, overlap, sweep, cost, setup, commands,
)  # fmt: skip


def page_of(found: Found) -> Page:
    """All parts."""
    finished = sum(cell.finished for cell in found.cells)
    runs = f"{finished} of {len(found.cells)} runs" if finished < len(found.cells) else "all runs"
    data = found.data.get(found.protocol, {})
    size = [f"{data[name]:,} {name}" for name in ("users", "items", "links") if name in data]
    says = ", ".join([*size, f"protocol {found.protocol}", f"{runs} finished"])
    return Page(found.comparison.title, says, answer(found), [part(found) for part in PARTS])
