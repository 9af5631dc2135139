"""Who gains: groups of users by how active they are, of items by how popular they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from matplotlib.axes import Axes

from pyg_negsamp.experiments.report.courses import draw_dots
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.tables import Grid

WHAT = {
    "users": ("Users, by their training links", "users with that many training links"),
    "items": ("Items, by their training links", "items with that many training links"),
}


@dataclass(frozen=True)
class GroupOf:
    """A group, and what every method does for it.

    Attributes:
        by: `'users'` or `'items'`.
        name: Such as `'quartile 1'` or `'tail'`.
        links: Training links of its members, such as `'3-9'`.
        values: Means over the seeds, by method, as fractions.
    """

    by: str
    name: str
    links: str
    values: dict[str, float]


def groups_of(found: Found) -> list[GroupOf]:
    """All groups of which the first method has the metric."""
    methods = [method for method in found.shown if method.runs[0].get("groups")]
    groups = []
    for group in methods[0].runs[0]["groups"] if methods else []:
        key = (group["by"], group["name"])
        values = {m.name: x for m in methods if (x := value(m, key, found.metric)) is not None}
        ends = dict.fromkeys((group["least"], group["most"]))
        if values:
            groups.append(GroupOf(*key, "-".join(map(str, ends)), values))
    return groups


def value(method: Shown, key: tuple[str, str], metric: str) -> float | None:
    """The mean over seeds of a metric in a group."""
    known = [
        group["metrics"][metric]
        for run in method.runs
        for group in run.get("groups", ())
        if (group["by"], group["name"]) == key and metric in group["metrics"]
    ]
    return mean(known) if known else None


def who_gains(found: Found) -> Part:
    """The metric by group, and its difference to the row tested against."""
    groups, against = groups_of(found), found.against
    blocks: list[Block] = []
    for by, (title, label) in WHAT.items():
        mine = [group for group in groups if group.by == by]
        if mine:
            blocks.append(picture(found, mine, f"{found.metric}. {title}", label))
    for by, (title, _) in WHAT.items():
        mine = [group for group in groups if group.by == by]
        if mine:
            beside = f"; in brackets the difference to {against}" if len(found.shown) > 1 else ""
            blocks.append(Table(f"{title}: {found.metric} in percent{beside}", grid(found, mine)))
    says = (
        "Users stand in quartiles by how many training links they have. Items stand in thirds of "
        "all training links: the few most popular are the head, the many others the tail."
    )
    absent = "evaluated by an earlier version; the same command, in a new folder, brings it"
    return Part("groups", "Who gains", says, blocks, "" if blocks else absent)


def grid(found: Found, groups: Sequence[GroupOf]) -> Grid:
    """A row per method, a column per group."""
    rows = []
    for method in found.shown:
        texts = [method.name]
        for group in groups:
            mine, other = group.values.get(method.name), group.values.get(found.against)
            text = "" if mine is None else f"{100 * mine:.2f}"
            if mine is not None and other is not None and method.name != found.against:
                text += f" ({100 * (mine - other):+z.2f})"
            texts.append(text)
        rows.append(texts)
    best = set()
    for place, group in enumerate(groups, 1):
        top = max(group.values.values())
        best |= {(n, place) for n, m in enumerate(found.shown) if group.values.get(m.name) == top}
    header = ["method", *(f"{group.name} ({group.links} links)" for group in groups)]
    return Grid(header, rows, best if len(rows) > 1 else set())


def picture(found: Found, groups: Sequence[GroupOf], title: str, label: str) -> Picture:
    """Groups from left to right, a line per method."""

    def draw(axes: Axes) -> None:
        for method in found.shown:
            shares = [100 * group.values.get(method.name, float("nan")) for group in groups]
            draw_dots(axes, method, range(len(groups)), shares)
        names = [f"{group.name}\n{group.links}" for group in groups]
        axes.set_xticks(range(len(groups)), names)
        axes.set(xlabel=label, ylabel=f"{found.metric}, percent")
        axes.margins(x=0.08)

    says = "The groups differ in how hard they are: compare methods within one, not groups."
    return Picture(f"groups-{groups[0].by}", title, says, draw)
