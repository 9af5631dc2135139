"""Finds items like given ones, by a saved model.

    pyg-negsamp similar RUN --items sku9 --top-k 10

CSV on standard output: item, similar, score, rank.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.streams import write_frames
from pyg_negsamp.serving import TrainedModel


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """Which items."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument("--items", nargs="+", metavar="ID", required=True, help="items")
    parser.add_argument("--top-k", type=int, default=10, metavar="K", help="how many for each")


def run(args: argparse.Namespace) -> None:
    """Prints them."""
    write_frames([TrainedModel.load(args.run).similar_items(args.items, args.top_k)], "-")
