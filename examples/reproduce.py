"""Fills a paper's table: every row, several seeds, beside the printed numbers.

python examples/reproduce.py ahns/amazon-phones.yaml --root DATA --seeds 3
python examples/reproduce.py ahns/amazon-phones.yaml --root DATA --jobs 4 --budget 20m

A cell of the table is a row under one protocol with one seed. A finished cell is never computed
again, unless its flags or the code change; a killed run goes on with the cell's last epoch. A cell
that fails stops no other. At the end, and after every cell, the table is written as CSV and
Markdown. Refit trains for as many epochs as the clean cell found best, if that is there, and else
selects by itself. Needs the extra 'reproduce'.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from common import (
    build,
    evaluate_otherwise,
    fit_options,
    known_in,
    load,
    one_line_errors,
    refit,
    write,
)
from flags import PROTOCOLS, Parser, as_typed, make_parser, parse
from table import Method, Summary, summarise, to_csv, to_markdown
from table_file import REFERENCES, Row, Table, read_table
from torch_geometric.data import HeteroData

import pyg_negsamp
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import Scorer, check_leakage, evaluate, evaluate_users
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.training import (
    FalseNegatives,
    LinkLoader,
    NonFiniteLossError,
    Progress,
    check_schedule,
    fit,
)

#: What is trained on, what is selected by (test itself under 'paper'), and what is tested on.
Splits = tuple[HeteroData, HeteroData, HeteroData]


class Cell(NamedTuple):
    """One run: a row, a protocol, a seed."""

    row: Row
    protocol: str
    seed: int
    args: argparse.Namespace
    folder: Path
    clean: Path  # folder of the cell that selects on validation links

    def __str__(self) -> str:
        return f"{self.row.method}, {self.protocol}, seed {self.seed}"


def arguments(table: Table, row: Row, protocol: str, root: str, seed: int) -> argparse.Namespace:
    """A row's flags as a training script reads them, checked as it checks them."""
    reference = row.encoder in REFERENCES
    given = table.flags if reference else {**table.flags, **row.flags}
    given = {**given, "dataset": table.dataset, "root": root, "protocol": protocol, "seed": seed}
    words = [
        word for name, value in given.items() for word in as_typed(name.replace("_", "-"), value)
    ]
    parser = make_parser(ENCODERS[table.encoder if reference else row.encoder])
    parser.prog += f": {row.where}"  # argparse's own errors begin with it
    return parse(parser, words)


def check(table: Table) -> None:
    """Refuses a row that could not be run before any other is: builds each on a small graph.

    Raises:
        ValueError: Naming the file and the row.
    """
    data, _, _ = SyntheticInteractions("tiny")
    for row in table.rows:
        try:
            args = arguments(table, row, table.protocols[0], "", seed=0)
            if row.encoder in REFERENCES:
                REFERENCES[row.encoder](data, **row.flags)
                continue
            build(ENCODERS[row.encoder], args, data)
            LinkLoader(data, args.batch_size)
            check_schedule(args.epochs, args.patience, args.eval_every)
        except ValueError as error:
            raise ValueError(f"{row.where}: {error}") from error


def cells(table: Table, options: argparse.Namespace) -> list[Cell]:
    """All cells, seed by seed, so that an early stop leaves a whole table of fewer seeds."""
    found = []
    for seed in range(options.seeds):
        for protocol in table.protocols:
            for row in table.rows:
                if row.encoder in REFERENCES and seed:
                    continue  # nothing in it is random
                args, clean = (
                    arguments(table, row, name, options.root, seed) for name in (protocol, "clean")
                )
                folders = (options.out / "cells" / folder_name(row, each) for each in (args, clean))
                found.append(Cell(row, protocol, seed, args, *folders))
    return found


def folder_name(row: Row, args: argparse.Namespace) -> str:
    """What the folder of a cell is called."""
    slug = re.sub(r"[^a-z0-9]+", "-", row.method.lower()).strip("-")
    return f"{slug}-{args.protocol}-{args.seed}-{identity(row, args)}"


def identity(row: Row, args: argparse.Namespace) -> str:
    """A hash of all that decides a cell's numbers: its flags and the code."""
    flags = {name: value for name, value in vars(args).items() if name not in ("root", "device")}
    said = json.dumps([row.encoder, dict(row.flags), flags, code_version()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


@cache
def code_version() -> str:
    """A hash of the library's code; comments, docstrings and layout do not change it."""
    digest = hashlib.sha256()
    package = Path(pyg_negsamp.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if file.parent.name == "testing":
            continue
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):  # docstrings and comments to attributes
                body[:] = [part for part in body if not _is_text(part)]
        digest.update(f"{file.relative_to(package)} {ast.dump(tree)}".encode())
    return digest.hexdigest()[:12]


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


# One cell -----------------------------------------------------------------------------------


def run_cell(cell: Cell, deadline: float) -> bool:
    """Trains and tests one cell, or goes on with it; `False` if it is not to be started now."""
    if (cell.folder / "metrics.json").exists():
        return True
    if time.time() > deadline:
        return False
    with taken(cell.folder) as ours:
        if ours and not (cell.folder / "metrics.json").exists():
            train_and_test(cell)
        return ours


def train_and_test(cell: Cell) -> None:
    """Runs a cell that is ours, or goes on with it, and writes what was found."""
    result = cell.folder / "metrics.json"
    started = time.perf_counter()
    train_data, val_data, test_data = load(cell.args)
    check_leakage(train_data, val_data, test_data)
    splits = (train_data, test_data if cell.protocol == "paper" else val_data, test_data)
    try:
        scorer, notes, extra = (ready_made if cell.row.encoder in REFERENCES else train)(
            cell, splits
        )
    except NonFiniteLossError as error:
        write(result, json.dumps({"failed": str(error)}) + "\n")
        return
    users, values = evaluate_users(scorer, test_data, cell.args.top_k)
    other = evaluate_otherwise(cell.args, scorer, test_data)
    extra |= {f"{cell.args.eval} {name}": value for name, value in other.items()}
    with open(cell.folder / "users.npz.part", "wb") as file:
        arrays: dict[str, Any] = {name: x.cpu().numpy() for name, x in values.items()}
        np.savez(file, user=users.cpu().numpy(), **arrays)
    (cell.folder / "users.npz.part").replace(cell.folder / "users.npz")
    found = {
        "test": {**{name: float(x.mean()) for name, x in values.items()}, **extra},
        "seconds": time.perf_counter() - started,
        **notes,
        "code": code_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    write(result, json.dumps(found, indent=2) + "\n")
    for folder in ("checkpoints", "logs", "refit"):
        shutil.rmtree(cell.folder / folder, ignore_errors=True)


class Ranking(NamedTuple):
    """What a row ranks by, what is to be noted of how that came about, and further test results."""

    scorer: Scorer
    notes: dict[str, Any]
    extra: dict[str, float]


def ready_made(cell: Cell, splits: Splits) -> Ranking:
    """A ranking without training."""
    train_data, val_data, test_data = splits
    make = partial(REFERENCES[cell.row.encoder], **cell.row.flags)
    scorer, k = make(train_data), cell.args.top_k[:1]
    validation = evaluate(scorer, val_data, k, ("NDCG",))[f"NDCG@{k[0]}"]
    if cell.protocol == "refit":
        scorer = make(known_in(test_data))
    return Ranking(scorer, {"validation": validation}, {})


def train(cell: Cell, splits: Splits) -> Ranking:
    """A trained one; where the clean cell has selected already, refit takes its epochs."""
    train_data, val_data, test_data = splits
    encoder, selection = ENCODERS[cell.row.encoder], finished(cell.clean)
    seconds: list[float] = []
    if cell.protocol != "refit" or selection is None:
        model = build(encoder, cell.args, train_data)
        false, options = watched(cell, test_data)
        fitted = fit(
            model,
            train_data,
            val_data,
            cell.folder,
            **fit_options(cell.args),
            **options,
            resume=(cell.folder / "checkpoints" / "last.ckpt").exists(),
        )
        seconds += [epoch["seconds"] for epoch in fitted.history]
        selection = {
            "best_epoch": fitted.best_epoch + 1,
            "epochs": len(fitted.history),
            "validation": fitted.best,
        }
    if cell.protocol == "refit":
        false, options = watched(cell, test_data, " anew")
        best = selection["best_epoch"]
        model, _ = refit(encoder, cell.args, known_in(test_data), best, cell.folder, **options)
        seconds += [epoch["seconds"] for epoch in model.history]
    notes = {name: selection[name] for name in ("best_epoch", "epochs", "validation")}
    # Of training; with what came before an interruption, and without the stop.
    notes |= {"seconds": sum(seconds), "seconds_per_epoch": median(seconds)}
    return Ranking(model.scoring_tables(), notes, {"false-negative rate": false.rate})


def watched(
    cell: Cell, test_data: HeteroData, what: str = ""
) -> tuple[FalseNegatives, dict[str, Any]]:
    """What counts the false negatives of a run, and the options of `fit` to have it watched."""
    false = FalseNegatives(test_data)
    progress = Progress(f"val/NDCG@{cell.args.top_k[0]}", every=60.0, name=f"{cell}{what}")
    return false, {"callbacks": [false, progress], "progress": False}


def finished(cell: Path) -> dict[str, Any] | None:
    """What a finished cell found, if it trained to the end."""
    file = cell / "metrics.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"failed": ""}
    return None if "failed" in found else found


@contextmanager
def taken(folder: Path) -> Iterator[bool]:
    """Whether a cell is ours meanwhile; no other process has it then, even one that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def run_all(
    todo: Sequence[Cell], jobs: int, budget: float
) -> Iterator[tuple[Cell, Exception | None]]:
    """Runs cells, `jobs` at a time, and yields those that end, with what went wrong, if anything.

    A cell that fails does not stop the others: they may be a night's work.
    """
    work = partial(run_cell, deadline=time.time() + budget)
    if jobs == 1:
        for cell in todo:
            try:
                if work(cell):
                    yield cell, None
            except Exception as error:
                yield cell, error
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), start_worker, (threads,)
    ) as pool:
        try:
            running = {pool.submit(work, cell): cell for cell in todo}
            for future in as_completed(running):
                wrong = future.exception()
                if isinstance(wrong, BrokenProcessPool):
                    said = "a worker was killed, perhaps for its memory: go on with fewer --jobs"
                    raise OSError(said) from wrong
                if isinstance(wrong, Exception):
                    yield running[future], wrong
                elif future.result():
                    yield running[future], None
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.kill()  # a cell takes hours, and goes on with its last epoch
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def start_worker(threads: int) -> None:
    """Makes a process of the pool one that ends with its parent, and only with it."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to all; the parent sees to it
    threading.Thread(target=leave_with_parent, daemon=True).start()


def leave_with_parent() -> None:
    """Ends this process once its parent is gone, which may have had no time to say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


# The table ----------------------------------------------------------------------------------


def columns(table: Table) -> list[str]:
    """Metrics to show: those that the paper prints, in its order.

    Where no row is of a paper, it is validation that chooses among them, and comes first.
    """
    printed = dict.fromkeys(name for row in table.rows for name in row.printed)
    names = list(printed or (table.rival.printed if table.rival else ("Recall@20", "NDCG@20")))
    first = [] if printed else [validation(table)]
    # What the paper prints is from another evaluation; full ranking stands beside it.
    otherwise = as_evaluated(table, dict.fromkeys(names))
    return list(dict.fromkeys([*first, *otherwise, *(name for name in names if "@" in name)]))


def validation(table: Table) -> str:
    """The column of what epochs, and methods, are selected by."""
    return f"validation NDCG@{table.cutoffs[0]}"


def as_evaluated(table: Table, printed: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics under the names that they have in the paper's evaluation."""
    by = table.flags.get("eval", "full")
    if by == "full":
        return dict(printed)
    return {f"{by} {name}" if "@" in name else name: x for name, x in printed.items()}


def summary(table: Table, protocol: str, done: Sequence[Cell]) -> list[Summary]:
    """The rows of one protocol's table, from the cells on disk."""
    found: list[Method] = []
    for row in table.rows:
        runs, users = [], []
        for cell in done:
            if cell.row is row and cell.protocol == protocol:
                run = json.loads((cell.folder / "metrics.json").read_text())
                if "failed" not in run:
                    if "validation" in run:
                        run["test"][validation(table)] = run["validation"]
                    runs.append(run)
                    with np.load(cell.folder / "users.npz") as file:
                        users.append({name: file[name] for name in file})
        baseline = bool(row.printed) and not row.proposed
        printed = row.printed or (table.rival.printed if table.rival else {})
        found.append(Method(row.method, baseline, as_evaluated(table, printed), runs, users))
    return summarise(found, columns(table))


def show(table: Table, all_cells: Sequence[Cell], out: Path) -> str:
    """Writes `table.csv` and `table.md`, and returns the latter."""
    done = [cell for cell in all_cells if (cell.folder / "metrics.json").exists()]
    texts, csv = [], []
    for protocol in table.protocols:
        rows = summary(table, protocol, done)
        metrics = columns(table)
        against = f"; printed: {table.rival.name}" if table.rival else ""
        texts.append(
            f"{table.paper}, table {table.number}, {table.dataset}, protocol {protocol} "
            f"({PROTOCOLS[protocol]}{against})\n\n{to_markdown(rows, metrics)}"
        )
        csv.append((protocol, rows))
    text = "\n\n".join(texts) + "\n"
    write(out / "table.md", text)
    write(out / "table.csv", to_csv(csv, columns(table)))
    return text


def budget_of(text: str) -> float:
    """Seconds of `'90s'`, `'20m'`, `'1.5h'`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a time like 90s, 20m or 1.5h, got '{text}'")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a table's cells and prints it."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="YAML of the table, such as ahns/amazon-phones.yaml")
    parser.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    parser.add_argument("--seeds", type=int, default=3, help="seeds per row (default: 3)")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time (default: 1)")
    parser.add_argument(
        "--budget", type=budget_of, default=float("inf"), help="start no cell after 90s, 20m, 1.5h"
    )
    parser.add_argument("--out", type=Path, help="folder (default: runs/reproduce/TABLE)")
    options = parser.parse_args(argv)
    with one_line_errors(parser, lambda: "the same command goes on"):
        for name in ("seeds", "jobs"):
            if getattr(options, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
        table = read_table(options.table)
        check(table)
        options.out = options.out or Path("runs/reproduce") / table.name
        everything = cells(table, options)
        load(everything[0].args)  # what is missing is said before anything runs
        options.out.mkdir(parents=True, exist_ok=True)
        todo = [cell for cell in everything if not (cell.folder / "metrics.json").exists()]
        finished = len(everything) - len(todo)
        print(f"{table.name}: {len(everything)} cells, {finished} finished before", flush=True)
        started = time.monotonic()
        failed: list[Exception] = []
        ended = run_all(todo, options.jobs, options.budget)
        for count, (cell, error) in enumerate(ended, 1):
            left = (time.monotonic() - started) / count * (len(todo) - count)
            said = f"{type(error).__name__}: {error}" if error else outcome(cell)
            print(f"[{finished + count}/{len(everything)}] {cell}: {said}; "
                  f"about {left / 60:.0f} min left", flush=True)  # fmt: skip
            failed += [error] if error else []
            show(table, everything, options.out)
        print("\n" + show(table, everything, options.out))
        missing = sum(not (cell.folder / "metrics.json").exists() for cell in everything)
        if missing:
            are = "cell is" if missing == 1 else "cells are"
            print(f"{missing} {are} missing, or with another process; the same command goes on")
        if failed:
            raise failed[0]


def outcome(cell: Cell) -> str:
    """A finished cell in a few words."""
    run = json.loads((cell.folder / "metrics.json").read_text())
    if "failed" in run:
        return str(run["failed"])
    name = f"NDCG@{cell.args.top_k[0]}"
    return f"{name} {run['test'][name]:.4f} in {run['seconds']:.0f} s"


if __name__ == "__main__":
    main(sys.argv[1:])
