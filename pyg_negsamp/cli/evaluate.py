"""Tests a saved model on the test links that are saved with it; the data are not needed.

    pyg-negsamp evaluate RUN --top-k 10 20

Metrics stand for all users, for users by their number of training links, and for items by their
popularity.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.show import print_metrics
from pyg_negsamp.serving import TrainedModel


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """Which model, and how long its lists are."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument(
        "--top-k", type=int, nargs="+", default=[10, 20], metavar="K", help="default: 10 20"
    )


def run(args: argparse.Namespace) -> None:
    """Prints the tables."""
    model = TrainedModel.load(args.run)
    rows = {"all users": model.evaluate(k=args.top_k)}
    for group in model.evaluate_groups(k=args.top_k).to_dict("records"):
        of = (
            f"{group['users']:,} users"
            if group["by"] == "users"
            else f"{group['held_out']:,} links"
        )
        name = f"{group['by']}, {group['name']} ({group['least']}-{group['most']} links; {of})"
        rows[name] = {metric: group[metric] for metric in rows["all users"]}
    print_metrics(rows)
