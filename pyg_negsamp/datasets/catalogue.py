"""A catalogue: a file that lists items, also those that nobody has interacted with yet."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets.columns import Catalogue, Column, Columns, Writing
from pyg_negsamp.datasets.ids import one_kind, without_blanks
from pyg_negsamp.datasets.log import OWNER, InteractionLog
from pyg_negsamp.datasets.parquet import read_parquet
from pyg_negsamp.datasets.separators import KNOWN, USUAL, first_lines, guess_separator
from pyg_negsamp.datasets.sources import inner_suffix, read_text
from pyg_negsamp.datasets.text_tables import WHOLE, check_one_line, parse_text
from pyg_negsamp.errors import invalid, nearest

DIGITS = re.compile(r"\d+")
NO_SEPARATOR = "\x1f"  # of lines that hold one id each, blanks included


class Listed(NamedTuple):
    """What a catalogue lists.

    Attributes:
        ids: `[N]` ids of items: text as written, without blanks around; or what parquet holds.
        category: `[N]` what its column of categories says of them, or `None`.
    """

    ids: pd.Series
    category: pd.Series | None = None


def listed_items(
    catalogue: Catalogue, columns: Columns, writing: Writing, known: pd.Series
) -> Listed:
    """Reads the items of a catalogue, each once: of several lines of an item, the first.

    Their ids are in the column that has the name of the log's item column, else in the first. CSV
    and TSV have a header, unless the columns of the log are given by position or the first
    line is an item: one of the log, or one that is written as others are but for its digits, such
    as `i017` above `i4`. Other text has none, unless it names the item column. Where the column of
    categories is given by name, there is a header.

    Args:
        catalogue: CSV, TSV, parquet, or other text with an id per line or in the first column.
        columns: Columns of the log.
        writing: How text is written. A separator that the file does not use is ignored.
        known: `[E]` item ids of the log.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, lists nothing, or lacks an id or the column of categories;
            or if its first column of several has no item of the log.
    """
    path, category = catalogue
    if not path.is_file():
        raise FileNotFoundError(f"{OWNER}: there is no file '{path}'")
    suffix = inner_suffix(path)
    if suffix == ".parquet":
        ids, names = parquet_column(path, columns.item)
        ids = without_blanks(one_kind(ids))
        kinds = None if category is None else parquet_categories(path, category)
    else:
        ids, kinds, names = _from_text(path, suffix, columns, category, writing, known)
    blank = ids.isna() | (ids.astype(str).str.strip() == "")
    if blank.any():
        expected = "a catalogue without missing ids"
        raise invalid(OWNER, str(path), expected, f"{blank.sum()}, first {int(blank.argmax()) + 1}")
    if not len(ids):
        raise invalid(OWNER, str(path), "a catalogue with at least one item", "none")
    _check_meets(ids, known, names, columns, path)
    first = ~ids.duplicated()
    return Listed(ids[first], None if kinds is None else kinds[first])


def _check_meets(
    ids: pd.Series, known: pd.Series, names: list[str], columns: Columns, path: Path
) -> None:
    """Refuses a column that was not named and has no item of the log; else it warns of such.

    Args:
        ids: `[N]` ids of the catalogue.
        known: `[E]` item ids of the log; none if they count from zero.
        names: What the columns of the catalogue are called, or what its first line says.
        columns: Columns of the log.
        path: The catalogue.
    """
    if not len(known) or ids.astype(str).isin(one_kind(known).astype(str).unique()).any():
        return
    if columns.item not in names and len(names) > 1:
        expected = (
            f"a catalogue with items of the log in a column {columns.item!r}, as in the log, or in "
            f"its first one of {names}"
        )
        raise invalid(OWNER, str(path), expected, f"none, but {ids.iloc[0]!r}")
    warnings.warn(f"{OWNER}: {path}: none of its {len(ids)} items is in the log", stacklevel=2)


def categories(listed: Listed, position: np.ndarray, num_items: int) -> Tensor | None:
    """The category `[I]` of every item, numbered from 0 in sorted order; `None` without any.

    Items of which the catalogue says none, or that it does not list, have the last one together.

    Args:
        listed: What the catalogue lists.
        position: `[N]` the items that these are.
        num_items: How many items there are.
    """
    if listed.category is None:
        return None
    said = listed.category.astype(str).str.strip()
    missing = listed.category.isna() | (said == "")
    names = sorted(said[~missing].unique())
    if pd.api.types.is_numeric_dtype(listed.category):  # 2 before 10
        names = [str(x) for x in sorted(listed.category[~missing].unique())]
    kind = pd.Categorical(said.where(~missing), names).codes.astype("int64")
    found = torch.full((num_items,), len(names))
    found[torch.from_numpy(position)] = torch.from_numpy(np.where(kind < 0, len(names), kind))
    return found


def add_to_adjacency(log: InteractionLog, catalogue: Catalogue, writing: Writing) -> InteractionLog:
    """Adds the items of a catalogue to a log whose ids count from zero.

    Raises:
        ValueError: If an id of the catalogue is no whole number.
    """
    listed = listed_items(catalogue, Columns(0, 0), writing, pd.Series([], dtype=str))
    ids = listed.ids.astype(str)
    number = ids.str.fullmatch(r"\d{1,9}").to_numpy(dtype=bool)
    if not number.all():
        expected = "a catalogue of ids that count from zero, as in the adjacency text"
        raise invalid(OWNER, str(catalogue.path), expected, repr(ids[~number].iloc[0]))
    position = ids.astype("int64").to_numpy().copy()
    num_items = max(log.num_items, int(position.max()) + 1)
    in_catalogue = torch.zeros(num_items, dtype=torch.bool)
    in_catalogue[torch.from_numpy(position)] = True
    category = categories(listed, position, num_items)
    return log._replace(num_items=num_items, listed=in_catalogue, category=category)


def parquet_column(path: Path, wanted: Column) -> tuple[pd.Series, list[str]]:
    """The column of that name, else the first; and the names of all.

    Raises:
        ValueError: If the file is no parquet table.
    """
    there: list[str] = []

    def choose(names: list[str]) -> list[str]:
        there.extend(names)
        return [str(wanted) if wanted in names else names[0]]

    return read_parquet(path, choose).iloc[:, 0], there


def parquet_categories(path: Path, column: Column) -> pd.Series:
    """The column of categories, by name or position.

    Raises:
        ValueError: If there is none such.
    """
    return read_parquet(path, lambda names: [names[category_at(path, column, names)]]).iloc[:, 0]


def category_at(path: Path, column: Column, names: list[str]) -> int:
    """The position of the column of categories.

    Args:
        path: The catalogue.
        column: Name or position.
        names: All columns of the catalogue.

    Raises:
        ValueError: If it is none of them.
    """
    if isinstance(column, str) and names.count(column) == 1:
        return names.index(column)
    if not isinstance(column, str) and 0 <= column < len(names):
        return column
    meant = nearest(column, names) if isinstance(column, str) else ""
    expected = f"a column of {path}, there once: {names}{meant}"
    raise invalid(OWNER, "category", expected, repr(column))


def text_fields(path: Path, writing: Writing) -> pd.DataFrame:
    """All fields of a text, without blanks around; a header is the first row.

    A separator is looked for in the first line. Where there is none, each line is one field.

    Raises:
        ValueError: If the file cannot be read.
    """
    text = read_text(path, writing.encoding)
    lines = first_lines(text)
    if not lines:
        return pd.DataFrame()
    suffix = inner_suffix(path).removeprefix(".")
    format = suffix if suffix in USUAL else "text"
    used = [sep for sep in ((writing.sep or ""), *KNOWN) if sep and sep in lines[0]]
    sep = NO_SEPARATOR
    if used:
        sep = writing.sep if writing.sep in used else guess_separator(lines, format)
    return parse_text(text, sep, False, path, format).apply(lambda column: column.str.strip())


def _is_item(cell: str, others: pd.Series, known: pd.Series) -> bool:
    """Whether a catalogue's first cell is no header: in the log, or like others but for digits."""
    if (known.astype(str) == cell).any():
        return True
    form = DIGITS.sub("#", cell)
    return form != cell and form in {DIGITS.sub("#", other) for other in others.dropna().unique()}


def _from_text(
    path: Path,
    suffix: str,
    columns: Columns,
    category: Column | None,
    writing: Writing,
    known: pd.Series,
) -> tuple[pd.Series, pd.Series | None, list[str]]:
    frame = text_fields(path, writing)
    if frame.empty:
        return pd.Series([], dtype=str), None, []
    first = frame.iloc[0].tolist()
    by_name = isinstance(columns.item, str) and columns.item in first
    at = first.index(columns.item) if by_name else 0
    kind = None if category is None else category_at(path, category, first)
    is_table = suffix.removeprefix(".") in USUAL
    header = by_name or (is_table and isinstance(columns.item, str))
    if header and not by_name and _is_item(first[at], frame[at].iloc[1:], known):
        header = False
    header = header or isinstance(category, str)
    frame = frame.iloc[1:] if header else frame
    ids = frame[at]
    check_one_line(ids, lambda row: str(path))
    if not header and len(ids) > 1:
        number = ids.str.fullmatch(WHOLE).to_numpy(dtype=bool)
        if number[1:].all() and not number[0]:
            expected = "a catalogue without header"
            raise invalid(OWNER, str(path), expected, f"the first line {first}")
    return ids, None if kind is None else frame[kind], first
