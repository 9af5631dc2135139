"""What a page consists of, before it is written in any form: tables, pictures and commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from matplotlib.axes import Axes

from pyg_negsamp.experiments.tables import Grid

#: Above what is not on a page.
ABSENT = (
    "A finished run is not run again: what a flag brings needs a new folder, another --out. "
    "--diagnostics takes what it names and no more; --diagnostics all brings everything."
)


@dataclass(frozen=True)
class Table:
    """A table with what stands above it.

    Attributes:
        title: What it shows, with its unit.
        grid: Its texts.
        latex: Its form in LaTeX, where that is another one. Default: the grid's.
    """

    title: str
    grid: Grid
    latex: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure with what stands beside it.

    Attributes:
        name: Of its file, and in front of the ids in its SVG; no two on a page are the same.
        title: What it shows.
        says: How to read it, in a sentence or two; also what a screen reader says.
        draw: Draws it on axes.
        height: Share of its width. Default 0.66.
    """

    name: str
    title: str
    says: str
    draw: Callable[[Axes], None]
    height: float = 0.66


@dataclass(frozen=True)
class Commands:
    """Lines to type in a terminal, and what they do."""

    title: str
    lines: Sequence[str]


Block: TypeAlias = Table | Picture | Commands


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Attributes:
        name: In its address, such as `'hardness'`.
        title: Its heading.
        says: What it is about, in a sentence or two.
        blocks: What it shows, in order; a part without any is left out.
        absent: What is not there of it, and what would bring it; empty if all is there.
    """

    name: str
    title: str
    says: str
    blocks: Sequence[Block]
    absent: str = ""


@dataclass(frozen=True)
class Page:
    """All of it.

    Attributes:
        title: Its heading.
        says: What was compared on what, in a line.
        answer: What the numbers say, sentence by sentence.
        parts: In order.
    """

    title: str
    says: str
    answer: Sequence[str]
    parts: Sequence[Part]
