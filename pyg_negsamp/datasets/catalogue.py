"""A catalogue: a file that lists items, also those that nobody has interacted with yet."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import torch

from pyg_negsamp.datasets.columns import Column, Columns, Writing
from pyg_negsamp.datasets.log import OWNER, InteractionLog
from pyg_negsamp.datasets.separators import KNOWN, USUAL, first_lines, guess_separator
from pyg_negsamp.datasets.sources import inner_name, read_bytes, read_text
from pyg_negsamp.datasets.text_tables import WHOLE, parse_text
from pyg_negsamp.errors import invalid

NO_SEPARATOR = "\x1f"  # of lines that hold one id each, blanks included


def listed_ids(path: Path, columns: Columns, writing: Writing, known: pd.Series) -> pd.Series:
    """Reads the item ids of a catalogue.

    They are in the column that has the name of the log's item column, else in the first. CSV
    and TSV have a header, unless the columns of the log are given by position or the first
    line is an item of the log. Other text has none, unless it names the item column.

    Args:
        path: CSV, TSV, parquet, or other text with an id per line or in the first column.
        columns: Columns of the log.
        writing: How text is written. A separator that the file does not use is ignored.
        known: `[E]` item ids of the log.

    Returns:
        `[N]` ids: text as it is written, without blanks around; or what parquet holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, lists nothing, or lacks an id.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{OWNER}: there is no file '{path}'")
    suffix = Path(inner_name(path)).suffix
    if suffix == ".parquet":
        ids = parquet_column(path, columns.item)
    else:
        ids = _from_text(path, suffix, columns, writing, known)
    blank = ids.isna() | (ids.astype(str).str.strip() == "")
    if blank.any():
        expected = "a catalogue without missing ids"
        raise invalid(OWNER, str(path), expected, f"{blank.sum()}, first {int(blank.argmax()) + 1}")
    if not len(ids):
        raise invalid(OWNER, str(path), "a catalogue with at least one item", "none")
    return ids.drop_duplicates()


def add_to_adjacency(log: InteractionLog, path: Path, writing: Writing) -> InteractionLog:
    """Adds the items of a catalogue to a log whose ids count from zero.

    Raises:
        ValueError: If an id of the catalogue is no whole number.
    """
    ids = listed_ids(path, Columns(0, 0), writing, pd.Series([], dtype=str)).astype(str)
    number = ids.str.fullmatch(r"\d{1,9}").to_numpy(dtype=bool)
    if not number.all():
        expected = "a catalogue of ids that count from zero, as in the adjacency text"
        raise invalid(OWNER, str(path), expected, repr(ids[~number].iloc[0]))
    item = torch.from_numpy(ids.astype("int64").to_numpy().copy())
    num_items = max(log.num_items, int(item.max()) + 1)
    listed = torch.zeros(num_items, dtype=torch.bool)
    listed[item] = True
    return log._replace(num_items=num_items, listed=listed)


def parquet_column(path: Path, wanted: Column) -> pd.Series:
    """The column of that name, else the first.

    Raises:
        ValueError: If the file is no parquet table.
    """
    try:
        content = BytesIO(read_bytes(path))
        names = pyarrow.parquet.read_schema(content).names
        name = wanted if wanted in names else names[0]
        return pd.read_parquet(content, columns=[str(name)])[name]
    except pyarrow.ArrowException as error:
        raise invalid(OWNER, str(path), "a readable parquet table", str(error).strip()) from error


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
    suffix = Path(inner_name(path)).suffix.removeprefix(".")
    format = suffix if suffix in USUAL else "text"
    used = [sep for sep in ((writing.sep or ""), *KNOWN) if sep and sep in lines[0]]
    sep = NO_SEPARATOR
    if used:
        sep = writing.sep if writing.sep in used else guess_separator(lines, format)
    return parse_text(text, sep, False, path, format).apply(lambda column: column.str.strip())


def _from_text(
    path: Path, suffix: str, columns: Columns, writing: Writing, known: pd.Series
) -> pd.Series:
    frame = text_fields(path, writing)
    if frame.empty:
        return pd.Series([], dtype=str)
    first = frame.iloc[0].tolist()
    by_name = isinstance(columns.item, str) and columns.item in first
    at = first.index(columns.item) if by_name else 0
    is_table = suffix.removeprefix(".") in USUAL
    header = by_name or (is_table and isinstance(columns.item, str))
    if header and not by_name and (known.astype(str) == first[at]).any():
        header = False
    ids = frame[at].iloc[1:] if header else frame[at]
    if not header and len(ids) > 1:
        number = ids.str.fullmatch(WHOLE).to_numpy(dtype=bool)
        if number[1:].all() and not number[0]:
            expected = "a catalogue without header"
            raise invalid(OWNER, str(path), expected, f"the first line {first}")
    return ids
