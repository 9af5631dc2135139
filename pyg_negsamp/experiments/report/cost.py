"""What a method costs: seconds by stage, and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from matplotlib.axes import Axes

from pyg_negsamp.diagnostics import PIECES
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.report.styles import INK
from pyg_negsamp.experiments.tables import Grid

#: Stages of an epoch, in order, and how dark each is: no colours, which are for methods.
STAGES = dict(
    zip((*PIECES, "evaluation", "rest"), (0.9, 0.2, 0.65, 0.35, 0.8, 0.12, 0.5, 0.25), strict=True)
)


def cost(found: Found) -> Part:
    """Seconds per epoch and per run, epochs, and memory, of all rows."""
    blocks: list[Block] = []
    staged = [method for method in found.trained if stages(method)]
    if staged:
        says = "Mean seconds of an epoch with its validation, from left to right as in the legend."
        height = 0.26 + 0.075 * len(staged)
        blocks.append(Picture("cost", "Seconds of an epoch", says, draw_stages(staged), height))
    elif found.trained:
        says = "Median seconds of an epoch, without validation; the bar runs over the seeds."
        height = 0.2 + 0.075 * len(found.trained)
        picture = Picture("cost", "Seconds of an epoch", says, draw_seconds(found.trained), height)
        blocks.append(picture)
    blocks.append(Table("Time and memory, mean over seeds", grid(found)))
    if staged:
        blocks.append(Table("Seconds of an epoch by stage", stage_grid(staged)))
    says = (
        "Seconds depend on the machine and on what else it did: compare rows of one table. A row "
        "that needs twice the seconds for the same accuracy is no gain. Memory is that of the "
        "whole process, torch and data included; where a GPU trained, what torch held there. A few "
        "MB more or less are no row's own."
    )
    absent = "" if staged else "seconds by stage were not collected; --diagnostics cost brings them"
    return Part("cost", "Time and memory", says, blocks, absent)


def stages(method: Shown) -> dict[str, float]:
    """Mean seconds of an epoch by stage; empty where they were not collected."""
    history = [epoch for run in method.runs for epoch in run.get("history", ())]
    known = {name: [e[f"cost/{name}"] for e in history if f"cost/{name}" in e] for name in STAGES}
    return {name: mean(values) for name, values in known.items() if values}


def draw_stages(methods: Sequence[Shown]) -> Callable[[Axes], None]:
    """Draws a bar per method, of a piece per stage."""

    def draw(axes: Axes) -> None:
        found = [stages(method) for method in methods]
        left = [0.0] * len(methods)
        for name, dark in STAGES.items():
            wide = [of.get(name, 0.0) for of in found]
            if any(wide):
                look: Any = {"color": INK, "alpha": dark, "linewidth": 0}
                axes.barh(range(len(methods)), wide, 0.62, left, label=name, **look)
                left = [a + b for a, b in zip(left, wide, strict=True)]
        names_of_rows(axes, methods)

    return draw


def draw_seconds(methods: Sequence[Shown]) -> Callable[[Axes], None]:
    """Draws a bar per method."""

    def draw(axes: Axes) -> None:
        for place, method in enumerate(methods):
            seconds = [run["seconds_per_epoch"] for run in method.runs]
            axes.barh([place], [mean(seconds)], 0.6, color=method.style.colour)
            axes.plot([min(seconds), max(seconds)], [place, place], color=INK, linewidth=1)
        names_of_rows(axes, methods)

    return draw


def names_of_rows(axes: Axes, methods: Sequence[Shown]) -> None:
    """A line per method, from above."""
    axes.set_yticks(range(len(methods)), [method.name for method in methods])
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.set_xlabel("seconds of an epoch")
    axes.locator_params(axis="x", nbins=5)


def grid(found: Found) -> Grid:
    """The numbers of all rows."""
    header = ["method", "s per epoch", f"against {found.against}", "epochs", "s per run"]
    rows = []
    other = next((per_epoch(m) for m in found.shown if m.name == found.against), None)
    for method in found.shown:
        mine = per_epoch(method)
        times = "" if mine is None or not other else f"{mine / other:.2f} times"
        epochs = [run["epochs"] for run in method.runs if "epochs" in run]
        memory = most_memory(method)
        rows.append([
            method.name,
            "" if mine is None else f"{mine:.3g}",
            times,
            f"{mean(epochs):.0f}" if epochs else "",
            f"{mean(run['seconds'] for run in method.runs):.1f}",
            "" if memory is None else f"{memory:,.0f}",
        ])  # fmt: skip
    return Grid([*header, "most memory, MB"], rows).without_empty()


def stage_grid(methods: Sequence[Shown]) -> Grid:
    """The numbers of the stages."""
    found = {method.name: stages(method) for method in methods}
    rows = [[n, *(f"{of[s]:.3g}" if s in of else "" for s in STAGES)] for n, of in found.items()]
    return Grid(["method", *STAGES], rows).without_empty()


def per_epoch(method: Shown) -> float | None:
    """Mean over seeds of the seconds of an epoch; `None` of a reference."""
    seconds = [run["seconds_per_epoch"] for run in method.runs if "seconds_per_epoch" in run]
    return mean(seconds) if seconds else None


def most_memory(method: Shown) -> float | None:
    """The most that a run held, in MB; `None` where nobody noted it."""
    memory = [run["memory_mb"] for run in method.runs if run.get("memory_mb") is not None]
    return max(memory, default=None)
