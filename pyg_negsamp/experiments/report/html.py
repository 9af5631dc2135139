"""A page as one HTML file, with all that it needs inside."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pyg_negsamp.experiments.report.drawing import our_look, to_svg
from pyg_negsamp.experiments.report.page import ABSENT, Block, Page
from pyg_negsamp.experiments.report.styles import COLOURS, GREY
from pyg_negsamp.files import write


def write_html(page: Page, out: Path) -> None:
    """Writes it."""
    write(out, to_html(page))


def to_html(page: Page) -> str:
    """The page. Texts are escaped; pictures are elements of it."""
    environment = Environment(
        loader=PackageLoader("pyg_negsamp.experiments.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["groupby_kind"] = by_kind
    template = environment.get_template("page.html.j2")
    with our_look():
        return template.render(
            page=page,
            absent_says=ABSENT,
            parts=[part for part in page.parts if part.blocks],
            svg=lambda picture: Markup(to_svg(picture)),
            light=list(COLOURS),
            dark=list(COLOURS.values()),
            grey=GREY,
        )


def by_kind(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Neighbours of one kind together: pictures stand side by side."""
    return [(kind, list(same)) for kind, same in groupby(blocks, lambda each: type(each).__name__)]
