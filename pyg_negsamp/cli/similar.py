"""Finds the items most like given ones, by a saved model.

    pyg-negsamp similar RUN --items sku9 sku4

The answer is CSV with the columns item, similar, score and rank.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyg_negsamp  # whose model is loaded when it is asked for: help does not wait


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Which model, and which items."""
    parser.add_argument("model", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument("--items", nargs="+", required=True, metavar="ID", help="items")
    parser.add_argument(
        "--top-k", type=int, default=10, metavar="K", help="similar ones per item (default 10)"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the lists."""
    found = pyg_negsamp.TrainedModel.load(args.model).similar_items(args.items, args.top_k)
    found.to_csv(sys.stdout, index=False)
