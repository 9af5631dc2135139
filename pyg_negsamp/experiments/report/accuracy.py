"""The table of metrics, and every mean with its confidence interval."""

from __future__ import annotations

from matplotlib.axes import Axes

from pyg_negsamp.experiments.parts import PROTOCOLS
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found
from pyg_negsamp.experiments.report.styles import GREY
from pyg_negsamp.experiments.tables import grid_of, to_latex


def accuracy(found: Found) -> Part:
    """How well every row ranks, and whether that is more than chance."""
    blocks: list[Block] = []
    for protocol in found.comparison.protocols:
        rows, names, by = found.table(protocol), found.columns(protocol), found.by(protocol)
        title = f"Test metrics in percent, protocol {protocol} ({PROTOCOLS[protocol]})"
        caption = f"{found.comparison.title}, protocol {protocol}"
        grid = grid_of(rows, names, by).without_empty()
        blocks.append(Table(title, grid, to_latex(rows, names, caption, by)))
    blocks += [interval_picture(found, name) for name in with_intervals(found)]
    says = (
        "Full ranking of all items that a user has not seen. The best of a column is bold. "
        "A difference with a p below 0.05 is more than chance among users."
    )
    return Part("accuracy", "Accuracy", says, blocks)


def with_intervals(found: Found) -> list[str]:
    """The metric that the page speaks of, and Recall and NDCG, where they have intervals."""
    names = sorted({f"Recall@{found.k}", f"NDCG@{found.k}", found.metric}, reverse=True)
    return [name for name in names if any(name in row.interval for row in found.summaries)]


def interval_picture(found: Found, metric: str) -> Picture:
    """Means with their intervals, a line per row."""
    rows = [row for row in found.summaries if metric in row.interval]
    styles = {method.name: method.style for method in found.shown}

    def draw(axes: Axes) -> None:
        for place, row in enumerate(rows):
            low, high = (100 * end for end in row.interval[metric])
            style = styles[row.name]
            axes.plot([low, high], [place, place], color=style.colour, linewidth=2)
            axes.plot([100 * row.mean[metric]], [place], markersize=7, linestyle="", **style.dots)
        held = [100 * row.mean[metric] for row in rows if row.name == found.against]
        for mean in held:
            axes.axvline(mean, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{metric}, percent")

    return Picture(
        f"interval-{metric.replace('@', '-').lower()}",
        f"{metric} on test, with 95 % intervals",
        f"The mean of every row and its interval over users. The dashed line is {found.against}. "
        "Intervals that overlap may still differ: p compares user by user.",
        draw,
        max(0.3, 0.14 + 0.06 * len(rows)),
    )
