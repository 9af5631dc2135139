"""Learning curves, and how far training runs ahead of validation."""

from __future__ import annotations

from matplotlib.axes import Axes

from pyg_negsamp.experiments.report.courses import (
    at_best,
    course,
    draw_course,
    draw_courses,
    in_percent,
    lost_since_peak,
    over_epochs,
)
from pyg_negsamp.experiments.report.page import Block, Part, Picture, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.report.styles import DASHES
from pyg_negsamp.experiments.tables import Grid


def selected_by(found: Found) -> str:
    """The key of the metric that selects, in the history."""
    part = {"test": "test", "validation": "val"}[found.selected_on]
    return f"{part}/NDCG@{found.comparison.cutoffs[0]}"


def learning(found: Found) -> Part:
    """The metric that selects, and the loss, of all methods in one picture each."""
    key = selected_by(found)
    links = found.selected_on
    name = f"NDCG@{found.comparison.cutoffs[0]}"
    blocks: list[Block] = []
    if any(course(method, key) for method in found.trained):
        says = "By epoch: the mean over seeds, the band from the least to the largest. A line that "
        says += "ends early was stopped."
        draw = draw_courses(found.trained, key, f"{name} on {links}, percent", percent=True)
        blocks.append(Picture("curves", f"{name} on {links} links", says, draw))
    if any(course(method, "loss") for method in found.trained):
        says = "The loss on training links. It depends on how hard the negatives are: a lower one "
        says += "is no better model."
        draw = draw_courses(found.trained, "loss", "training loss")
        blocks.append(Picture("loss", "Training loss", says, draw))
    says = "How fast a method learns, and whether it had learned all it could."
    absent = "trained by an earlier version, or not trained; compare and train keep it now"
    return Part("learning", "Learning curves", says, blocks, "" if blocks else absent)


def over_fitting(found: Found) -> Part:
    """The metric on training links beside that on the links that select."""
    key, links = selected_by(found), found.selected_on
    methods = [m for m in found.trained if course(m, "over-fitting/train") and course(m, key)]
    blocks: list[Block] = []
    if methods:
        rows = []
        for method in methods:
            numbers = [at_best(method, name) for name in ("over-fitting/train", "over-fitting/gap")]
            texts = [
                "" if x is None else f"{100 * x:.2f}" for x in [*numbers, at_best(method, key)]
            ]
            best = [str(run["best_epoch"]) for run in method.runs]
            lost = lost_since_peak(method, key)
            last = max(run["epochs"] for run in method.runs)
            texts.append("" if lost is None else f"{-100 * lost:+z.1f} %")
            rows.append([method.name, ", ".join(best), str(last), *texts])
        header = ["method", "best epoch by seed", "epochs", "training", "gap", links]
        title = f"{key.split('/')[1]} in percent at the best epoch, on training links and the gap "
        title += "at the last look until then"
        blocks.append(Table(title, Grid([*header, f"{links} since its peak"], rows)))
        gap_says = f"Training minus {links}. A gap that grows while {links} falls is "
        gap_says += "over-fitting; one that grows while both rise is not yet."
        draw = draw_courses(methods, "over-fitting/gap", "gap, percentage points", percent=True)
        blocks.append(Picture("gap", "The gap by epoch", gap_says, draw))
        seen = [course(m, name) for m in methods for name in ("over-fitting/train", key)]
        top = 105 * max(max(each.high) for each in seen if each is not None)
        blocks += [both(found, method, n, top) for n, method in enumerate(methods)]
    says = (
        f"The metric on {links} links, and on training links of a fixed sample of users: what a "
        "model has learned by heart shows in the second only."
    )
    absent = "not collected; --diagnostics over-fitting brings it"
    return Part("over-fitting", "Over-fitting", says, blocks, "" if blocks else absent)


def both(found: Found, method: Shown, number: int, top: float) -> Picture:
    """Training and what selects, of one method, up to a percentage that all pictures share."""
    key, links = selected_by(found), found.selected_on
    pairs = {"training": "over-fitting/train", links: key}

    def draw(axes: Axes) -> None:
        for dash, (label, name) in zip(DASHES[1::-1], pairs.items(), strict=True):
            if (seen := course(method, name)) is not None:
                look = {"color": method.style.colour, "linestyle": dash}
                draw_course(axes, in_percent(seen), label, **look)
        over_epochs(axes, f"{key.split('/')[1]}, percent")
        axes.set_ylim(0, top)

    says = f"{method.name}: dashed on training links, solid on {links} links."
    return Picture(f"both-{number}", f"Training and {links}: {method.name}", says, draw)
