"""A page from what is on disk: which row is better, for whom, by how much, and at what cost.

write_report([Path("runs/compare/sales")])                 # its report.html
write_report([Path("runs/a"), Path("runs/b")], "md", Path("both.md"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pyg_negsamp.errors import invalid
from pyg_negsamp.experiments.report.html import write_html
from pyg_negsamp.experiments.report.latex import write_latex
from pyg_negsamp.experiments.report.markdown import write_markdown
from pyg_negsamp.experiments.report.page import Page
from pyg_negsamp.experiments.report.pages import page_of
from pyg_negsamp.experiments.report.pictures import write_pictures
from pyg_negsamp.experiments.report.reading import read

#: What writes a page, and what its file is called.
FORMATS: dict[str, tuple[Callable[[Page, Path], None], str]] = {
    "html": (write_html, "report.html"),
    "md": (write_markdown, "report.md"),
    "latex": (write_latex, "report.tex"),
    "png": (write_pictures, "report-figures"),
}


def write_report(folders: Sequence[Path], form: str = "html", out: Path | None = None) -> Path:
    """Makes a page of a comparison, or of runs.

    Args:
        folders: One of `compare` or `reproduce`, or some of `train`.
        form: Out of `FORMATS`: a page with all in one file; Markdown, with its figures in a folder
            beside it; the tables as LaTeX; or a folder of figures.
        out: File or folder to write. Default: in the folder, if it is one; else here.

    Returns:
        Where it is.

    Raises:
        ValueError: As :func:`read`; or if `out` is not called as its format is.
    """
    write, name = FORMATS[form]
    flags = [] if form == "html" else ["--format", form]
    flags += [] if out is None else ["--out", str(out)]
    out = out or (folders[0] / name if len(folders) == 1 else Path(name))
    if out.suffix != Path(name).suffix:  # so that nothing else is lost that has this name
        ending = f"ends in {Path(name).suffix}" if Path(name).suffix else "has no ending"
        raise invalid("report", "out", f"a name that {ending}, for --format {form}", out)
    if Path(name).suffix and out.is_dir():
        raise invalid("report", "out", "a file", f"the folder {out}")
    write(page_of(replace(read(folders), flags=flags)), out)
    return out
