"""Recommends items to users of a saved model.

    pyg-negsamp recommend RUN --users c17 c42
    pyg-negsamp recommend RUN --to lists.parquet          for all users
    pyg-negsamp recommend RUN --items allowed.csv | head

The answer is CSV with the columns user, item, score and rank. Nobody is offered what the person has
in the data already.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
from tqdm import tqdm

import pyg_negsamp  # whose model is loaded when it is asked for: help does not wait

#: Seconds between two lines of progress where there is no terminal.
PAUSE = 5.0


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Which model, for whom, what, and where to."""
    parser.add_argument("model", metavar="RUN", help="folder of a run, or of a saved model")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--users", nargs="+", metavar="ID", help="users (default: all)")
    who.add_argument(
        "--users-file", type=Path, metavar="FILE", help="a user per line, or CSV with a column user"
    )
    parser.add_argument(
        "--top-k", type=int, default=10, metavar="K", help="items per user (default 10)"
    )
    parser.add_argument(
        "--include-seen", action="store_true", help="offer also what the person has in the data"
    )
    parser.add_argument(
        "--unknown",
        choices=("popular", "raise"),
        default="popular",
        help="who is not known or has no training links gets what is popular, or is an error "
        "(default: popular)",
    )
    parser.add_argument(
        "--items",
        type=Path,
        metavar="FILE",
        help="choose among these: an item per line, or CSV with a column item "
        "(default: all with training links)",
    )
    parser.add_argument(
        "--to", default="-", metavar="FILE", help="a file.csv or file.parquet (default: - for here)"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the lists, block by block."""
    check_target(args.to)
    users = args.users if args.users_file is None else read_ids(args.users_file, "user")
    items = None if args.items is None else read_ids(args.items, "item")
    model = pyg_negsamp.TrainedModel.load(args.model)
    blocks = model.recommend_blocks(users, args.top_k, not args.include_seen, items, args.unknown)
    total = len(model.users) if users is None else len(users)
    if users is None:
        blocks = with_progress(blocks, total)
    elif args.to.endswith(".parquet"):  # whose columns have one kind: ids not known are text
        whole = pd.concat(list(blocks), ignore_index=True)
        if whole["user"].dtype == object:
            whole["user"] = whole["user"].astype("str")
        blocks = iter([whole])
    write_blocks(blocks, args.to)


def check_target(to: str) -> None:
    """Refuses a target that is neither CSV nor parquet nor the standard output."""
    if to != "-" and Path(to).suffix not in (".csv", ".parquet"):
        raise ValueError(f"--to must be a file.csv, a file.parquet or - (got {to})")


def read_ids(path: Path, column: str) -> list[str]:
    """The ids in a file: one per line, or a column of that name in a CSV with a header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no id, or has several columns and none of that name.
    """
    with path.open(newline="", encoding="utf-8-sig") as lines:
        rows = [row for row in csv.reader(lines) if any(map(str.strip, row))]
    header = [name.strip() for name in rows[0]] if rows else []
    if column in header:
        at, rows = header.index(column), rows[1:]
    elif len(header) > 1:
        raise ValueError(f"{path} must have a column '{column}', or one id per line (got {header})")
    else:
        at = 0
    ids = [row[at].strip() for row in rows if len(row) > at]
    if not ids:
        raise ValueError(f"{path} must name at least one {column} (got none)")
    return ids


def write_blocks(blocks: Iterable[pd.DataFrame], to: str) -> None:
    """Writes frames one after another: CSV on the standard output, or a file, whole or not at all.

    Args:
        blocks: Frames with the same columns.
        to: `-`, or a file whose suffix says how.
    """
    if to == "-":
        write_csv(blocks, sys.stdout)
        return
    path = Path(to)
    with whole_file(path) as temporary:
        if path.suffix == ".csv":
            with temporary.open("w", newline="", encoding="utf-8") as stream:
                write_csv(blocks, stream)
        else:
            write_parquet(blocks, temporary)


def write_csv(blocks: Iterable[pd.DataFrame], stream: IO[str]) -> None:
    """Writes frames as one CSV."""
    for number, block in enumerate(blocks):
        block.to_csv(stream, header=number == 0, index=False)


def write_parquet(blocks: Iterable[pd.DataFrame], path: Path) -> None:
    """Writes frames as one parquet file, a row group each."""
    writer = None
    try:
        for block in blocks:
            table = pyarrow.Table.from_pandas(block, preserve_index=False)
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer:
            writer.close()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A sibling to write to, which takes the file's place once all is written."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def with_progress(blocks: Iterable[pd.DataFrame], total: int) -> Iterator[pd.DataFrame]:
    """Says on standard error how many of `total` users are done, and how long it will take.

    A bar on a terminal; otherwise a short line now and then.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, unit=" users", file=sys.stderr) as bar:
            for block in blocks:
                yield block
                bar.update(block["user"].nunique())
        return
    started = said = time.monotonic()
    done = 0
    for block in blocks:
        yield block
        done, now = done + block["user"].nunique(), time.monotonic()
        if now - said > PAUSE and done:
            said, left = now, (now - started) / done * (total - done)
            print(f"{done} of {total} users, {left:.0f} s left", file=sys.stderr, flush=True)
