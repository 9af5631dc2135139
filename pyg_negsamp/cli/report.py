"""Makes a page of a comparison, or of runs: which is better, for whom, by how much, at what cost.

    pyg-negsamp report runs/compare/sales                    its report.html
    pyg-negsamp report runs/a runs/b --format md --out both.md

The page is one file, which needs no network. What it shows is read from the folders; what is not
there is left out, with the flag that brings it. Formats: html; md, with its figures as PNG in a
folder beside it; latex, the tables; png, a folder of the figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pyg_negsamp.cli.parser import Parser

FORMATS = ("html", "md", "latex", "png")


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """What to read, and what to write."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN",
        help="a folder of compare or reproduce, or folders of train on the same data",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=FORMATS, default="html", help="what to write. Default: html."
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="where to write. Default: report.html, report.md, report.tex or report-figures, in "
        "RUN if it is one, else here.",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Writes it, and says where it is."""
    from pyg_negsamp.experiments.report import write_report  # help does not wait for it

    print(f"the report is in {write_report(args.runs, args.format, args.out)}")
