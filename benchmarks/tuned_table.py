"""Tunes every row of a list on validation links, and writes the table that compares them.

    python benchmarks/tuned_table.py losses --dataset lastfm --encoder mf --root DATA --out tuned
    pyg-negsamp compare --table tuned/losses-mf-lastfm.yaml --root DATA --seeds 3 --out tables

Searches go on where they were stopped. Rows that the written table has already are kept as they
are, so that a table can get more rows, on another machine too.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
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
    "patience": 4,
    "top_k": [20],
}
#: How many negatives of its own a positive has: in the table of losses, and for a softmax.
NUM_NEGATIVES = 64
NUM_CHOSEN, NUM_CANDIDATES = 8, 32
#: What every loss with a temperature is tried with, so that no row is ahead by its luck with draws.
TEMPERATURES = (0.1, 0.2, 0.3)


def losses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every loss, with uniform negatives: name and flags."""
    for name in LOSSES:
        yield name, {"neg": "rns", "num_negatives": NUM_NEGATIVES, "loss": name}
    in_batch = {"loss": "in-batch-softmax"}
    yield "in-batch-softmax, in-batch", {"neg": "in-batch", **in_batch}
    yield "in-batch-softmax, mns", {"neg": "mns", **in_batch}


def samplers(loss: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every sampler with a loss: `'bpr'`, or `'ssm'`, a softmax of what it hands on."""
    for name, cls in SAMPLERS.items():
        flags: dict[str, Any] = {"neg": name, "loss": loss}
        if loss == "ssm" and "log_q" in cls.gives and not cls.takes_candidates:
            flags["loss"] = "in-batch-softmax"  # of all that the batch shares
        elif loss == "ssm":
            flags["num_negatives"] = NUM_CHOSEN
            if "num_candidates" in cls.search_space:  # one that chooses: all from as many
                flags["num_candidates"] = NUM_CANDIDATES
        yield name, flags
        if loss == "ssm" and "log_q" in cls.gives and cls.takes_candidates:  # made to be corrected
            yield f"{name}, log Q", {**flags, "loss": "in-batch-softmax"}


def to_search(flags: dict[str, Any]) -> list[str]:
    """The parts of a row that have something to search."""
    parts: dict[str, type] = {"sampler": SAMPLERS[flags["neg"]], "loss": LOSSES[flags["loss"]]}
    return [part for part, cls in parts.items() if getattr(cls, "search_space", {})]


def first_points(method: str, flags: dict[str, Any]) -> list[dict[str, Any]]:
    """What the search of a row tries first: the defaults, also at other temperatures."""
    space = LOSSES[flags["loss"]].search_space if "loss" in to_search(flags) else {}
    tried = [each for each in TEMPERATURES if each in space.get("temperature", ())]
    # By default DNS(M, N) draws out of the 4 highest, which is too few for 8 negatives.
    more = {"n": NUM_CHOSEN} if method == "dns-mn" and tried else {}
    return [more, *({"loss_temperature": each, **more} for each in tried)]


TABLES = {
    "losses": losses,
    "samplers-bpr": lambda: samplers("bpr"),
    "samplers-softmax": lambda: samplers("ssm"),
}


def searched(
    method: str,
    own: dict[str, Any],
    where: dict[str, Any],
    trials: int,
    stem: Path,
    first: Sequence[dict[str, Any]],
) -> dict[str, Any] | None:
    """The row of a method, with what a search finds for it; `None` if it is refused.

    Args:
        method: Its name in the table.
        own: Its flags.
        where: Flags of all rows that depend on the table.
        trials: Most trials.
        stem: Path of its study and of what it found, without suffix.
        first: What to try first, see `tune`.
    """

    def say(text: str) -> None:  # by name, as others may search beside it
        print(f"{method}: {text}", flush=True)

    row: dict[str, Any] = {"method": method, "flags": own, "source": "nothing to search"}
    if search := to_search(own):
        storage, to = f"sqlite:///{stem}.db", f"{stem}.yaml"
        try:
            # None is given up on its way: what learns slowly would be, such as high temperatures.
            fixed, least = FLAGS | where | own, FLAGS["epochs"]
            found = tune(fixed, trials, search, least, storage, to, say=say, first=first)
        except ValueError as error:  # a combination that is refused, in its own words
            say(str(error))
            return None
        assert found is not None
        row["flags"] = own | found.chosen
        row["source"] = f"best of at most {trials} by validation NDCG@20, {found.value:.4f}"
    say(f"{row['flags']} ({row['source']})")
    return row


def found_before(file: Path, flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of a table that was written before, by method."""
    if not file.exists():
        return {}
    table = yaml.safe_load(file.read_text())
    if table["flags"] != flags:
        raise SystemExit(f"{file} has other flags: {table['flags']}, now {flags}")
    return {row["method"]: row for row in table["rows"]}


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
    parser.add_argument("--rank-by", choices=("dot", "cosine"), help="default: as each loss")
    parser.add_argument("--jobs", type=int, default=1, help="methods to search side by side")
    args = parser.parse_args()
    name = f"{args.table}-{args.encoder}-{args.dataset}"
    (args.out / name).mkdir(parents=True, exist_ok=True)
    of_table = {"dataset": args.dataset, "encoder": args.encoder}
    flags = FLAGS | ({"rank_by": args.rank_by} if args.rank_by else {})
    where = of_table | {"root": args.root, "rank_by": args.rank_by}
    methods = dict(TABLES[args.table]())
    found = found_before(args.out / f"{name}.yaml", flags)
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        searches = {
            method: pool.submit(
                searched,
                method,
                own,
                where,
                args.trials,
                args.out / name / method.replace(",", "").replace(" ", "-"),
                first_points(method, own),
            )
            for method, own in methods.items()
            if method not in found
        }
        for method, search in searches.items():
            if (row := search.result()) is not None:
                found[method] = row
            rows = [found[each] for each in methods if each in found]
            table = {**of_table, "flags": flags, "rows": rows}
            text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None)
            (args.out / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
