"""Tables of interactions with any ids: text, parquet and pandas frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets.catalogue import Listed, categories, listed_items
from pyg_negsamp.datasets.columns import Catalogue, Columns, Writing, check_columns
from pyg_negsamp.datasets.ids import (
    is_missing,
    numbered,
    of_kind,
    one_kind,
    require_one_kind,
    whole_numbers,
    without_blanks,
)
from pyg_negsamp.datasets.log import OWNER, InteractionLog, require_links, split_column
from pyg_negsamp.datasets.parquet import read_parquet
from pyg_negsamp.datasets.text_tables import REMEDY, read_text_table
from pyg_negsamp.datasets.times import times
from pyg_negsamp.datasets.values import numbers, positive_weights
from pyg_negsamp.errors import invalid


def read_table(path: Path, format: str, columns: Columns, writing: Writing) -> pd.DataFrame:
    """Reads the wanted columns of a table file; those of text as they are written.

    Args:
        path: The file, compressed or not.
        format: `"pairs"`, `"csv"`, `"tsv"` or `"parquet"`.
        columns: Names or positions of the columns.
        writing: How text is written.

    Raises:
        ValueError: If the file is no such table or lacks a column or a value.
    """
    if format != "parquet":
        return read_text_table(path, format, columns, writing)

    def wanted(names: list[str]) -> list[str]:
        check_columns(columns, names, str(path))
        return [str(name) for name in columns.given().values()]

    frame = read_parquet(path, wanted)
    _check_complete(frame, columns, str(path))
    for name in (columns.user, columns.item):
        frame[name] = without_blanks(one_kind(frame[name]))
    return frame


def read_tables_log(
    parts: Mapping[int, Path],
    format: str,
    columns: Columns,
    writing: Writing,
    min_rating: float | None = None,
    catalogue: Catalogue | None = None,
) -> InteractionLog:
    """Reads table files as one log, see `read_table` and `log_from_frame`.

    Args:
        parts: File of each part: 0 train, 1 validation, 2 test; or one undivided log.
        format: Format of all files.
        columns: Names or positions of the columns.
        writing: How text is written.
        min_rating: Lowest rating that counts as an interaction.
        catalogue: Lists items.
    """
    frames = {part: read_table(path, format, columns, writing) for part, path in parts.items()}
    split = split_column({part: len(frame) for part, frame in frames.items()})
    source = ", ".join(map(str, parts.values()))
    frame = pd.concat(frames.values(), ignore_index=True)
    listed = None
    if catalogue is not None:
        listed = listed_items(catalogue, columns, writing, frame[columns.item])
    for role in ("user", "item"):
        name = getattr(columns, role)
        ids = [part[name] for part in frames.values()]
        if role == "item" and listed is not None and format != "parquet":
            # A catalogue may show that ids are text where those of the log look like numbers.
            ids.append(listed.ids)
        require_one_kind(ids, role, source)
        if format != "parquet":
            ids_of_all = whole_numbers(pd.concat(ids, ignore_index=True))
            frame[name] = ids_of_all.iloc[: len(frame)]
    return log_from_frame(frame, columns, writing, min_rating, source, split, listed)


def log_from_frame(
    frame: pd.DataFrame,
    columns: Columns,
    writing: Writing,
    min_rating: float | None = None,
    source: str = "frame",
    split: Tensor | None = None,
    listed: Listed | None = None,
) -> InteractionLog:
    """Turns a table with arbitrary ids into a log with ids from zero, in sorted order.

    Args:
        frame: One row per interaction.
        columns: Names of the columns.
        writing: How numbers and dates in text are written.
        min_rating: Rows rated lower are no interactions.
        source: What to call the table in errors.
        split: `[rows]` part of every row, or `None`.
        listed: The items of a catalogue, or `None`.

    Raises:
        ValueError: If a column is missing, has missing or unusable values or two roles, if
            `min_rating` is given without a rating column, or if no row is left.
    """
    check_columns(columns, frame.columns, source)
    _check_complete(frame, columns, source)
    if min_rating is not None:
        if columns.rating is None:
            raise invalid(OWNER, "min_rating", "used together with a 'rating' column", min_rating)
        rating = numbers(frame[columns.rating], "rating", writing.decimal)
        kept = rating >= min_rating
        if len(frame) and not kept.any():
            expected = f"at most {rating.max():g}, the best rating, or no interaction is left"
            raise invalid(OWNER, "min_rating", expected, min_rating)
        frame = frame[kept]
        split = None if split is None else split[torch.from_numpy(kept)]
    require_links(len(frame), [source])
    user, user_ids = numbered(one_kind(frame[columns.user]), "user")
    items = one_kind(frame[columns.item])
    if listed is not None:
        ids = of_kind(listed.ids, items, "item", "items_file")
        items = pd.concat([items, ids], ignore_index=True)
    item, item_ids = numbered(items, "item")
    in_catalogue = category = None
    if listed is not None:
        of_catalogue = item[len(frame) :]
        in_catalogue = torch.zeros(len(item_ids), dtype=torch.bool)
        in_catalogue[torch.from_numpy(of_catalogue)] = True
        category = categories(listed, of_catalogue, len(item_ids))
    log = InteractionLog(
        user=torch.from_numpy(user).long(),
        item=torch.from_numpy(item[: len(frame)]).long(),
        num_users=len(user_ids),
        num_items=len(item_ids),
        split=split,
        user_ids=user_ids,
        item_ids=item_ids,
        listed=in_catalogue,
        category=category,
    )
    if columns.time is not None:
        time, is_date = times(frame[columns.time], writing.decimal, writing.date_format)
        log = log._replace(time=time, time_is_date=is_date)
    if columns.rating is not None:
        rating = numbers(frame[columns.rating], "rating", writing.decimal)
        log = log._replace(rating=torch.tensor(rating, dtype=torch.float64))
    if columns.weight is not None:
        log = log._replace(weight=positive_weights(frame[columns.weight], writing.decimal))
    return log


def _check_complete(frame: pd.DataFrame, columns: Columns, source: str) -> None:
    """Refuses a frame with missing values: one error for all columns, with the first rows."""
    missing = {role: is_missing(frame[name]) for role, name in columns.given().items()}
    roles = [role for role, rows in missing.items() if rows.any()]
    if roles:
        found = [
            f"{missing[role].sum()} missing in column {getattr(columns, role)!r} of {source}, "
            f"the first in data row {missing[role].argmax() + 1}"
            for role in roles
        ]
        expected = f"a column without missing values ({REMEDY})"
        raise invalid(OWNER, ", ".join(roles), expected, "; ".join(found))
