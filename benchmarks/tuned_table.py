"""Tunes every row of a list on validation links, and writes the table that compares them.

    python benchmarks/tuned_table.py losses --dataset lastfm --encoder mf --root DATA --out tuned
    pyg-negsamp compare --table tuned/losses-mf-lastfm.yaml --root DATA --seeds 3 --out tables

Searches go on where they were stopped. A table can be written again with more rows: what was
searched stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pyg_negsamp.experiments.search import tune
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.transforms import SAMPLERS

#: For all rows of all tables: one budget, a large learning rate, and early stopping.
FLAGS: dict[str, Any] = {
    "dim": 64,
    "batch_size": 2048,
    "lr": 0.005,
    "l2": 1e-4,
    "epochs": 60,
    "eval_every": 3,
}
FLAGS |= {"patience": 4, "top_k": [20]}
SHARED = {"neg": "rns", "shared": True, "num_negatives": 256}
#: For losses that read vectors of their own for each negative, and what those are held against.
FEW = {"neg": "rns", "num_negatives": 64}
#: Samplers that draw what they hand on, and choose from nothing.
NO_CHOICE = ("rns", "pns")
IN_BATCH = ("in-batch", "mns", "cbns", "bir")


def losses() -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Every loss, with uniform negatives; name, flags, and what to search."""
    for name, cls in LOSSES.items():
        how = FEW if name in ("bc", "adv-info-nce") else SHARED
        yield name, {**how, "loss": name}, ["loss"] if cls.search_space else []
    yield "ssm, 64 of its own", {**FEW, "loss": "ssm"}, ["loss"]
    yield "in-batch-softmax, in-batch", {"neg": "in-batch", "loss": "in-batch-softmax"}, ["loss"]
    yield "in-batch-softmax, mns", {"neg": "mns", "loss": "in-batch-softmax"}, ["sampler", "loss"]


def samplers(loss: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Every sampler with a loss: `'bpr'`, or a softmax of what it hands on."""
    for name in SAMPLERS:
        flags: dict[str, Any] = {"neg": name, "loss": loss}
        if name in IN_BATCH and loss == "ssm":
            flags["loss"] = "ssm" if name == "bir" else "in-batch-softmax"
        elif loss == "ssm":
            flags |= {"num_negatives": 8} | ({} if name in NO_CHOICE else {"num_candidates": 32})
        yield name, flags, ["sampler", "loss"]


TABLES = {
    "losses": losses,
    "samplers-bpr": lambda: samplers("bpr"),
    "samplers-softmax": lambda: samplers("ssm"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=6)
    args = parser.parse_args()
    name = f"{args.table}-{args.encoder}-{args.dataset}"
    (args.out / name).mkdir(parents=True, exist_ok=True)
    where = {"dataset": args.dataset, "encoder": args.encoder}
    rows = []
    for method, own, search in TABLES[args.table]():
        row: dict[str, Any] = {"method": method, "flags": own, "source": "nothing to search"}
        try:
            if search:
                stem = args.out / name / method.replace(", ", "-")
                given = FLAGS | where | own | {"root": args.root}
                found = tune(
                    given,
                    args.trials,
                    search,
                    12,
                    f"sqlite:///{stem}.db",
                    f"{stem}.yaml",
                    say=print,
                )
                assert found is not None
                row["flags"] = own | found.chosen
                row["source"] = (
                    f"best of at most {args.trials} by validation NDCG@20, {found.value:.4f}"
                )
        except ValueError as error:
            print(f"{method}: {error}", flush=True)
            if "search" not in str(error):
                continue
        print(f"{method}: {row['flags']} ({row['source']})", flush=True)
        rows.append(row)
        table = {"dataset": args.dataset, "encoder": args.encoder, "flags": FLAGS, "rows": rows}
        text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None)
        (args.out / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
