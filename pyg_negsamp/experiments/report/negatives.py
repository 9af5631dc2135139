"""What the negatives were: how hard, how false, how popular; and what training made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from statistics import mean

from matplotlib.axes import Axes

from pyg_negsamp.experiments.report.courses import (
    Course,
    at_best,
    course,
    draw_course,
    draw_courses,
    draw_dots,
    in_percent,
    over_epochs,
)
from pyg_negsamp.experiments.report.page import Block, Part, Picture
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.report.styles import DASHES, GREY, INK


def hardness(found: Found) -> Part:
    """Scores of positives, negatives and unseen items, by epoch and by positive."""
    methods = having(found, "hardness/negative")
    blocks: list[Block] = []
    if drawn := having(found, "hardness/relative"):
        says = (
            "Mean score of the negatives over that of the positives: 0 is as easy as an item of "
            "score 0, 1 as hard as the positives."
        )
        draw = draw_courses(drawn, "hardness/relative", "negative / positive")
        blocks.append(Picture("hardness-relative", "Hardness", says, draw))
    for number, method in enumerate(methods):
        alike = [other for other in methods if scale_of(other) == scale_of(method)]
        blocks.append(scores(method, number, ends_of(alike)))
    if drawn := having(found, "hardness/by-positive/1"):
        says = (
            "Near the best epoch: links in tenths by the score of their positive, and the mean "
            "score of the negatives chosen for each. Where a line rises, strong positives get "
            "harder negatives; above the diagonal a negative scores higher than its positive."
        )
        picture = Picture("by-positive", "Negatives by their positive", says, by_positive(drawn))
        blocks.append(picture)
    says = (
        "Scores as the loss sees them, at the end of an epoch, on a fixed sample of training "
        "links. Negatives as low as unseen items teach little; as high as positives, they are hard."
    )
    absent = "not collected; --diagnostics hardness brings it"
    return Part("hardness", "How hard the negatives are", says, blocks, "" if blocks else absent)


def having(found: Found, key: str) -> list[Shown]:
    """The methods whose history has a number."""
    return [method for method in found.trained if course(method, key) is not None]


def scale_of(method: Shown) -> tuple[str, str]:
    """What decides how large scores are."""
    return method.row.config.encoder.encoder, method.row.config.loss.loss


def ends_of(methods: Sequence[Shown]) -> tuple[float, float]:
    """The least and the largest of all that is drawn of methods, with some room."""
    names = ("positive", "negative", "unseen", "negative/p10", "negative/p90")
    found = [course(method, f"hardness/{name}") for method in methods for name in names]
    values = [value for each in found if each is not None for value in each.mean]
    room = 0.04 * (max(values) - min(values))
    return min(values) - room, max(values) + room


def scores(method: Shown, number: int, ends: tuple[float, float]) -> Picture:
    """Mean scores of one method by epoch, with the deciles of its negatives.

    Args:
        method: Which one.
        number: Its number.
        ends: Of the axis of scores, which methods share that can be compared.
    """

    def draw(axes: Axes) -> None:
        colour = method.style.colour
        for low, high in ((10, 90), (20, 80), (30, 70), (40, 60)):
            least, most = (course(method, f"hardness/negative/p{p}") for p in (low, high))
            if least is not None and most is not None:
                axes.fill_between(
                    least.epochs, least.mean, most.mean, color=colour, alpha=0.13, linewidth=0
                )
        looks = {
            "positive": {"color": INK, "linestyle": DASHES[0]},
            "negative": {"color": colour, "linestyle": DASHES[0]},
            "unseen": {"color": GREY, "linestyle": DASHES[1]},
        }
        for what, look in looks.items():
            if (seen := course(method, f"hardness/{what}")) is not None:
                plain = Course(seen.epochs, seen.mean, seen.mean, seen.mean)
                draw_course(axes, plain, what, **look)
        over_epochs(axes, "score")
        if ends[0] < ends[1]:
            axes.set_ylim(ends)

    says = (
        f"{method.name}: mean score of positives, of chosen negatives and of random unseen items. "
        "The bands are the deciles of the negatives, 10 to 90 % the widest."
    )
    return Picture(f"hardness-{number}", f"Scores: {method.name}", says, draw)


def tenths(method: Shown, key: str) -> list[float]:
    """Ten numbers near the best epoch, `KEY1` to `KEY10`; not a number where one is missing."""
    found = [at_best(method, f"{key}{number}") for number in range(1, 11)]
    return [float("nan") if value is None else value for value in found]


def by_positive(methods: Sequence[Shown]) -> Callable[[Axes], None]:
    """Draws the mean score of negatives over that of their positives, in tenths."""

    def draw(axes: Axes) -> None:
        for method in methods:
            positive = tenths(method, "hardness/positive/")
            draw_dots(axes, method, positive, tenths(method, "hardness/by-positive/"))
        low = axes.get_ylim()[0]  # which is in the picture, so that the line does not stretch it
        axes.axline((low, low), slope=1, color=GREY, linewidth=1, linestyle=DASHES[2])
        axes.set(xlabel="score of the positive, mean of a tenth", ylabel="score of the negatives")

    return draw


def false_negatives(found: Found) -> Part:
    """The share of negatives that are held-out links."""
    methods = having(found, "false-negatives/chosen")
    blocks: list[Block] = []
    if methods:
        says = (
            "Share of chosen negatives that are links held out for validation, by epoch. The grey "
            "lines are what a draw at random, and one by popularity, would hit."
        )
        blocks.append(Picture("false", "False negatives", says, false_by_epoch(methods)))
    ranked = having(found, "false-negatives/rank-1")
    # One candidate is the hardest and the easiest.
    if ranked := [m for m in ranked if not all(map(isnan, tenths(m, "false-negatives/rank-")[1:]))]:
        says = (
            "Share of held-out links among the candidates near the best epoch, by the rank of "
            "their score in tenths: the hardest first. Where it falls steeply, to take the hardest "
            "candidate is to take false negatives."
        )
        blocks.append(Picture("false-by-rank", "False negatives by rank", says, by_rank(ranked)))
    says = (
        "Some unobserved items are liked; to push them down does harm. Links held out for "
        "validation stand for them, so that the true share is higher, by about as much for all."
    )
    absent = "not collected; --diagnostics false-negatives brings it"
    if found.selected_on == "test":
        absent = "never collected where epochs are selected on test (--protocol paper)"
    return Part("false-negatives", "False negatives", says, blocks, "" if blocks else absent)


def average(methods: Sequence[Shown], key: str) -> Course | None:
    """The mean course of methods, of a number that is the same for all but for its sample."""
    seen: dict[int, list[float]] = {}
    for method in methods:
        if (found := course(method, key)) is not None:
            for epoch, value in zip(found.epochs, found.mean, strict=True):
                seen.setdefault(epoch, []).append(value)
    if not seen:
        return None
    means = [mean(seen[epoch]) for epoch in sorted(seen)]
    return Course(sorted(seen), means, means, means)


def draw_expected(
    axes: Axes, methods: Sequence[Shown], keys: dict[str, str], percent: bool = False
) -> None:
    """Grey lines of what is no method's own."""
    for dash, (label, key) in zip(DASHES[2:] + DASHES[1:2], keys.items(), strict=False):
        if (found := average(methods, key)) is not None:
            found = in_percent(found) if percent else found
            draw_course(axes, found, label, color=GREY, linestyle=dash)


def false_by_epoch(methods: Sequence[Shown]) -> Callable[[Axes], None]:
    """Draws the shares by epoch, beside what is expected."""

    def draw(axes: Axes) -> None:
        label = "held-out links, percent"
        draw_courses(methods, "false-negatives/chosen", label, percent=True)(axes)
        expected = {
            "at random": "false-negatives/expected",
            "by popularity": "false-negatives/by-popularity",
        }
        draw_expected(axes, methods, expected, percent=True)
        axes.set_ylim(bottom=0)

    return draw


def by_rank(methods: Sequence[Shown]) -> Callable[[Axes], None]:
    """Draws the shares by the rank of the candidate."""

    def draw(axes: Axes) -> None:
        for method in methods:
            shares = [100 * share for share in tenths(method, "false-negatives/rank-")]
            draw_dots(axes, method, range(1, 11), shares)
        axes.set(xlabel="tenth of the candidates, hardest first", ylabel="held-out links, percent")
        axes.set_xticks(range(1, 11))
        axes.set_ylim(bottom=0)

    return draw


def popularity(found: Found) -> Part:
    """How popular the drawn items are."""
    methods = having(found, "popularity/chosen")
    blocks: list[Block] = []

    def draw(axes: Axes) -> None:
        draw_courses(methods, "popularity/chosen", "training links of an item")(axes)
        expected = {"positives": "popularity/positive", "catalogue": "popularity/catalogue"}
        draw_expected(axes, methods, expected)
        axes.set_ylim(bottom=0)

    if methods:
        says = (
            "Mean number of training links of the items drawn as negatives, beside that of the "
            "positives and of all items."
        )
        blocks.append(Picture("popularity", "Popularity of what is drawn", says, draw))
    says = "Negatives far more popular than the catalogue push popular items down for everybody."
    absent = "not collected; --diagnostics popularity brings it"
    return Part(
        "popularity", "Popularity of the drawn items", says, blocks, "" if blocks else absent
    )


#: Part of its own each: key, title, label of the axis, what it says, whether in percent.
SIGNALS = {
    "gradient": (
        ("gradient/mean", "What a step still learns", "mean of sigmoid(negative - positive)",
         "The factor of the gradient. Near 0 a negative teaches nothing more."),
    ),
    "entropy": (
        ("entropy/chosen", "Entropy of the chosen", "entropy, nats",
         "How varied the embeddings of the chosen items are. A fall means the same few again."),
    ),
    "uniformity": (
        ("alignment/pairs", "Alignment", "mean squared distance",
         "How near users are to their items, on the unit sphere. Lower is nearer."),
        ("uniformity/users", "Uniformity of users", "log of mean potential",
         "How evenly users spread over the sphere. Lower is more even."),
        ("uniformity/items", "Uniformity of items", "log of mean potential",
         "How evenly items spread over the sphere. Lower is more even."),
    ),
    "ambiguous-trap": (
        ("ambiguous-trap/max", "Largest candidate score", "normalised score",
         "The hardest candidate of a link, on the scale from the least to the largest score."),
        ("ambiguous-trap/min", "Smallest candidate score", "normalised score",
         "The easiest candidate of a link. Where it comes near the largest, all look the same."),
        ("ambiguous-trap/gain", "Gain of augmentation", "score",
         "By how much a made negative scores higher than the item that it was made from."),
    ),
}  # fmt: skip


def signals(found: Found) -> Part:
    """Whatever else was collected, a picture each."""
    blocks: list[Block] = []
    missing = []
    for name, pictures in SIGNALS.items():
        seen = [picture for picture in pictures if having(found, picture[0])]
        missing += [] if seen else [name]
        for key, title, label, says in seen:
            draw = draw_courses(found.trained, key, label)
            blocks.append(Picture(key.replace("/", "-"), title, says, draw))
    absent = f"not collected; --diagnostics {' '.join(missing)} brings it" if missing else ""
    says = "Further signs of what training does, by epoch."
    return Part("signals", "Further signs", says, blocks, absent)
