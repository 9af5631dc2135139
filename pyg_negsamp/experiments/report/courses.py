"""The course of a number over the epochs of a method: the mean over its seeds, with a band."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pyg_negsamp.experiments.report.reading import Shown


@dataclass(frozen=True)
class Course:
    """A number by epoch.

    Attributes:
        epochs: Counted from 1; those at which any seed has the number.
        mean: Over the seeds that have it then.
        low: The least of them.
        high: The largest of them.
    """

    epochs: Sequence[int]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def course(method: Shown, key: str) -> Course | None:
    """The course of a number in the history; `None` where it was not collected."""
    seen: dict[int, list[float]] = {}
    for run in method.runs:
        for epoch in run.get("history", ()):
            if known(epoch, key):
                seen.setdefault(int(epoch["epoch"]) + 1, []).append(float(epoch[key]))
    if not seen:
        return None
    values = [seen[epoch] for epoch in sorted(seen)]
    low, high = [min(x) for x in values], [max(x) for x in values]
    return Course(sorted(seen), [mean(x) for x in values], low, high)


def known(epoch: Mapping[str, Any], key: str) -> bool:
    """Whether an epoch has a number; what there was nothing to count of is none."""
    return epoch.get(key) is not None and isfinite(epoch[key])


def at_best(method: Shown, key: str) -> float | None:
    """A number at the epoch that was selected, or the last look before: the mean over seeds."""
    found = []
    for run in method.runs:
        until = [e for e in run.get("history", ()) if e["epoch"] < run["best_epoch"]]
        values = [epoch[key] for epoch in until if known(epoch, key)]
        found += values[-1:]
    return mean(found) if found else None


def lost_since_peak(method: Shown, key: str) -> float | None:
    """What share of its highest value a number has lost at the end: the mean over seeds.

    `None` unless all seeds have it at two epochs or more.
    """
    seen = [[e[key] for e in run.get("history", ()) if known(e, key)] for run in method.runs]
    if any(len(values) < 2 for values in seen):
        return None
    return mean(1 - values[-1] / max(values) if max(values) else 0.0 for values in seen)


def draw_course(axes: Axes, found: Course, label: str | None, **look: Any) -> None:
    """A line with its band; a dot where there is one epoch only."""
    lone = {"marker": "o", "markersize": 4} if len(found.epochs) == 1 else {}
    axes.plot(found.epochs, found.mean, label=label, **{**lone, **look})
    if found.low != found.mean or found.high != found.mean:
        axes.fill_between(
            found.epochs, found.low, found.high, color=look["color"], alpha=0.18, linewidth=0
        )


def draw_courses(
    methods: Sequence[Shown], key: str, label: str, percent: bool = False
) -> Callable[[Axes], None]:
    """What draws a number of several methods over their epochs.

    Args:
        methods: Those without the number are left out.
        key: Its name in the history.
        label: Of the axis, with its unit.
        percent: Whether fractions are shown in percent.
    """

    def draw(axes: Axes) -> None:
        for method in methods:
            if (found := course(method, key)) is not None:
                found = in_percent(found) if percent else found
                markers = marks(method, found)
                draw_course(axes, found, method.name, **method.style.line, **markers)
        over_epochs(axes, label)

    return draw


def draw_dots(axes: Axes, method: Shown, x: Sequence[float], y: Sequence[float]) -> None:
    """A line of a method through few values, each with its marker."""
    look = {**method.style.line, "marker": method.style.marker, "markersize": 5}
    axes.plot(x, y, label=method.name, **look)


def marks(method: Shown, found: Course) -> dict[str, Any]:
    """About six markers along a line."""
    step = max(1, len(found.epochs) // 6)
    return {"marker": method.style.marker, "markevery": step, "markersize": 4.5}


def in_percent(found: Course) -> Course:
    """The same in percent."""
    times = [[100 * x for x in values] for values in (found.mean, found.low, found.high)]
    return Course(found.epochs, *times)


def over_epochs(axes: Axes, label: str) -> None:
    """Labels of axes over epochs."""
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
