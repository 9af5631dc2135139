"""The tables of a page as LaTeX, for the package booktabs."""

from __future__ import annotations

from pathlib import Path

from pyg_negsamp.experiments.report.page import Page, Table
from pyg_negsamp.experiments.tables import Grid, escaped
from pyg_negsamp.files import write


def write_latex(page: Page, out: Path) -> None:
    """Writes all tables of numbers into a file."""
    tables = [b for part in page.parts for b in part.blocks if isinstance(b, Table)]
    write(out, "\n".join(table.latex or to_latex(table) for table in tables))


def to_latex(table: Table) -> str:
    """A table of texts, the best of a column in bold."""
    grid: Grid = table.grid
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.title)}.}}",
        rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
        r"\toprule",
        " & ".join(map(escaped, grid.header)) + r" \\",
        r"\midrule",
    ]
    for number, row in enumerate(grid.rows):
        texts = [
            rf"\textbf{{{escaped(text)}}}" if (number, place) in grid.best else escaped(text)
            for place, text in enumerate(row)
        ]
        lines.append(" & ".join(texts) + r" \\")
    note = [rf"\par\smallskip\footnotesize {escaped(' '.join(grid.notes))}"] if grid.notes else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *note, r"\end{table}", ""])
