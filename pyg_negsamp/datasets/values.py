"""Columns of numbers: ratings, weights, and times that are numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.errors import invalid

NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")


def kind_of(column: pd.Series) -> str:
    """What a column holds: `"string"`, one of `NUMBERS`, or another name that pandas has."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories)
    return str(pd.api.types.infer_dtype(column, skipna=False))


def numbers(
    column: pd.Series,
    role: str,
    decimal: str = ".",
    expected: str = "a column of numbers",
    place: Callable[[int], str] = lambda row: f"data row {row + 1}",
) -> np.ndarray:
    """A column as finite numbers.

    Args:
        column: Numbers of any type, or text that is written as numbers.
        role: What they are, for errors.
        decimal: Mark before the fraction in text.
        expected: What errors ask for.
        place: From a row, counted from zero, to what errors call it.

    Returns:
        `[E]` int64 if all are whole numbers by type, else float64.

    Raises:
        ValueError: If a value is no number, not finite, or too large.
    """
    kind = kind_of(column)
    if kind == "string":
        return _written(column.astype(str).str.strip(), role, decimal, expected, place)
    if kind not in NUMBERS and len(column):
        raise invalid(OWNER, role, expected, f"{kind} in {column.name!r}")
    if kind == "integer":
        return _whole(column, role)
    values = column.to_numpy().astype(np.float64)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        came = f"{values[row]} in {column.name!r}, {place(row)}"
        raise invalid(OWNER, role, f"{expected}, all finite", came)
    return values


def positive_weights(column: pd.Series, decimal: str = ".") -> Tensor:
    """`[E]` float32: a column of weights, all finite and above zero."""
    values = numbers(column, "weight", decimal).astype(np.float64)
    with np.errstate(over="ignore"):
        weights = values.astype(np.float32)
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        expected = "a column of finite numbers above zero (float32)"
        raise invalid(OWNER, "weight", expected, f"{values[bad][0]} in {column.name!r}")
    return torch.from_numpy(weights)


def _whole(column: pd.Series, role: str) -> np.ndarray:
    values = column.to_numpy()
    try:
        whole = values.astype(np.int64)
    except OverflowError:
        whole = None
    if whole is None or (values.dtype == np.uint64 and (whole < 0).any()):
        expected = "a column of numbers that fit 64 bits"
        raise invalid(OWNER, role, expected, f"{max(values)} in {column.name!r}")
    return whole


def _written(
    text: pd.Series, role: str, decimal: str, expected: str, place: Callable[[int], str]
) -> np.ndarray:
    plain = text
    if decimal == ",":  # a point would be read as a mark that it is not
        plain = text.str.replace(".", "?", regex=False).str.replace(",", ".", regex=False)
    if plain.str.fullmatch(r"-?\d{1,18}").all():
        return plain.astype("int64").to_numpy()  # faster
    values = pd.to_numeric(plain, errors="coerce")
    bad = ~np.isfinite(values.to_numpy().astype(np.float64))
    if bad.any():
        row = int(bad.argmax())
        first = text.iloc[row]
        if decimal == "." and pd.Series([first]).str.fullmatch(r"[+-]?\d*,\d+").item():
            expected += " (decimal=',' reads a decimal comma)"
        came = f"{describe(first)} in {text.name!r}, {place(row)}"
        raise invalid(OWNER, role, expected, came)
    if pd.api.types.is_integer_dtype(values):
        return _whole(values, role)
    return values.to_numpy().astype(np.float64)
