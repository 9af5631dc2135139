"""What `compare` and `reproduce` share: the flags of a table to fill, and what they print."""

from __future__ import annotations

import argparse
from pathlib import Path

from pyg_negsamp.cli.flags import add_worker_flags
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.show import print_remarks, print_report, say
from pyg_negsamp.durations import seconds_of
from pyg_negsamp.errors import TerminatedError
from pyg_negsamp.experiments.comparison import Comparison
from pyg_negsamp.experiments.filling import Filled, fill


def add_table_flags(parser: Parser, out: str) -> None:
    """How much to run, and where the table goes.

    Args:
        parser: Where to add them.
        out: The default of `--out`, for the help.
    """
    group = parser.add_argument_group("table")
    group.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 per row. Default: 3."
    )
    add_worker_flags(group)
    group.add_argument(
        "--budget",
        type=budget_of,
        default=float("inf"),
        metavar="TIME",
        help="start no training after 90s, 20m, 1.5h. Default: no limit.",
    )
    group.add_argument(
        "--out",
        metavar="DIR",
        help=f"folder of the table; what is finished there is not computed again. Default: {out}.",
    )


def budget_of(text: str) -> float:
    """The seconds of a time such as `'20m'`; what is none, argparse refuses with its flag."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def fill_and_print(comparison: Comparison, out: Path, args: argparse.Namespace) -> Filled:
    """Fills a table, prints it, and makes a page of it.

    Args:
        comparison: What to compare.
        out: Folder of the table.
        args: The flags of :func:`add_table_flags`.
    """
    try:
        done = fill(
            comparison, out, args.seeds, args.jobs, args.budget, say, args.typed, args.cluster
        )
    except (KeyboardInterrupt, TerminatedError) as stop:
        raise type(stop)("the same command goes on") from None
    if done.missing:
        are = "cell is" if done.missing == 1 else "cells are"
        print(f"\n{done.missing} {are} missing, or with another process; the same command goes on")
    print("\n" + done.text)
    print_report(out)
    print_remarks(done.improving, done.below)
    return done
