"""Prints the test metrics of a saved model, also by group of users and of items.

    pyg-negsamp evaluate RUN --top-k 10 20
    pyg-negsamp evaluate RUN --metrics Recall Coverage Gini

Users without any known link are new; the others are in quartiles by their number of training links.
Items are in three groups that have a third of all training links each: the few most popular (head),
the middle, and the many others (tail). docs/metrics.md says what each metric is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pandas as pd

import pyg_negsamp  # whose model is loaded when it is asked for: help does not wait


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Which model, and how long the lists are."""
    parser.add_argument("model", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument(
        "--top-k", type=int, nargs="+", metavar="K",
        help="lengths of the lists (default: those that it was trained with)",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", nargs="+", metavar="NAME",
        help="out of Recall, NDCG, HitRatio, Precision, MAP, MRR; Coverage, AveragePopularity (in "
        "known links), TailShare, Gini, Personalization, Diversity (where items have a category). "
        "Default: the first eight.",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Prints a table per length of the lists: a row for all, and one per group."""
    model = pyg_negsamp.TrainedModel.load(args.model)
    kept = model.config.get("top_k")  # of a model that was made in Python, anything
    lengths = list(dict.fromkeys(args.top_k or (kept if isinstance(kept, list) else [10, 20])))
    asked = {"k": lengths} if args.metrics is None else {"k": lengths, "metrics": args.metrics}
    whole, groups = model.evaluate(**asked), model.evaluate_groups(**asked)
    known = groups[["by", "name", "least", "most", "users", "held_out"]]
    links = known["least"].astype(str) + "-" + known["most"].astype(str)
    by_users = known[known["by"] == "users"]
    first = {"by": "all", "name": "", "links": "", "users": by_users["users"].sum(),
             "held-out": by_users["held_out"].sum()}  # fmt: skip
    rows = known[["by", "name"]].assign(
        links=links, users=known["users"], **{"held-out": known["held_out"]}
    )
    head = pd.concat([pd.DataFrame([first]), rows], ignore_index=True)
    for length in lengths:
        names = [name for name in whole if name.endswith(f"@{length}")]
        values = pd.concat([pd.DataFrame([whole])[names], groups[names]], ignore_index=True)
        table = pd.concat([head, values], axis=1)
        print(table.to_string(index=False, float_format="{:.4f}".format), end="\n\n")
