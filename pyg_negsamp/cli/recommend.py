"""Recommends items to users of a saved model.

    pyg-negsamp recommend RUN --users c17 c42
    pyg-negsamp recommend RUN --to lists.parquet          for all users
    pyg-negsamp recommend RUN --items allowed.csv | head

The answer is CSV with the columns user, item, score and rank. Nobody is offered what the person has
in the data already. Users that the model was not trained on get what is popular, and standard error
says who they are.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
from tqdm import tqdm

import pyg_negsamp  # whose model is loaded when it is asked for: help does not wait
from pyg_negsamp.cli.asked import ids_in, items_of, remark
from pyg_negsamp.files import whole, writing

if TYPE_CHECKING:
    from pyg_negsamp import TrainedModel

#: Seconds between two lines of progress where there is no terminal.
PAUSE = 5.0


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Which model, for whom, what, and where to."""
    parser.add_argument("model", metavar="RUN", help="folder of a run, or of a saved model")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--users", nargs="+", metavar="ID", help="users (default: all)")
    who.add_argument(
        "--users-file",
        type=Path,
        metavar="FILE",
        help="a user per line; or CSV, TSV or parquet with a column user, or of the name in the "
        "training data",
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
        nargs="+",
        metavar="ID|FILE",
        help="choose among these: items, or a file of them as for --users-file; those not known "
        "are left out (default: all with training links)",
    )
    parser.add_argument(
        "--to", default="-", metavar="FILE", help="a file.csv or file.parquet (default: - for here)"
    )


def run(args: argparse.Namespace) -> None:
    """Writes the lists, block by block."""
    check_target(args.to)
    model = pyg_negsamp.TrainedModel.load(args.model)
    users = None if args.users is None else [user.strip() for user in args.users]
    if args.users_file is not None:
        users = ids_in(args.users_file, "user", model)
    items = None if args.items is None else items_of(args.items, model)
    blocks = model.recommend_blocks(users, args.top_k, not args.include_seen, items, args.unknown)
    if args.unknown == "popular":  # said only now that nothing is wrong
        say_who_is_unknown(model, users)
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


def say_who_is_unknown(model: TrainedModel, users: Sequence[str] | None) -> None:
    """Says how many users get the popular list, and names up to five."""
    asked = model.users.tolist() if users is None else users
    known = model.knows(asked)
    others = [user for user, right in zip(asked, known, strict=True) if not right]
    if others:
        from pyg_negsamp.serving.ids import some_of

        who = f"{len(others)} of {len(asked)} users are not known or have no training links"
        remark(f"{who}, and get what is popular: {some_of(others)}")


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
    with writing(path), whole(path) as part:
        if path.suffix == ".csv":
            with part.open("w", newline="", encoding="utf-8") as stream:
                write_csv(blocks, stream)
        else:
            write_parquet(blocks, part)


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
            remark(f"{done} of {total} users, {left:.0f} s left")
