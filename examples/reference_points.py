"""Rankings without training to hold a recommender against: popularity, ItemKNN, EASE.

python examples/reference_points.py --dataset amazon-phones --root DATA

Reads the data flags of the training scripts. Hyper-parameters are chosen on validation links,
from a few values each; test is read once, by the chosen one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from torch_geometric.data import HeteroData

from common import known_in, load, one_line_errors, print_table
from flags import Helper, Parser, add_data_flags
from pyg_negsamp.evaluation import Scorer, evaluate
from pyg_negsamp.graph import held_out_links
from pyg_negsamp.references import EASE, ItemKNN, popularity


def main(argv: list[str] | None = None) -> None:
    """Prints a table of the three."""
    parser = Parser(
        description="Ranks by popularity, ItemKNN and EASE.",
        formatter_class=Helper,
        allow_abbrev=False,
    )
    add_data_flags(parser)
    args = parser.parse_args(argv)
    with one_line_errors(parser):
        run(args)


def run(args: argparse.Namespace) -> None:
    """Searches, ranks and prints."""
    dataset = load(args)
    train_data, val_data, test_data = dataset
    for name, split in (("validation", val_data), ("test", test_data)):
        if not held_out_links(split).numel() and (name == "test" or args.protocol != "paper"):
            raise ValueError(f"{args.dataset} is too small: no {name} links are held out")
    dataset.report()
    print()
    if args.protocol == "paper":
        print("protocol: paper - hyper-parameters are SELECTED ON TEST links")
        val_data = test_data
    known = known_in(test_data) if args.protocol == "refit" else train_data

    methods: dict[str, dict[str, Callable[[HeteroData], Scorer]]] = {
        "popularity": {"": popularity},
        "ItemKNN": {
            f"k={k}, shrink={shrink}": partial(ItemKNN, k=k, shrink=shrink)
            for k in (50, 200)
            for shrink in (0.0, 10.0)
        },
        "EASE": {f"l2={l2}": partial(EASE, l2=l2) for l2 in (10.0, 100.0, 1e3, 1e4)},
    }
    results = {}
    for name, variants in methods.items():
        started = time.perf_counter()
        try:
            found = {
                variant: evaluate(make(train_data), val_data, (20,), ("NDCG",))["NDCG@20"]
                for variant, make in variants.items()
            }
            best = max(found, key=lambda variant: found[variant])
            results[name] = evaluate(variants[best](known), test_data, (20, 50))
        except ValueError as error:  # EASE, where there are too many items
            print(f"{name} left out: {error}")
            continue
        seconds = time.perf_counter() - started
        print(f"{f'{name} {best}'.strip()}: {seconds:.1f} s, {len(variants)} tried")
    print_table(results)


if __name__ == "__main__":
    main()
