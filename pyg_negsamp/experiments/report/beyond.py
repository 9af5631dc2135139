"""Beyond accuracy: how much of the catalogue lists show, and how popular that is."""

from __future__ import annotations

from statistics import mean

from matplotlib.axes import Axes

from pyg_negsamp.evaluation.metrics import ACCURACY
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found
from pyg_negsamp.experiments.tables import Grid

#: Metrics that are shares of the catalogue or of the list, in percent; others have units of theirs.
SHARES = ("Coverage", "TailShare", "Gini", "Personalization", "Diversity")


def beyond(found: Found) -> Part:
    """What accuracy does not say of lists."""
    names = [name for name in test_metrics(found) if name.split("@")[0] not in ACCURACY]
    blocks: list[Block] = []
    if names:
        rows = []
        for method in found.shown:
            values = [[run["test"].get(name) for run in method.runs] for name in names]
            rows.append([method.name, *(shown(n, v) for n, v in zip(names, values, strict=True))])
        blocks.append(Table("Lists on test, mean over seeds", Grid([*("method",), *names], rows)))
    coverage = f"Coverage@{found.k}"
    if coverage in names:
        blocks.append(trade_off(found, coverage))
    says = (
        "Coverage: the share of all items that stand in anybody's list. Average popularity: how "
        "many training links the listed items have. Two methods of the same accuracy may differ "
        "much in both."
    )
    absent = "evaluated by an earlier version; the same command, in a new folder, brings it"
    return Part("beyond", "Beyond accuracy", says, blocks, "" if blocks else absent)


def test_metrics(found: Found) -> list[str]:
    """Metrics of lists that a row has on test, by full ranking."""
    named = dict.fromkeys(name for method in found.shown for name in method.runs[0]["test"])
    return [name for name in named if "@" in name and " " not in name]


def shown(name: str, values: list[float | None]) -> str:
    """The mean of a metric as text: shares in percent."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    if name.split("@")[0] in SHARES:
        return f"{100 * mean(known):.1f} %"
    return f"{mean(known):,.1f}" if mean(known) >= 10 else f"{mean(known):.3g}"


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
