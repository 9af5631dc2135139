"""Finds the items most like given ones, by a saved model.

    pyg-negsamp similar RUN --items sku9 sku4
    pyg-negsamp similar RUN --items some.csv

The answer is CSV with the columns item, similar, score and rank.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyg_negsamp  # whose model is loaded when it is asked for: help does not wait
from pyg_negsamp.cli.asked import items_of


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Which model, and which items."""
    parser.add_argument("model", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument(
        "--items",
        nargs="+",
        required=True,
        metavar="ID|FILE",
        help="items, or a file of them: one per line; or CSV, TSV or parquet with a column item, "
        "or of the name in the training data; those not known are left out",
    )
    parser.add_argument(
        "--top-k", type=int, default=10, metavar="K", help="similar ones per item (default 10)"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the lists."""
    model = pyg_negsamp.TrainedModel.load(args.model)
    found = model.similar_items(items_of(args.items, model), args.top_k)
    found.to_csv(sys.stdout, index=False)
