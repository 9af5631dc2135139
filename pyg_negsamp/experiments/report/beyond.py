"""Beyond accuracy: how much of the catalogue lists show, and how popular that is."""

from __future__ import annotations

from statistics import mean

from matplotlib.axes import Axes

from pyg_negsamp.evaluation import METRICS, metric_named
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.tables import Grid, number


def beyond(found: Found) -> Part:
    """What accuracy does not say of lists."""
    named = dict.fromkeys(name for method in found.shown for name in method.runs[0]["test"])
    names = [n for n in named if " " not in n and (kind := metric_named(n)) and kind.beyond]
    blocks: list[Block] = []
    if names:
        header = ["method", *(f"{name}, {METRICS[name.split('@')[0]].of or '%'}" for name in names)]
        rows = [[m.name, *(mean_of(m, name) for name in names)] for m in found.shown]
        blocks.append(Table("Lists on test, mean over seeds", Grid(header, rows)))
    coverage = f"Coverage@{found.k}"
    if coverage in names:
        blocks.append(trade_off(found, coverage))
    says = (
        "Coverage: the share of all items that stand in anybody's list. Average popularity: how "
        "many known links the listed items have. Neither is good or bad by itself; two methods of "
        "the same accuracy may differ much in both."
    )
    absent = "evaluated by an earlier version; the same command, in a new folder, brings it"
    return Part("beyond", "Beyond accuracy", says, blocks, "" if blocks else absent)


def mean_of(method: Shown, name: str) -> str:
    """The mean of a metric over seeds, as text."""
    values = [run["test"][name] for run in method.runs if name in run["test"]]
    return number(name, mean(values)) if values else ""


def trade_off(found: Found, coverage: str) -> Picture:
    """Accuracy against coverage, a dot per row."""

    def draw(axes: Axes) -> None:
        for method in found.shown:
            tests = [run["test"] for run in method.runs]
            x = 100 * mean(test.get(coverage, float("nan")) for test in tests)
            y = 100 * mean(test[found.metric] for test in tests)
            axes.plot([x], [y], linestyle="", markersize=9, label=method.name, **method.style.dots)
        axes.set(xlabel=f"{coverage}, percent of the items", ylabel=f"{found.metric}, percent")

    says = "To the right more of the catalogue is shown, above it is ranked better."
    return Picture("trade-off", "Accuracy against coverage", says, draw)
