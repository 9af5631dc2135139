"""Fills a table of a paper, beside its printed numbers.

    pyg-negsamp reproduce --list
    pyg-negsamp reproduce ahns/amazon-phones --root DATA --seeds 3 --jobs 2 --budget 20m

A cell of the table is a row under one protocol with one seed. A finished cell is never computed
again, unless its flags, its data or the code change; a killed command goes on with the cell's last
epoch. A cell that fails stops no other. The table is written as table.csv, table.md and table.tex
after every cell. Refit trains for as many epochs as the clean cell found best, if that is there,
and else selects by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pyg_negsamp.cli.fill import add_table_flags, fill_and_print
from pyg_negsamp.cli.flags import add_field
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.experiments.table_files import find, packaged, read_table

#: Fields that the table leaves open, as they say nothing of what a cell learns.
SAME_CELLS = ("metrics", "cuda_graph")


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """Which table, and where the data are."""
    parser.add_argument(
        "table", nargs="?", metavar="TABLE", help="one of --list; compare --table reads your own"
    )
    parser.add_argument("--list", action="store_true", help="name the tables that can be filled")
    parser.add_argument(
        "--root",
        default="datasets",
        metavar="DATA",
        help="folder that holds benchmarks by name. Default: datasets.",
    )
    add_table_flags(parser, "runs/reproduce/TABLE")
    group = parser.add_argument_group("for all rows")
    for name in SAME_CELLS:
        add_field(group, FIELDS[name], several=False)


def run(args: argparse.Namespace) -> None:
    """Fills the table and prints it."""
    if args.list:
        print("\n".join(packaged()))
        return
    if args.table is None:
        raise ValueError("which table? --list names all")
    given = {name: x for name, x in vars(args).items() if name in ("root", *SAME_CELLS)}
    comparison = read_table(find(args.table), given)
    out = Path(args.out or f"runs/reproduce/{comparison.name}")
    done = fill_and_print(comparison, out, args)
    if done.failed:
        raise done.failed[0]
