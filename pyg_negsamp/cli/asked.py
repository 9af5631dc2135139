"""Ids that a command is asked about: typed, or in a file. What is said of them goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:  # help does not wait for it
    from pyg_negsamp import TrainedModel


def remark(text: str) -> None:
    """Prints on standard error, so that standard output stays a table."""
    print(text, file=sys.stderr, flush=True)


def items_of(given: Sequence[str], model: TrainedModel) -> list[str]:
    """The items that are known, out of ids or out of a file.

    Args:
        given: Ids; or one that is none, but a file of them.
        model: Whose items they are.

    Raises:
        ValueError: If none of them is known, or the file cannot be read.
    """
    from pyg_negsamp.serving.ids import named, some_of

    ids = [item.strip() for item in given]
    file = Path(given[0])
    if len(ids) == 1 and not is_known(ids, "item", model).any() and file.is_file():
        ids = ids_in(file, "item", model)
    known = is_known(ids, "item", model)
    unknown = [item for item, right in zip(ids, known, strict=True) if not right]
    if len(unknown) == len(ids):
        expected = "ids of the model's items, or a file of them"
        raise ValueError(f"--items must be {expected} (got {named(unknown)})")
    if unknown:
        remark(
            f"{len(unknown)} of {len(ids)} items are not known, and left out: {some_of(unknown)}"
        )
    return [item for item, right in zip(ids, known, strict=True) if right]


def ids_in(path: Path, kind: str, model: TrainedModel) -> list[str]:
    """The ids in a file: one per line, or in a column called as in the training data.

    The first line is a header also where it is no id of the model and most of the others are.

    Args:
        path: CSV, TSV, parquet or other text.
        kind: What they are ids of, `'user'` or `'item'`; also a name of their column.
        model: Whose users and items they are.

    Raises:
        ValueError: If it holds no id, has several columns and none of these names, or cannot be
            read.
    """
    from pyg_negsamp.datasets.catalogue import text_fields
    from pyg_negsamp.datasets.columns import Writing
    from pyg_negsamp.datasets.ids import one_kind
    from pyg_negsamp.datasets.parquet import read_parquet
    from pyg_negsamp.datasets.sources import inner_suffix
    from pyg_negsamp.datasets.text_tables import check_one_line
    from pyg_negsamp.errors import ArgumentError

    names = [name for name in (model.config.get(f"{kind}_column"), kind) if isinstance(name, str)]
    if inner_suffix(path) == ".parquet":
        found = read_parquet(path, lambda there: [_column(there, names, path)]).iloc[:, 0]
        blank = found.isna()
        ids = one_kind(found[~blank]).astype(str).str.strip().reindex(found.index, fill_value="")
    else:
        try:
            fields = text_fields(path, Writing())
        except ArgumentError as error:
            if error.argument != "encoding":
                raise
            line = error.complaint.partition("but ")[2].removesuffix(")")
            expected = "text in UTF-8, or in UTF-16 with its mark"
            raise ValueError(f"{path} must be {expected} (got {line})") from None
        ids = _text_ids(fields, names, path, kind, model)
        check_one_line(ids, lambda row: str(path))
    blank = ids == ""
    if blank.any():
        remark(f"{path}: {blank.sum()} rows without {kind}, left out")
    if blank.all():
        raise ValueError(f"{path} must name at least one {kind} (got none)")
    return ids[~blank].tolist()


def _column(there: list[str], names: list[str], path: Path) -> str:
    """The first of the names that is a column, or the only column."""
    for name in names:
        if name in there:
            return name
    if len(there) > 1:
        expected = " or ".join(repr(name) for name in dict.fromkeys(names))
        raise ValueError(f"{path} must have a column {expected}, or a single one (got {there})")
    return there[0]


def _text_ids(
    fields: pd.DataFrame, names: list[str], path: Path, kind: str, model: TrainedModel
) -> pd.Series:
    if fields.empty:
        return pd.Series([], dtype=str)
    header = fields.iloc[0].tolist()
    for name in names:
        if name in header:
            return fields[header.index(name)].iloc[1:]
    if len(header) > 1:
        expected = " or ".join(repr(name) for name in dict.fromkeys(names))
        raise ValueError(f"{path} must have a column {expected}, or one id per line (got {header})")
    ids = fields[0]
    known = is_known(ids.tolist(), kind, model)
    if len(ids) > 1 and not known.iloc[0] and known.iloc[1:].mean() > 0.5:
        remark(f"{path}: the first line, {header[0]!r}, is taken for a header")
        return ids.iloc[1:]
    return ids


def is_known(ids: Sequence[str], kind: str, model: TrainedModel) -> pd.Series:
    """Which ids are some of the model's."""
    index = model.users if kind == "user" else model.items
    return pd.Series(list(ids), dtype=str).isin(index.astype(str))
