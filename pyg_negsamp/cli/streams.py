"""Ids that come in as files, frames that go out as files or on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from tqdm import tqdm

#: Seconds of work after which progress is shown, and between plain lines.
QUIET, EVERY = 1.0, 5.0


def read_ids(file: str, role: str) -> list[Any]:
    """The ids in a file: one per line, or the column `role` of a CSV or parquet table.

    Args:
        file: Text, `.csv`, `.tsv` or `.parquet`.
        role: `'user'` or `'item'`.

    Raises:
        ValueError: If it is a table of several columns without that one, or empty.
    """
    path = Path(file)
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        sep = "\t" if path.suffix == ".tsv" else ","
        options: dict[str, Any] = {"sep": sep, "dtype": str, "keep_default_na": False}
        try:
            frame = pd.read_csv(path, **options)
            if role not in frame and frame.shape[1] == 1:  # no header: one id per line
                frame = pd.read_csv(path, header=None, names=[role], **options)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} must hold ids, one per line: {error}") from None
    if role not in frame:
        raise ValueError(f"{file} must have a column '{role}' (got {', '.join(map(str, frame))})")
    return list(frame[role])


def with_progress(
    frames: Iterable[pd.DataFrame], total: int, column: str
) -> Iterator[pd.DataFrame]:
    """Passes frames on, and says on standard error how far they are, if it takes a while.

    Args:
        frames: They come block by block.
        total: How many ids there are in all.
        column: The column in which they stand.
    """
    started = said = time.monotonic()
    done = 0
    terminal = sys.stderr.isatty()
    with tqdm(total=total, unit=column, delay=QUIET, disable=not terminal) as bar:
        for frame in frames:
            yield frame
            new = frame[column].nunique()
            done += new
            bar.update(new)
            now = time.monotonic()
            if not terminal and now - said >= EVERY:
                said = now
                left = (now - started) / max(done, 1) * max(total - done, 0)
                print(f"{done}/{total} {column}s, {left:.0f} s left", file=sys.stderr, flush=True)


def write_frames(frames: Iterable[pd.DataFrame], to: str) -> None:
    """Writes frames one after another: a file that is whole or not there, or standard output.

    Args:
        frames: All with the same columns.
        to: A path that ends in `.csv` or `.parquet`, or `'-'`.

    Raises:
        ValueError: If the path ends otherwise.
    """
    if to == "-":
        for number, frame in enumerate(frames):
            frame.to_csv(sys.stdout, index=False, header=number == 0, lineterminator="\n")
        return
    path = Path(to)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--to must end in .csv or .parquet, or be - (got {to})")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        (_write_csv if path.suffix == ".csv" else _write_parquet)(frames, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(frames: Iterable[pd.DataFrame], part: Path) -> None:
    with part.open("w", newline="") as file:
        for number, frame in enumerate(frames):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")


def _write_parquet(frames: Iterable[pd.DataFrame], part: Path) -> None:
    writer = None
    try:
        for frame in frames:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(part, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
