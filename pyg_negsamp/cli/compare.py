"""Compares samplers, losses and encoders on your data, in one table with tests.

    pyg-negsamp compare --dataset purchases.csv --neg rns dns mixgcf dins --seeds 3
    pyg-negsamp compare --dataset purchases.csv --table mine.yaml --against plain

Rows are every encoder with every loss and every sampler; a flag of one method goes to the rows that
have it. Popularity, ItemKNN and EASE stand below. The table holds means, standard deviations over
seeds, a confidence interval over users, and paired tests. It is written as table.csv, table.md and
table.tex after every training; a killed command goes on where it was.

mine.yaml names rows with flags of their own:

    rows:
      - {method: plain, flags: {neg: rns}}
      - {method: hard, flags: {neg: dns, num-candidates: 32}}
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from pyg_negsamp.cli.fill import add_table_flags, fill_and_print
from pyg_negsamp.cli.flags import add_config_flags, given_fields
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.experiments import ConfigError
from pyg_negsamp.experiments.comparison import Comparison, product
from pyg_negsamp.experiments.config import RANKS
from pyg_negsamp.experiments.flags import as_flags
from pyg_negsamp.experiments.table_files import read_table

#: Parts of a run that may be several.
SEVERAL = ("neg", "loss", "encoder")


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """All fields of a configuration but the seed, and what there is to a table."""
    add_config_flags(parser, argv, several=SEVERAL, but=("seed", *RANKS))
    add_table_flags(parser, "runs/compare/DATASET")
    group = parser.add_argument_group("rows")
    group.add_argument("--table", metavar="FILE", help="YAML with rows, in place of methods")
    group.add_argument(
        "--against",
        metavar="ROW",
        help="row that the others are tested against. Default: the first; of a paper's table, the "
        "baseline with printed numbers that is best as measured here.",
    )
    group.add_argument(
        "--no-references",
        action="store_true",
        help="leave popularity, ItemKNN and EASE out. By default their arguments are chosen on "
        "validation links from a few values each; EASE is left out above 20,000 items.",
    )


def run(args: argparse.Namespace) -> None:
    """Fills the table, and says how to train its best row."""
    comparison = comparison_from(args)
    out = Path(args.out or f"runs/compare/{comparison.name}")
    done = fill_and_print(comparison, out, args)
    if done.best is not None:
        command = shlex.join(["pyg-negsamp", "train", *as_flags(done.best)])
        by = comparison.selecting(done.best.evaluation.protocol)
        print(f"the best row ({by}) is trained and kept by\n{command}")
    if done.failed:
        raise done.failed[0]


def comparison_from(args: argparse.Namespace) -> Comparison:
    """The comparison that was asked for."""
    given = given_fields(args)
    given.pop("seed", None)  # of a run's own config.yaml; here there are several
    references = not args.no_references
    if args.table is None:
        return product(given, references).tested_against(args.against)
    for part in SEVERAL:
        if part in given:
            raise ConfigError(part, "left out: the rows of --table name it", given[part])
    comparison = read_table(args.table, given, references)
    if args.against is None and comparison.paper is not None:
        return comparison  # tested against the baseline of the paper that measures best
    return comparison.tested_against(args.against)
