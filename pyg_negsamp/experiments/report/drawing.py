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

from pyg_negsamp.experiments.report.page import Picture
from pyg_negsamp.experiments.report.styles import COLOURS, GREY, INK

#: Inches; at 72 points each it is 446 wide, and 11 points are legible on a phone, too.
WIDTH = 6.2
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
def drawn(picture: Picture, titled: bool) -> Iterator[Figure]:
    """The picture, while its look holds, which decides how it is written, too."""
    with mpl.rc_context({**mpl.rcParamsDefault, **LOOK}):
        figure = Figure(figsize=(WIDTH, WIDTH * picture.height), layout="constrained")
        axes = figure.add_subplot()
        picture.draw(axes)
        if titled:
            axes.set_title(picture.title)
        handles, labels = axes.get_legend_handles_labels()
        if labels:
            columns = max(1, min(4, 62 // (max(map(len, labels)) + 6)))
            lines = math.ceil(len(labels) / columns)
            figure.set_figheight(figure.get_figheight() + 0.23 * lines)
            figure.legend(handles, labels, loc="outside lower left", ncols=columns)
        yield figure


def to_png(picture: Picture) -> bytes:
    """The picture with its title, on white."""
    file = io.BytesIO()
    with drawn(picture, titled=True) as figure:
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def to_svg(picture: Picture) -> str:
    """The picture as an element of a page: no title, no ground, no colours of its own.

    It has no date, its ids begin with its name, and numbers are as long as one sees.
    """
    file = io.StringIO()
    with drawn(picture, titled=False) as figure:
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
