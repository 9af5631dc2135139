"""Ids as they come, of one kind per column: whole numbers, or text, or what a frame holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.datasets.text_tables import WHOLE
from pyg_negsamp.errors import invalid

SURE_DIGITS = 18  # of a number that fits int64 whatever it is


def require_one_kind(parts: Sequence[pd.Series], role: str, source: str) -> None:
    """Raises `ValueError` if the ids of one file are numbers and those of another are text."""
    shares = []
    for part in parts:
        if len(part):
            text = not pd.api.types.is_numeric_dtype(part)
            shares.append(part.str.fullmatch(WHOLE).mean() if text and _is_text(part) else not text)
    if 0 in shares and 1 in shares:
        expected = f"a column of one kind of ids in all of {source}"
        raise invalid(OWNER, role, expected, "numbers in one and text in another")


def whole_numbers(ids: pd.Series) -> pd.Series:
    """Text ids as int64 if all of them are whole numbers that fit, else as they are."""
    if not ids.str.fullmatch(WHOLE).to_numpy(dtype=bool).all():
        return ids
    if ids.str.len().max() <= SURE_DIGITS:
        return ids.astype("int64")  # faster
    numbers = pd.to_numeric(ids, errors="coerce")
    return numbers if numbers.dtype == np.int64 else ids


def one_kind(ids: pd.Series) -> pd.Series:
    """Ids of a frame; all as text if some are text and some are numbers.

    Fractions that are whole, as a column becomes by a missing value, are whole numbers; bytes are
    text in UTF-8; categories are what they are of.

    Raises:
        ValueError: If bytes are not UTF-8.
    """
    if isinstance(ids.dtype, pd.CategoricalDtype):
        ids = ids.astype(object if ids.hasnans else ids.cat.categories.dtype)
    if pd.api.types.is_float_dtype(ids.dtype):
        whole = ids.notna() & (ids % 1 == 0) & (ids.abs() < 2**53)
        return ids.astype("int64") if bool(whole.all()) else ids
    if ids.dtype != object:
        return ids
    found = pd.api.types.infer_dtype(ids, skipna=True)
    if found == "floating":
        return one_kind(ids.astype("float64"))
    if found == "bytes":
        try:
            return ids.map(lambda value: value.decode() if isinstance(value, bytes) else value)
        except UnicodeDecodeError as error:
            raise invalid(
                OWNER, str(ids.name), "text in UTF-8, where ids are bytes", error
            ) from None
    kind = pd.api.types.infer_dtype(ids, skipna=False)
    if not kind.startswith("mixed"):
        return ids
    text = ids.map(lambda value: isinstance(value, str))
    number = ids.map(lambda value: isinstance(value, int | float | np.number))
    return ids.astype(str) if text.any() and (text | number).all() else ids


def without_blanks(ids: pd.Series) -> pd.Series:
    """Text ids without the blanks around them, which databases fill columns up with."""
    return ids.str.strip() if _is_text(ids) else ids


def of_kind(listed: pd.Series, ids: pd.Series, role: str, source: str) -> pd.Series:
    """The ids of a catalogue in the kind of those in the log.

    Args:
        listed: Ids of the catalogue, text or of any other kind.
        ids: Ids of the log.
        role: Whose ids they are.
        source: What to call the catalogue in errors.

    Raises:
        ValueError: If the ids of the log are numbers and one of the catalogue's is none.
    """
    if not pd.api.types.is_numeric_dtype(ids):
        return listed.astype(str) if _is_text(ids) else listed
    if not pd.api.types.is_numeric_dtype(listed):
        number = listed.astype(str).str.fullmatch(WHOLE).to_numpy(dtype=bool)
        if not number.all():
            other = listed[~number].iloc[0]
            raise invalid(OWNER, source, f"whole numbers, as the {role} ids are", repr(other))
        listed = pd.to_numeric(listed.astype(str))
    return listed


def numbered(ids: pd.Series, role: str) -> tuple[np.ndarray, pd.Index]:
    """The position `[E]` of every id among the sorted distinct ones, and these `[N]`."""
    try:
        position, distinct = pd.factorize(ids, sort=True)
    except TypeError as error:
        expected = "a column of ids that can be told apart and sorted"
        raise invalid(OWNER, role, expected, f"{error} in {ids.name!r}") from error
    return position, pd.Index(distinct)


def is_missing(ids: pd.Series) -> np.ndarray:
    """`[E]` bool: rows without a value, or with one of blanks only."""
    missing = ids.isna().to_numpy(dtype=bool)
    if _is_text(ids):
        return missing | (ids.str.strip() == "").fillna(False).to_numpy(dtype=bool)
    if ids.dtype == object:
        blank = ids.map(lambda value: isinstance(value, str) and not value.strip())
        return missing | blank.to_numpy(dtype=bool)
    return missing


def same_number(ids: pd.Index | None) -> int:
    """How many text ids are the same number as another one: 3 for `1`, `01`, `1.0` and `x`."""
    if ids is None or not _is_text(ids):
        return 0
    parts = pd.Series(ids).astype(str).str.extract(r"^(-?)\+?0*(\d+)(?:\.0*)?$").dropna()
    return int(parts.duplicated(keep=False).sum())


def _is_text(ids: pd.Series | pd.Index) -> bool:
    return pd.api.types.infer_dtype(ids, skipna=True) == "string"
