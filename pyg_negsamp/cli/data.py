"""Describes interactions, or filters, splits and writes them for later runs.

pyg-negsamp data describe --dataset purchases.csv --user-column customer --item-column sku
pyg-negsamp data prepare --dataset purchases.csv ... --k-core 5 5 --to prepared
pyg-negsamp train --dataset prepared
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

import pandas as pd

from pyg_negsamp.cli.flags import add_config_flags, config_from
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.datasets.report import format_summary
from pyg_negsamp.experiments.describe import FEW, Description, describe
from pyg_negsamp.experiments.prepare import prepare

VERBS = {
    "describe": "counts, degrees and times of the interactions, and what each filter would leave",
    "prepare": "filter, split and write the interactions, for later runs",
}


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """The two verbs; both take the fields that say what to load."""
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        add_config_flags(verb, argv, parts=("data",))
        if name == "prepare":
            verb.add_argument("--to", required=True, metavar="DIR", help="new or empty folder")


def run(args: argparse.Namespace) -> None:
    """Describes, or prepares and says how to train with it."""
    if args.verb == "describe":
        show(describe(config_from(args)))
    else:
        counts = prepare(config_from(args), args.to)
        print(format_summary(counts))
        print(f"\npyg-negsamp train --dataset {shlex.quote(args.to)}")


def show(found: Description) -> None:
    """Prints a description, a table per question."""
    print(format_summary(found.summary))
    degrees = found.degrees.rename(columns={"few": f"fewer than {FEW}"})
    degrees[f"fewer than {FEW}"] = degrees[f"fewer than {FEW}"].map("{:.1%}".format)
    show_table("links per", degrees)
    if found.times is not None:
        print(f"\ntimes from {found.times[0]} to {found.times[1]}")
    show_table("left by filter", found.filters)
    if found.ratings is not None:
        ratings = found.ratings.assign(share=found.ratings["share"].map("{:.1%}".format))
        ratings.index = ratings.index.map("{:g}".format)
        show_table("rated at least", ratings)
    if found.torn:
        pairs = "1 pair is" if found.torn == 1 else f"{found.torn:,} pairs are"
        print(f"\n{pairs} rated lower, too: one rating that is high enough makes a link")
    if found.leakage:
        print("\n" + "\n".join(found.leakage))


def show_table(title: str, table: pd.DataFrame) -> None:
    """Prints a table whose first column has a title."""
    texts = pd.DataFrame({name: table[name].map(as_text) for name in table})
    names = pd.Index([title, *table.index])
    wide = [max(map(len, [str(name), *texts[name]])) + 2 for name in texts]
    first = max(map(len, names))
    print()
    for name, row in zip(names, [list(texts), *texts.to_numpy().tolist()], strict=True):
        cells = "".join(cell.rjust(width) for cell, width in zip(row, wide, strict=True))
        print(f"{name:<{first}}{cells}")


def as_text(value: object) -> str:
    """A number with its thousands apart, and one decimal unless it is whole."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
