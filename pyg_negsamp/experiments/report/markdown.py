"""A page as Markdown, with its figures as PNG in a folder beside it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from pyg_negsamp.experiments.report.page import ABSENT, Block, Commands, Page, Picture, Table
from pyg_negsamp.experiments.report.pictures import write_pictures
from pyg_negsamp.experiments.tables import to_markdown
from pyg_negsamp.files import write


def write_markdown(page: Page, out: Path) -> None:
    """Writes `NAME.md`, and its figures into `NAME-figures`."""
    figures = out.with_name(f"{out.stem}-figures")
    parts = [part for part in page.parts if part.blocks]
    if any(isinstance(block, Picture) for part in parts for block in part.blocks):
        write_pictures(page, figures)
    lines = [f"# {page.title}", page.says + ".", " ".join(page.answer)]
    for part in parts:
        lines += [f"## {part.title}", part.says]
        lines += [text_of(block, figures) for block in part.blocks]
    if absent := [f"- {part.title}: {part.absent}." for part in page.parts if part.absent]:
        lines += ["## Not on this page", ABSENT, "\n".join(absent)]
    write(out, "\n\n".join(lines) + "\n")


def text_of(block: Block, figures: Path) -> str:
    """A block as Markdown."""
    if isinstance(block, Table):
        return f"{block.title}.\n\n{to_markdown(block.grid)}"
    if isinstance(block, Picture):
        address = quote(f"{figures.name}/{block.name}.png")
        return f"![{block.title}]({address})\n\n{block.says}"
    assert isinstance(block, Commands)
    return "\n".join([f"{block.title}:\n", "```bash", *block.lines, "```"])
