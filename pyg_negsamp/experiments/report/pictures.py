"""A page's figures as PNG, a file each in a folder."""

from __future__ import annotations

from pathlib import Path

from pyg_negsamp.errors import invalid
from pyg_negsamp.experiments.report.drawing import our_look, to_png
from pyg_negsamp.experiments.report.page import Page, Picture
from pyg_negsamp.files import whole


def write_pictures(page: Page, out: Path) -> None:
    """Writes every figure of a page, each whole.

    Raises:
        ValueError: If there is none.
    """
    pictures = [b for part in page.parts for b in part.blocks if isinstance(b, Picture)]
    if not pictures:
        raise invalid("report", "format", "html, md or latex: there is no figure", "png")
    with our_look():
        for picture in pictures:
            with whole(out / f"{picture.name}.png") as part:
                part.write_bytes(to_png(picture))
