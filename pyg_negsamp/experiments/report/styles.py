"""How a method looks, everywhere on a page: a colour, a marker and a dash of its own.

The colours are those of Okabe and Ito (2008), which colour-blind people tell apart, without black
and yellow, of which each is lost on one of the grounds. Colour is never the only sign: methods
differ in marker and dash, too, and after the last colour the first comes again with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Text and axes. A page puts the colour of its text in its place.
INK = "#1b1c1d"
#: What is no method: expectations, references.
GREY = "#737475"
#: On a light ground; beside each is its form on a dark one. Each has a contrast of 3 or more.
COLOURS = {
    "#005a9c": "#5a96f5",  # blue
    "#d55e00": "#e8743b",  # vermillion
    "#008f68": "#1fb88e",  # bluish green
    "#b8578f": "#d98cb8",  # reddish purple
    "#b07c00": "#e69f00",  # orange
    "#2f93cc": "#7cc7f0",  # sky blue
    "#85800a": "#d6c82f",  # yellow
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


@dataclass(frozen=True)
class Style:
    """How one method looks."""

    colour: str
    marker: str
    dash: Any

    @property
    def line(self) -> dict[str, Any]:
        """Of its curves."""
        return {"color": self.colour, "linestyle": self.dash}

    @property
    def dots(self) -> dict[str, Any]:
        """Of its single values."""
        return {"color": self.colour, "marker": self.marker}


def style_of(number: int) -> Style:
    """The style of the trained method with that number, from 0."""
    colours = tuple(COLOURS)
    return Style(
        colours[number % len(colours)],
        MARKERS[number % len(MARKERS)],
        DASHES[number % len(DASHES)],
    )


def style_of_reference(number: int) -> Style:
    """The style of a ranking without training: grey, so that colours are for what was trained."""
    return Style(GREY, MARKERS[-1 - number % len(MARKERS)], DASHES[number % len(DASHES)])
