"""Tables of interactions with any ids: pair text, CSV, TSV, parquet and pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import torch
from torch import Tensor

from pyg_negsamp.datasets.log import OWNER, InteractionLog, require_links, split_column
from pyg_negsamp.errors import invalid

BLANKS = r"\s+"
INTEGER = r"0|-?[1-9]\d{0,17}"
UNREADABLE = (
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
    UnicodeDecodeError,
    pyarrow.ArrowException,
)

Column: TypeAlias = str | int


class Columns(NamedTuple):
    """Which columns of a table hold what: names, or positions in a file without header."""

    user: Column
    item: Column
    time: Column | None = None
    rating: Column | None = None

    def given(self) -> dict[str, Column]:
        """The columns in use, by role."""
        return {role: column for role, column in self._asdict().items() if column is not None}


def read_table(path: Path, format: str, columns: Columns, sep: str | None = None) -> pd.DataFrame:
    """Reads the wanted columns of a table file.

    Args:
        path: The file. Without header if a column is given by position.
        format: `"pairs"`, `"csv"`, `"tsv"` or `"parquet"`.
        columns: Names or positions of the columns.
        sep: Separator of text files. Default: comma for CSV, tab for TSV; for pair text what
            the first line uses (comma, tab or blanks).

    Raises:
        ValueError: If the file is no such table or lacks a column.
    """
    try:
        if format == "parquet":
            _check_columns(columns, pyarrow.parquet.read_schema(path).names, str(path))
            return pd.read_parquet(path, columns=[str(name) for name in columns.given().values()])
        if sep is None:
            sep = {"csv": ",", "tsv": "\t"}.get(format) or _guess_separator(path)
        header = None if any(isinstance(name, int) for name in columns.given().values()) else 0
        engine: Literal["c", "python"] = "python" if len(sep) > 1 and sep != BLANKS else "c"
        # Ids as they are written: what pandas guesses depends on the file, and even on the part of
        # it. All columns, since pandas would not notice ragged lines if it read some only.
        ids = {columns.user: "str", columns.item: "str"}
        frame = pd.read_csv(path, sep=sep, header=header, engine=engine, dtype=ids)
    except UNREADABLE as error:
        reason = str(error).strip()
        raise invalid(OWNER, str(path), f"a readable {format} table", reason) from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the surplus for row names
        raise invalid(OWNER, str(path), f"a readable {format} table", "more fields than columns")
    _check_columns(columns, frame.columns, str(path))
    if header is None:
        _check_no_header(frame, columns, path)
    return frame[list(columns.given().values())]


def read_tables_log(
    parts: Mapping[int, Path],
    format: str,
    columns: Columns,
    min_rating: float | None = None,
    sep: str | None = None,
) -> InteractionLog:
    """Reads table files as one log, see `read_table` and `log_from_frame`."""
    frames = {part: read_table(path, format, columns, sep) for part, path in parts.items()}
    for part, path in parts.items():
        _check_complete(frames[part], columns, str(path))
    split = split_column({part: len(frame) for part, frame in frames.items()})
    frame = pd.concat(frames.values(), ignore_index=True)
    source = ", ".join(map(str, parts.values()))
    for role in ("user", "item"):
        column = getattr(columns, role)
        if format == "parquet":
            shares = [pd.api.types.is_numeric_dtype(part[column]) for part in frames.values()]
        else:  # Text so far, which becomes integers if all of it is written as such.
            ids = frame[column].str.strip()
            number = ids.str.fullmatch(INTEGER).to_numpy(dtype=bool)
            frame[column] = ids.astype("int64") if number.all() else ids
            ends = np.cumsum([len(part) for part in frames.values()])
            shares = [part.mean() for part in np.split(number, ends[:-1]) if len(part)]
        if 0 in shares and 1 in shares:
            expected = f"a column of one kind of ids in all of {source}"
            raise invalid(OWNER, role, expected, "numbers in one and text in another")
    return log_from_frame(frame, columns, min_rating, source=source, split=split)


def log_from_frame(
    frame: pd.DataFrame,
    columns: Columns,
    min_rating: float | None = None,
    source: str = "frame",
    split: Tensor | None = None,
) -> InteractionLog:
    """Turns a table with arbitrary ids into a log with ids from zero, in sorted order.

    Args:
        frame: One row per interaction.
        columns: Names of the columns.
        min_rating: Rows rated lower are no interactions.
        source: What to call the table in errors.
        split: `[rows]` part of every row, or `None`.

    Raises:
        ValueError: If a column is missing, has missing or unusable values or two roles, if
            `min_rating` is given without a rating column, or if no row is left.
    """
    _check_columns(columns, frame.columns, source)
    _check_complete(frame, columns, source)
    if min_rating is not None:
        if columns.rating is None:
            raise invalid(OWNER, "min_rating", "used together with a 'rating' column", min_rating)
        kept = (_numbers(frame[columns.rating], "rating") >= min_rating).to_numpy()
        frame = frame[kept]
        split = None if split is None else split[torch.from_numpy(kept)]
    require_links(len(frame), [source])
    user, user_ids = _numbered(frame[columns.user], "user")
    item, item_ids = _numbered(frame[columns.item], "item")
    return InteractionLog(
        user=_tensor(user, torch.int64),
        item=_tensor(item, torch.int64),
        num_users=len(user_ids),
        num_items=len(item_ids),
        time=None if columns.time is None else _times(frame[columns.time]),
        rating=None
        if columns.rating is None
        else _tensor(_numbers(frame[columns.rating], "rating"), torch.float64),
        split=split,
        user_ids=user_ids,
        item_ids=item_ids,
    )


def _numbered(ids: pd.Series, role: str) -> tuple[Any, pd.Index]:
    """The position of every id among the sorted distinct ones, and these."""
    try:
        position, distinct = pd.factorize(ids, sort=True)
    except TypeError as error:
        expected = "a column of ids that can be told apart and sorted"
        raise invalid(OWNER, role, expected, f"{error} in {ids.name!r}") from error
    return position, pd.Index(distinct)


def _check_no_header(frame: pd.DataFrame, columns: Columns, path: Path) -> None:
    """Refuses a file whose first line alone is no number, where columns are given by position."""
    ids = frame[[columns.user, columns.item]].astype("str")
    number = ids.apply(lambda column: column.str.strip().str.fullmatch(INTEGER))
    if len(number) > 1 and not number.iloc[0].any() and bool(number.iloc[1:].all(axis=None)):
        expected = "a table without header, because columns are given by position"
        raise invalid(OWNER, str(path), expected, f"the first line {ids.iloc[0].tolist()}")


def _guess_separator(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        first = lines.readline()
    return next((sep for sep in (",", "\t") if sep in first), BLANKS)


def _check_columns(columns: Columns, available: Iterable[Any], source: str) -> None:
    available = list(available)
    others: dict[Column, str] = {}
    for role, column in columns.given().items():
        if available.count(column) != 1:
            expected = f"a column of {source}, there once: {available}"
            raise invalid(OWNER, role, expected, repr(column))
        earlier = others.setdefault(column, role)
        if earlier != role:
            raise invalid(OWNER, role, f"another column than '{earlier}'", repr(column))


def _check_complete(frame: pd.DataFrame, columns: Columns, source: str) -> None:
    for role, column in columns.given().items():
        missing = frame[column].isna().to_numpy()
        if missing.any():
            raise invalid(
                OWNER, role, "a column without missing values",
                f"{missing.sum()} missing in column {column!r} of {source}, "
                f"the first in data row {missing.argmax() + 1}",
            )  # fmt: skip


def _numbers(column: pd.Series, role: str) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(column):
        raise invalid(OWNER, role, "a column of numbers", f"{column.dtype} in {column.name!r}")
    return column


def _times(column: pd.Series) -> Tensor:
    """Numbers as they are; dates as whole seconds since 1970 (UTC)."""
    if pd.api.types.is_numeric_dtype(column):
        whole = pd.api.types.is_integer_dtype(column)
        return _tensor(column, torch.int64 if whole else torch.float64)
    try:
        moments = pd.to_datetime(column, utc=True).dt.tz_localize(None)
    except (ValueError, TypeError) as error:
        raise invalid(OWNER, "time", "a column of numbers or dates", error) from error
    return _tensor(moments.astype("datetime64[s]").astype("int64"), torch.int64)


def _tensor(column: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor(pd.Series(column).to_numpy(), dtype=dtype)
