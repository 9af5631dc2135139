"""A metric against one number, where rows differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pyg_negsamp.diagnostics import Point
from pyg_negsamp.diagnostics import sweep as sweep_of
from pyg_negsamp.experiments.report.page import Block, Part, Picture
from pyg_negsamp.experiments.report.reading import Found, Shown


def sweep(found: Found) -> Part:
    """A picture per number in which some rows differ alone."""
    fields = dict.fromkeys(name for method in found.trained for name in numbers_of(method))
    chains = {name: chains_of(found.trained, name) for name in fields}
    blocks: list[Block] = [picture(found, name, some) for name, some in chains.items() if some]
    says = "Rows that differ in one number only, in its order: the mean over seeds and its spread."
    absent = "no two rows differ in one number only; those of compare --table may"
    return Part("sweep", "Against one hyper-parameter", says, blocks, "" if blocks else absent)


def numbers_of(method: Shown) -> dict[str, float]:
    """The fields of a method that are numbers, but its seed."""
    flat = method.row.config.flat()
    numbers = {name: value for name, value in flat.items() if type(value) in (int, float)}
    return {name: float(value) for name, value in numbers.items() if name != "seed"}


def chains_of(methods: Sequence[Shown], field: str) -> list[list[Shown]]:
    """Methods that are alike but for a field, where there are two of them or more."""
    alike: dict[str, list[Shown]] = {}
    for method in methods:
        if field in numbers_of(method):
            flat = method.row.config.flat()
            rest = {name: x for name, x in flat.items() if name not in (field, "seed")}
            alike.setdefault(str(rest), []).append(method)
    return [chain for chain in alike.values() if len(chain) > 1]


def points(chain: Sequence[Shown], field: str, metric: str) -> list[Point]:
    """The metric of alike methods by the value of a field."""
    runs = [
        {"fields": {**method.row.config.flat(), "seed": seed}, "test": run["test"]}
        for method in chain
        for seed, run in enumerate(method.runs)
    ]
    return sweep_of(runs, field, metric)


def picture(found: Found, field: str, chains: Sequence[Sequence[Shown]]) -> Picture:
    """The metric against a field, a line per chain, in the style of its first method."""
    what = field.replace("_", " ")

    def draw(axes: Axes) -> None:
        ticks: set[float] = set()
        for chain in chains:
            seen = points(chain, field, found.metric)
            values = [point.value for point in seen]
            axes.errorbar(
                values,
                [100 * point.mean for point in seen],
                [100 * point.std for point in seen],
                label=chain[0].row.config.method,
                marker=chain[0].style.marker,
                markersize=6,
                capsize=3,
                **chain[0].style.line,
            )
            ticks |= set(values)
        if min(ticks) > 0 and max(ticks) / min(ticks) >= 8:
            axes.set_xscale("log")
        axes.set_xticks(sorted(ticks), [f"{tick:g}" for tick in sorted(ticks)])
        axes.minorticks_off()
        axes.set(xlabel=what, ylabel=f"{found.metric} on test, percent")

    says = f"A dot is a row with its {what}; the bar is one standard deviation over its seeds."
    return Picture(f"sweep-{field}", f"{found.metric} against {what}", says, draw)
