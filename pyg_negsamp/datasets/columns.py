"""What the caller says about a table: which columns it has, and how its text is written."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from pyg_negsamp.datasets.checks import describe, is_whole, require_path, require_text
from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.errors import invalid, nearest

Column: TypeAlias = str | int


class Columns(NamedTuple):
    """Which columns of a table hold what: names, or positions in a file without header."""

    user: Column
    item: Column
    time: Column | None = None
    rating: Column | None = None
    weight: Column | None = None

    def given(self) -> dict[str, Column]:
        """The columns in use, by role."""
        return {role: column for role, column in self._asdict().items() if column is not None}

    def by_position(self) -> bool:
        """Whether a column is given by position, so that the file has no header."""
        return any(not isinstance(column, str) for column in self.given().values())


class Catalogue(NamedTuple):
    """A file that lists items.

    Attributes:
        path: The file.
        category: Its column of categories, by name or position; `None` if there is none.
    """

    path: Path
    category: Column | None = None


class Writing(NamedTuple):
    """How the text of a table is written.

    Attributes:
        sep: What separates the columns; `None` to go by the first lines.
        encoding: Name of the encoding; `None` for UTF-8, or what a byte order mark says.
        decimal: Mark before the fraction of a number, `"."` or `","`.
        date_format: Format of dates, such as `"%d/%m/%Y"`; `None` to go by the dates.
    """

    sep: str | None = None
    encoding: str | None = None
    decimal: str = "."
    date_format: str | None = None


def check_types(columns: Columns, writing: Writing) -> None:
    """Raises `ValueError` if a column is no name or position, or an option makes no sense."""
    for role, column in columns.given().items():
        if not isinstance(column, str) and not is_whole(column):
            raise invalid(OWNER, role, "a column: a name or a position", describe(column))
    for role in ("user", "item"):
        if getattr(columns, role) is None:
            raise invalid(OWNER, role, "a column: a name or a position", None)
    if writing.sep is not None:
        check_separator(writing.sep)
    if writing.decimal not in (".", ","):
        raise invalid(OWNER, "decimal", "'.' or ','", describe(writing.decimal))
    check_encoding(writing.encoding)
    if writing.date_format is not None:
        if not isinstance(writing.date_format, str) or "%" not in writing.date_format:
            expected = "a format such as '%d/%m/%Y'"
            raise invalid(OWNER, "date_format", expected, describe(writing.date_format))
        if columns.time is None:
            expected = "used together with a 'time' column"
            raise invalid(OWNER, "date_format", expected, describe(writing.date_format))


def find_catalogue(items_file: Any, category: Any) -> Catalogue | None:
    """The catalogue that was given, if any.

    Raises:
        ValueError: If it is no path, or categories are given without it, or not as a column.
    """
    if category is not None and (not isinstance(category, str) and not is_whole(category)):
        raise invalid(OWNER, "category", "a column: a name or a position", describe(category))
    if items_file is None:
        if category is None:
            return None
        expected = "given beside an items file, whose column it is"
        raise invalid(OWNER, "category", expected, describe(category))
    return Catalogue(require_path(OWNER, "items_file", items_file), category)


def check_separator(sep: Any) -> None:
    """Raises `ValueError` unless `sep` is a character or a regular expression of several."""
    require_text(OWNER, "sep", sep)
    try:
        re.compile(sep if len(sep) > 1 else "")
        wrong = sep in "\r\n"
    except re.error:
        wrong = True
    if wrong:
        expected = "a character, or a regular expression of several, within a line"
        raise invalid(OWNER, "sep", expected, describe(sep))


def check_encoding(encoding: Any) -> None:
    """Raises `ValueError` unless `encoding` is `None` or names an encoding of text."""
    if encoding is None:
        return
    try:
        codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, TypeError, ValueError) as error:
        expected = "an encoding, such as 'latin-1' or 'utf-16'"
        raise invalid(OWNER, "encoding", expected, describe(encoding)) from error


def check_columns(columns: Columns, available: Iterable[Any], source: str) -> None:
    """Raises `ValueError` if a column is not there, there twice, or given two roles."""
    available = list(available)
    others: dict[Column, str] = {}
    for role, column in columns.given().items():
        if available.count(column) != 1:
            meant = "" if column in available else nearest(str(column), map(str, available))
            expected = f"a column of {source}, there once: {available}{meant}"
            raise invalid(OWNER, role, expected, describe(column))
        earlier = others.setdefault(column, role)
        if earlier != role:
            raise invalid(OWNER, role, f"another column than '{earlier}'", repr(column))
