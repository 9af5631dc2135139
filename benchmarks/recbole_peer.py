"""How fast RecBole does the same: training steps and full-sort evaluation, on the CPU.

python benchmarks/recbole_peer.py FOLDER --repeats 9

Run it with an interpreter of its own, as RecBole needs an older NumPy and SciPy than
`pyg_negsamp`: pip install recbole==1.2.1 "numpy<2" "scipy<1.12" "pandas<3", and PyTorch for CPU.
FOLDER holds `train.txt` and `test.txt`, a line `user item item ...` for each user. The last line of
standard output is the result as JSON: medians, in milliseconds.

A step is one turn of the loop in RecBole's `Trainer._train_epoch`: the data loader's next batch
with its negatives, loss, backward and Adam. A batch has 2048 positive links with one negative each.
The evaluation ranks with MF, so that it does not include LightGCN's propagation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy
import recbole
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

BATCH, WARM_UP = 2048, 3
#: Users that the evaluation ranks at once. RecBole's default (4096 scores) is one by one.
USERS_AT_ONCE = 128
#: RecBole's model, and how many candidates its dynamic negative sampling draws. MF is the last.
STEPS = {
    "LightGCN-3 + RNS": ("LightGCN", 0),
    "LightGCN-3 + DNS-32": ("LightGCN", 32),
    "MF + RNS": ("BPR", 0),
    "MF + DNS-32": ("BPR", 32),
}


def say(line: str) -> None:
    """Tells how far it is, away from the result."""
    print(line, file=sys.stderr, flush=True)


def convert(source: Path, target: Path) -> tuple[int, int]:
    """Writes adjacency lists as RecBole's file; returns the links and the largest item."""
    links, largest = 0, 0
    with source.open() as lines, target.open("w") as file:
        file.write("user_id:token\titem_id:token\n")
        for line in lines:
            user, *items = [int(word) for word in line.split()] or [0]
            file.writelines(f"{user}\t{item}\n" for item in items)
            links, largest = links + len(items), max([largest, *items])
    return links, largest


class Setup:
    """A model, its loaders and its trainer, made as RecBole's documentation makes them."""

    def __init__(self, folder: Path, num_items: int, model: str, candidates: int) -> None:
        negatives: dict[str, Any] = {"distribution": "uniform", "sample_num": 1}
        if candidates:
            negatives.update(dynamic=True, candidate_num=candidates)
        settings = {
            "data_path": str(folder),
            "checkpoint_dir": str(folder / "saved"),
            # nothing is held out for validation: that split, unused, is the test file again
            "benchmark_filename": ["train", "test", "test"],
            "gpu_id": "",
            "embedding_size": 64,
            "n_layers": 3,
            # in positives times negatives, and candidates are no negatives: 2048 positives
            "train_batch_size": BATCH,
            "train_neg_sample_args": negatives,
            # in scores, of which each user has one for each item and one for RecBole's padding
            "eval_batch_size": USERS_AT_ONCE * (num_items + 1),
            "metrics": ["Recall", "NDCG"],
            "topk": [20, 50],
            "valid_metric": "Recall@20",
        }
        config = Config(model=model, dataset="graph", config_dict=settings)
        init_seed(config["seed"], config["reproducibility"])
        self.train, _, self.test = data_preparation(config, create_dataset(config))
        network = get_model(config["model"])(config, self.train.dataset).to(config["device"])
        self.trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
        self.trainer.eval_collector.data_collect(self.train)
        if candidates:
            self.train.get_model(network)

    def watch(self, count: int, seconds: list[float]) -> Iterator[Any]:
        """Batches until that many whole ones are timed, each with what is done with it."""
        batches = chain.from_iterable(repeat(self.train))
        while len(seconds) < count:
            started = time.perf_counter()
            batch = next(batches)
            yield batch
            if len(batch) == BATCH:  # the last one of an epoch is smaller
                seconds.append(time.perf_counter() - started)

    def step_ms(self, repeats: int) -> float:
        """Of a whole training step."""
        seconds: list[float] = []
        self.trainer._train_epoch(self.watch(WARM_UP + repeats, seconds), 0)
        return statistics.median(seconds[WARM_UP:]) * 1e3

    def evaluation_ms(self, repeats: int) -> float:
        """Of ranking all test users."""
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            self.trainer.evaluate(self.test, load_best_model=False)
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds) * 1e3


def measure(folder: Path, num_items: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each row."""
    ms: dict[str, float] = {}
    for name, (model, candidates) in STEPS.items():
        say(f"{name}: setting up")
        setup = Setup(folder, num_items, model, candidates)
        ms[name] = setup.step_ms(repeats)
        say(f"{name}: {ms[name]:.1f} ms")
    say(f"evaluation: {len(setup.test.uid_list)} users")
    ms["evaluation"] = setup.evaluation_ms(min(repeats, 3))
    say(f"evaluation: {ms['evaluation']:.1f} ms")
    return ms


def main(argv: list[str] | None = None) -> None:
    """Measures, and prints one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where train.txt and test.txt are")
    parser.add_argument("--repeats", type=int, default=9, help="steps behind a median (9)")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    source = args.folder.resolve()
    warnings.simplefilter("ignore")
    sys.argv[1:] = []  # RecBole reads the command line too
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)  # RecBole writes its logs where it runs
        graph = folder / "graph"
        graph.mkdir()
        try:
            links, largest = convert(source / "train.txt", graph / "graph.train.inter")
            _, other = convert(source / "test.txt", graph / "graph.test.inter")
            if links < BATCH:
                raise ValueError(f"{source}: {links} links do not fill a batch of {BATCH}")
        except (ValueError, OSError) as error:
            parser.exit(2, f"{parser.prog}: error: {error}\n")
        ms = measure(folder, max(largest, other) + 1, args.repeats)
    versions = {
        "recbole": recbole.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps({"versions": versions, "threads": torch.get_num_threads(), "ms": ms}))


if __name__ == "__main__":
    main()
