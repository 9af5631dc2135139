"""Recommends items to users of a saved model, by their own ids.

    pyg-negsamp recommend RUN --users c17 c42 --top-k 10
    pyg-negsamp recommend RUN --to lists.parquet             everybody

The result has columns user, item, score and rank, best first. Without --to it is CSV on standard
output, and nothing else is there; progress goes to standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.streams import read_ids, with_progress, write_frames
from pyg_negsamp.serving import TrainedModel


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """Whom to recommend what, and where to."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a saved model")
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--users", nargs="+", metavar="ID", help="users (default: all)")
    whom.add_argument(
        "--users-file", metavar="FILE", help="one user per line, or a table with a column 'user'"
    )
    parser.add_argument("--top-k", type=int, default=10, metavar="K", help="most items per user")
    parser.add_argument(
        "--include-seen", action="store_true", help="offer items that the user has, too"
    )
    parser.add_argument(
        "--items", metavar="FILE", help="offer these only: one per line, or a column 'item'"
    )
    parser.add_argument(
        "--unknown",
        choices=["popular", "raise"],
        default="popular",
        help="users that the model has not met: the popular items, or an error (default: popular)",
    )
    parser.add_argument(
        "--to", default="-", metavar="FILE", help=".csv, .parquet, or - for standard output"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the lists block by block."""
    model = TrainedModel.load(args.run)
    users = args.users if args.users_file is None else read_ids(args.users_file, "user")
    items = None if args.items is None else read_ids(args.items, "item")
    blocks = model.recommend_blocks(
        users, args.top_k, exclude_seen=not args.include_seen, items=items, unknown=args.unknown
    )
    total = len(model.users if users is None else users)
    write_frames(with_progress(blocks, total, "user"), args.to)
