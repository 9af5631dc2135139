"""A metric against one number, where rows differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes

from pyg_negsamp.experiments.report.page import Block, Part, Picture
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.report.styles import style_of


def sweeps(found: Found) -> dict[str, list[list[tuple[float, Shown]]]]:
    """For every field in which rows differ alone: chains of rows with their number, in order."""
    flats = {method.name: method.row.config.flat() for method in found.trained}
    fields = dict.fromkeys(name for flat in flats.values() for name in flat if name != "seed")
    chains: dict[str, list[list[tuple[float, Shown]]]] = {}
    for field in fields:
        alike: dict[str, list[tuple[float, Shown]]] = {}
        for method in found.trained:
            flat = flats[method.name]
            number = flat.get(field)
            if isinstance(number, int | float) and not isinstance(number, bool):
                rest = str({name: value for name, value in flat.items() if name != field})
                alike.setdefault(rest, []).append((float(number), method))
        several = [sorted(chain, key=lambda pair: pair[0]) for chain in alike.values()]
        several = [chain for chain in several if len({number for number, _ in chain}) > 1]
        if several:
            chains[field] = several
    return chains


def sweep(found: Found) -> Part:
    """A picture per such number."""
    blocks: list[Block] = [picture(found, field, chains) for field, chains in sweeps(found).items()]
    says = "Rows that differ in one number only, in its order: the mean over seeds, and the spread."
    absent = "no two rows differ in one number only; compare --table takes rows that do"
    return Part("sweep", "Against one hyper-parameter", says, blocks, "" if blocks else absent)


def picture(found: Found, field: str, chains: Sequence[Sequence[tuple[float, Shown]]]) -> Picture:
    """The metric against a field, a line per chain."""

    def draw(axes: Axes) -> None:
        for number, chain in enumerate(chains):
            style = chain[0][1].style if len(chains) > 1 else style_of(0)
            x = [number for number, _ in chain]
            y = [[100 * run["test"][found.metric] for run in m.runs] for _, m in chain]
            label = chain[0][1].row.config.method if len(chains) > 1 else None
            look = {**style.line, "marker": style.marker, "markersize": 6}
            axes.plot(x, [mean(values) for values in y], label=label, **look)
            for place, values in zip(x, y, strict=True):
                axes.plot([place, place], [min(values), max(values)], color=style.colour, alpha=0.5)
        numbers = sorted({number for chain in chains for number, _ in chain})
        if numbers[0] > 0 and numbers[-1] / numbers[0] >= 8:
            axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.minorticks_off()
        axes.set(xlabel=field.replace("_", " "), ylabel=f"{found.metric} on test, percent")

    says = f"Every dot is a row with its {field.replace('_', ' ')}; the bar runs over its seeds."
    return Picture(
        f"sweep-{field}", f"{found.metric} against {field.replace('_', ' ')}", says, draw
    )
