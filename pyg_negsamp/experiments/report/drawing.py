"""Pictures as SVG for a page and as PNG for a file, drawn by the same code.

In the SVG every colour of :mod:`.styles` becomes a variable of the page, and ink the colour of its
text, so that a picture follows a light or a dark page. Text stays text, in the font of the page.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter

from pyg_negsamp.experiments.report.page import Picture
from pyg_negsamp.experiments.report.styles import COLOURS, GREY, INK

#: Inches; at 72 points each it is 418 wide, and 11 points are legible on a phone, too.
WIDTH = 5.8
#: Inches of a letter, about.
LETTER = 0.095
SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
#: What stands on a page in place of a colour.
VARIABLES = {
    INK: "currentColor",
    GREY: "var(--grey)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(COLOURS)},
}
LOOK: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "legend.fontsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.7,
    "legend.frameon": False,
    "text.parse_math": False,  # a method may be called $x$
    "svg.fonttype": "none",
    "svg.hashsalt": "pyg-negsamp",
    "axes.formatter.useoffset": False,
    **{f"{what}.color": INK for what in ("text", "xtick", "ytick")},
    **{f"axes.{what}color": INK for what in ("label", "edge")},
}


@contextmanager
def our_look() -> Iterator[None]:
    """How pictures look while they are drawn and written, whatever a user has set."""
    with mpl.rc_context({**mpl.rcParamsDefault, **LOOK}):
        yield


def drawn(picture: Picture, titled: bool) -> Figure:
    """The picture, with its legend below.

    Margins are reckoned from the number of characters: to have them measured would cost as much as
    all drawing, and the font of a page is another one anyway.
    """
    figure = Figure(figsize=(WIDTH, WIDTH * picture.height))
    axes = figure.add_subplot()
    picture.draw(axes)
    bottom, top = 0.55, 0.36 if titled else 0.1
    names = [shortened(text.get_text(), 30) for text in axes.get_yticklabels()]
    if isinstance(axes.yaxis.get_major_formatter(), FixedFormatter):
        axes.set_yticks(axes.get_yticks(), names)
    left = 0.15 + LETTER * max(map(len, names)) + 0.22 * bool(axes.get_ylabel())
    bottom += 0.19 * any("\n" in text.get_text() for text in axes.get_xticklabels())
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        labels = [shortened(label, 60) for label in labels]
        wide = 0.67 + 0.088 * max(map(len, labels))
        columns = max(1, min(4, int(WIDTH / wide)))
        lines = math.ceil(len(labels) / columns)
        bottom += 0.08 + 0.22 * lines
        figure.set_figheight(figure.get_figheight() + 0.22 * lines)
        figure.legend(handles, labels, loc="lower left", ncols=columns, borderaxespad=0)
    if titled:
        axes.set_title(picture.title, loc="left")
    high = figure.get_figheight()
    figure.subplots_adjust(left / WIDTH, bottom / high, 1 - 0.12 / WIDTH, 1 - top / high)
    return figure


def shortened(text: str, most: int) -> str:
    """A name that is not longer than there is room."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def to_png(picture: Picture) -> bytes:
    """The picture with its title, on white."""
    file = io.BytesIO()
    drawn(picture, titled=True).savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def to_svg(picture: Picture) -> str:
    """The picture as an element of a page: no title, no ground, no colours of its own.

    It has no date, its ids begin with its name, and numbers are as long as one sees.
    """
    file = io.StringIO()
    figure = drawn(picture, titled=False)
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("metadata", "style")):  # a style would hold for the whole page
                parent.remove(child)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', file.getvalue()))
    for element in root.iter():
        element.text, element.tail = (element.text or "").strip(), ""
        if element.get("id") in used:
            element.set("id", f"{picture.name}-{element.get('id')}")
        else:
            element.attrib.pop("id", None)
        if (link := element.attrib.pop(XLINK, None)) is not None:
            element.set("href", f"#{picture.name}-{link.removeprefix('#')}")
        for name, value in element.attrib.items():
            if name not in ("id", "href", "viewBox"):
                element.set(name, _rewritten(value, picture.name))
    root.attrib.pop("width"), root.attrib.pop("height")
    root.set("role", "img")
    root.set("aria-label", f"{picture.title}. {picture.says}")
    return ElementTree.tostring(root, encoding="unicode")


def _rewritten(value: str, name: str) -> str:
    """An attribute of an SVG as it stands on a page."""
    value = value.replace("url(#", f"url(#{name}-")
    value = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    value = re.sub(r"font-family: [^;]*; ?", "", value)
    for colour, variable in VARIABLES.items():
        value = value.replace(colour, variable)
    return value
