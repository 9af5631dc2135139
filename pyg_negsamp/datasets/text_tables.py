"""Text tables as frames of strings: nothing in them is guessed to be a number or missing."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.datasets.columns import Columns, Writing, check_columns
from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.datasets.separators import BLANKS, MOVIELENS, first_lines, guess_separator
from pyg_negsamp.datasets.sources import read_text
from pyg_negsamp.datasets.values import numbers
from pyg_negsamp.errors import invalid

WHOLE = r"0|-?[1-9]\d*"  # a whole number as programs write it: no sign, no zeros in front
UNIT_SEPARATOR = "\x1f"  # one character in place of `::`, for the faster parser
#: What to do about missing values.
REMEDY = "remove those rows; or leave a column out that is not needed"
UNREADABLE = (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OverflowError)


def read_text_table(path: Path, format: str, columns: Columns, writing: Writing) -> pd.DataFrame:
    """Reads the wanted columns of a text table as they are written, without blanks around.

    Ratings and weights become numbers.

    Args:
        path: The file. Without header if a column is given by position.
        format: `"pairs"`, `"csv"` or `"tsv"`; decides the usual separator.
        columns: Names or positions of the columns.
        writing: How the text is written.

    Raises:
        ValueError: If the file is no such table, lacks a column or a value, or has its header
            twice; names the line where there is one.
    """
    text = read_text(path, writing.encoding)
    header = not columns.by_position()
    names = [str(name) for name in columns.given().values()] if header else []
    wanted = 0 if header else max(int(at) for at in columns.given().values() if _is_at(at)) + 1
    sep = writing.sep or guess_separator(
        first_lines(text), format, names, wanted, decimal=writing.decimal
    )
    frame = parse_text(text, sep, header, path, format)
    check_columns(columns, frame.columns, str(path))

    def line(row: int) -> int:
        return _line_of_row(text, sep, row + header)

    def place(row: int) -> str:
        return f"{path}, line {line(row)}"

    if b'"' in text:
        warn_of_rows_in_fields(frame, columns, sep, place)
    frame = frame[list(columns.given().values())].apply(lambda column: column.str.strip())
    if header:
        _check_one_header(frame, columns, path, text, sep)
    else:
        _check_no_header(frame, columns, path)
    _check_complete(frame, columns, path, text, sep)
    if b'"' in text:
        for name in frame:
            check_one_line(frame[name], place)
    for role in ("rating", "weight"):  # here, where a line can be named
        if (name := getattr(columns, role)) is not None:
            frame[name] = numbers(
                frame[name], role, writing.decimal, place=lambda row: f"line {line(row)} of {path}"
            )
    return frame


def parse_text(text: bytes, sep: str, header: bool, path: Path, format: str) -> pd.DataFrame:
    """All columns of a text table as strings; missing fields are empty strings.

    Args:
        text: The table in UTF-8.
        sep: Separator: a character, `::`, or a regular expression.
        header: Whether the first line holds the names of the columns, kept also if repeated.
        path: What to call the table in errors.
        format: What to call its format.
    """
    if sep == MOVIELENS and UNIT_SEPARATOR.encode() not in text:
        text, sep = text.replace(sep.encode(), UNIT_SEPARATOR.encode()), UNIT_SEPARATOR
    engine: Literal["c", "python"] = "python" if len(sep.encode()) > 1 and sep != BLANKS else "c"
    expected = f"a readable {format} table"
    # All columns, since pandas would not notice ragged lines if it read some only.
    options: Any = {"sep": sep, "engine": engine, "dtype": str, "na_filter": False}
    try:
        frame = pd.read_csv(BytesIO(text), header=0 if header else None, **options)
        if header:  # pandas renames columns that have the same name
            first = pd.read_csv(BytesIO(text), header=None, nrows=1, **options)
            if first.shape[1] == frame.shape[1]:
                frame.columns = first.iloc[0].tolist()
    except UNREADABLE as error:
        raise invalid(OWNER, str(path), expected, str(error).strip()) from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the surplus for row names
        raise invalid(OWNER, str(path), expected, "more fields than columns")
    return frame.fillna("")  # what the Python parser makes of short lines


def _is_at(column: Any) -> bool:
    return not isinstance(column, str)


def _check_one_header(
    frame: pd.DataFrame, columns: Columns, path: Path, text: bytes, sep: str
) -> None:
    """Refuses a table with its header once more in the middle, as `cat a.csv b.csv` makes it."""
    again = np.ones(len(frame), dtype=bool)
    for role in ("user", "item"):
        name = getattr(columns, role)
        again &= (frame[name].str.strip("\ufeff") == str(name).strip()).to_numpy(dtype=bool)
    if again.any():
        line = _line_of_row(text, sep, int(again.argmax()) + 1)
        expected = "a table with one header (remove the second)"
        raise invalid(OWNER, f"{path}, line {line}", expected, "the header again")


def _check_no_header(frame: pd.DataFrame, columns: Columns, path: Path) -> None:
    """Refuses a first line that is a header, where columns are given by position.

    It is one if its ids alone have no digit. It may be one, which is warned of, if neither of its
    ids comes again, though ids do.
    """
    ids = frame[[columns.user, columns.item]]
    if len(ids) < 2:
        return
    first, rest = ids.iloc[0], ids.iloc[1:]
    digit = ids.apply(lambda column: column.str.contains(r"\d"))
    if not digit.iloc[0].any() and bool(digit.iloc[1:].all(axis=None)):
        expected = "a table without header, because columns are given by position"
        raise invalid(OWNER, str(path), expected, f"the first line {first.tolist()}")
    alone = not (rest == first).any(axis=None)
    if alone and bool((2 * rest.nunique() <= len(rest)).all()):
        warnings.warn(
            f"{OWNER}: {path}: neither user nor item of the first line, {first.tolist()}, comes "
            "again. If it is a header, name the columns, or take it away",
            stacklevel=2,
        )


def _check_complete(
    frame: pd.DataFrame, columns: Columns, path: Path, text: bytes, sep: str
) -> None:
    """Refuses a table with empty fields: one error for all columns, with the first lines."""
    missing = {role: (frame[name] == "").to_numpy() for role, name in columns.given().items()}
    roles = [role for role, rows in missing.items() if rows.any()]
    if roles:
        header = not columns.by_position()
        found = []
        for role in roles:
            row = int(missing[role].argmax()) + header
            found.append(
                f"{missing[role].sum()} missing in column {getattr(columns, role)!r} of {path}, "
                f"the first in line {_line_of_row(text, sep, row)}"
            )
        expected = f"a column without missing values ({REMEDY})"
        raise invalid(OWNER, ", ".join(roles), expected, "; ".join(found))


def check_one_line(fields: pd.Series, place: Callable[[int], str]) -> None:
    """Refuses line breaks in fields: a quote that nobody closed made one of several rows.

    Args:
        fields: Text.
        place: From the position of a field to where it stands, for the error.
    """
    broken = fields.str.contains(r"[\r\n]").to_numpy(dtype=bool)
    if broken.any():
        row = int(broken.argmax())
        expected = "a table whose fields are on one line each: close the quote, or write it twice"
        got = f"a quote that runs over lines: {describe(fields.iloc[row][:40])}"
        raise invalid(OWNER, place(row), expected, got)


def warn_of_rows_in_fields(
    table: pd.DataFrame, columns: Columns, sep: str, place: Callable[[int], str]
) -> None:
    """Warns where a quote that nobody closed seems to have made one field of several rows.

    A review may run over lines; that is text. But rows bring as many separators as they have in
    the whole table. It warns if at least half of the fields over several lines look so.

    Args:
        table: All columns.
        columns: Those that are read. They may not run over lines at all.
        sep: Separator of the text.
        place: From the position of a row to where it begins.
    """
    mark = UNIT_SEPARATOR if sep == MOVIELENS else sep
    if len(mark) > 1:
        return
    for at, name in enumerate(table.columns):
        if name in columns.given().values():
            continue
        fields = table.iloc[:, at]
        rows = np.flatnonzero(fields.str.contains("\n", regex=False))
        breaks = fields.iloc[rows].str.count("\n").to_numpy()
        marks = fields.iloc[rows].str.count(re.escape(mark)).to_numpy()
        alike = marks == breaks * (table.shape[1] - 1)
        if alike.any() and 2 * alike.sum() >= len(rows):
            first = rows[alike.argmax()]
            warnings.warn(
                f"{OWNER}: {place(int(first))}: text of column {name!r} runs over lines and looks "
                f"like rows of the table, {breaks[alike].sum()} in all. They are not read as rows. "
                "If a quote was never closed, close it, or write it twice",
                stacklevel=2,
            )


def _line_of_row(text: bytes, sep: str, row: int) -> int:
    """Number of the line, from one, where the row starts; row 0 is the first that is not blank."""
    for at, line in enumerate(_rows(text, sep)):
        if at == row:
            return line
    return row + 1  # not reached, as the parsers agree on what a row is


def _rows(text: bytes, sep: str) -> Iterator[int]:
    """First line of every row. Quoted fields may hold line breaks."""
    lines = StringIO(text.decode(), newline=None)
    if len(sep) > 1:
        yield from (number for number, line in enumerate(lines, start=1) if line.strip())
        return
    rows = csv.reader(lines, delimiter=sep)
    start = 1
    for fields in rows:
        if fields:
            yield start
        start = rows.line_num + 1
