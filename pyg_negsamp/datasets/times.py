"""Times of any kind as one number per link: numbers as they are, dates as seconds since 1970."""

from __future__ import annotations

import contextlib
import datetime
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets.checks import describe, is_number
from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.datasets.values import NUMBERS, kind_of, numbers
from pyg_negsamp.errors import invalid

DATES = ("datetime64", "datetime", "date")
EXPECTED = "a column of numbers or dates"
YEAR_FIRST = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}(?:\D.*)?|\d{8}T.*"
YEAR_LAST = r"(\d{1,2})([/.\-])(\d{1,2})\2(\d{4})(\D.*)?"
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
#: How far a zone is from Greenwich, as browsers write it. With the name before it, its sign
#: would be turned over.
FROM_GREENWICH = r"\b(?:GMT|UTC)(?=[+-]\d)([+-][\d:]+)(?:\s*\([^()]*\))?"
IN_WORDS = rf"(?i:(?=.*(?:{MONTHS}))(?=.*\d{{4}}).*)"  # 1 May 2020
NUMBER = r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity|nan)"


def times(
    column: pd.Series, decimal: str = ".", date_format: str | None = None
) -> tuple[Tensor, bool]:
    """A column of times as numbers that grow with time.

    Dates become seconds since 1970 (UTC): whole ones int64, with fractions float64, which is
    exact to the microsecond. Dates without a zone are taken as UTC.

    Args:
        column: Numbers, dates, or text that is one of both.
        decimal: Mark before the fraction of numbers in text.
        date_format: Format of dates in text. Default: ISO 8601; or day and month before a year
            of four digits, where one value tells which is which for the whole column; or
            dates with the name of the month.

    Returns:
        Times `[E]`, int64 or float64, and whether they were dates.

    Raises:
        ValueError: If a value is neither, or the dates can be read in two ways.
    """
    kind = kind_of(column)
    if kind in DATES:
        if date_format is not None:
            expected = f"None, because column {column.name!r} holds dates, not text"
            raise invalid(OWNER, "date_format", expected, repr(date_format))
        return _seconds(_to_datetime(column)), True
    if kind not in (*NUMBERS, "string") and len(column):
        raise invalid(OWNER, "time", EXPECTED, f"{kind} in {column.name!r}")
    if date_format is None and not (kind == "string" and _is_date(column)):
        return torch.tensor(numbers(column, "time", decimal, EXPECTED)), False
    # Each distinct value once, as there are few in a log with dates by the day.
    position, distinct = pd.factorize(column.astype(str).str.strip())
    written = pd.Series(distinct, name=column.name).astype(str)
    return _seconds(_read_dates(written, date_format))[torch.from_numpy(position)], True


def moment(owner: object, name: str, value: Any) -> tuple[float, bool]:
    """A moment that somebody states: a number as it is, a date as seconds since 1970 (UTC).

    Args:
        owner: Who asks.
        name: Name of the argument.
        value: A number; or a date: ISO text such as `'2000-09-01'`, a pandas Timestamp, or a
            datetime.

    Returns:
        The number, and whether it was a date.
    """
    if isinstance(value, np.datetime64 | datetime.date):
        value = pd.Timestamp(value)
    elif isinstance(value, str) and re.fullmatch(YEAR_FIRST, value.strip()):
        with contextlib.suppress(ValueError):
            value = pd.Timestamp(value.strip())
    elif is_number(value):
        return (value.item() if isinstance(value, np.generic) else value), False
    if not isinstance(value, pd.Timestamp) or value is pd.NaT:
        expected = "a number, or a date such as '2000-09-01' or a pandas Timestamp"
        raise invalid(owner, name, expected, describe(value))
    return _seconds(_to_datetime(pd.Series([value]))).item(), True


def to_dates(time: Tensor) -> np.ndarray:
    """Seconds since 1970 `[E]` as dates `[E]`: datetime64 of seconds, or of microseconds."""
    if not time.is_floating_point():
        return time.numpy().astype("datetime64[s]")
    return (time.numpy() * 1e6).round().astype(np.int64).astype("datetime64[us]")


def _is_date(column: pd.Series) -> bool:
    """Whether the first value of a text column is no number."""
    first = str(column.iloc[0]).strip() if len(column) else ""
    return re.fullmatch(NUMBER, first, re.IGNORECASE) is None


def _read_dates(text: pd.Series, date_format: str | None) -> pd.Series:
    """Distinct dates in text, as moments in UTC; one reading for all of them."""
    if date_format is not None:
        return _to_datetime(text, date_format)
    if text.str.fullmatch(YEAR_FIRST).all():
        return _to_datetime(text, "ISO8601")
    day_or_month = text.str.extract(f"^(?:{YEAR_LAST})$")
    if day_or_month[0].notna().all():
        return _to_datetime(_year_first(day_or_month, text), "ISO8601")
    if text.str.fullmatch(IN_WORDS).all():
        return _in_words(text)
    odd = ~text.str.fullmatch(f"{YEAR_FIRST}|{IN_WORDS}").to_numpy(dtype=bool)
    odd &= day_or_month[0].isna().to_numpy()
    which = text[odd].iloc[0] if odd.any() else text.iloc[0]
    expected = f"{EXPECTED}, all written alike (if they are, state date_format=)"
    raise invalid(OWNER, "time", expected, f"{describe(which)} in {text.name!r}")


def _year_first(parts: pd.DataFrame, text: pd.Series) -> pd.Series:
    """Dates with the year last, such as 25/03/2020, in ISO order."""
    first, second = parts[0].astype(int), parts[2].astype(int)
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first == month_first and not (first == second).all():
        expected = "stated, such as '%d/%m/%Y' or '%m/%d/%Y', because "
        if day_first:
            expected += f"the dates in {text.name!r} are not all in one order"
            examples = [text[first > 12].iloc[0], text[second > 12].iloc[0]]
        else:
            expected += f"no date in {text.name!r} tells the day from the month"
            examples = [text[first != second].iloc[0]]
        raise invalid(OWNER, "date_format", expected, f"None, for {' and '.join(examples)}")
    day, month = (parts[2], parts[0]) if month_first else (parts[0], parts[2])
    iso = parts[3] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + parts[4].fillna("")
    return pd.Series(iso, name=text.name)


def _in_words(text: pd.Series) -> pd.Series:
    """Dates with the name of the month, also where May leaves open whether names are short."""
    text = text.str.replace(FROM_GREENWICH, r"\1", regex=True)
    try:
        return _to_datetime(text)
    except ValueError:  # pandas takes the form of the first one for that of all
        return _to_datetime(text, "mixed")


def _to_datetime(dates: pd.Series, date_format: str | None = None) -> pd.Series:
    stated = date_format is not None and "%" in date_format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it goes value by value
            moments = pd.to_datetime(dates, format=date_format, utc=True)
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).split(". You might", 1)[0].splitlines()[0]
        if stated:
            expected = f"the format of all dates in {dates.name!r}"
            raise invalid(OWNER, "date_format", expected, f"{date_format!r}; {reason}") from error
        raise invalid(OWNER, "time", f"{EXPECTED}, or date_format= stated", reason) from error
    if moments.isna().any():
        which = dates[moments.isna()].iloc[0]
        raise invalid(OWNER, "time", EXPECTED, f"{describe(which)} in {dates.name!r}")
    return moments


def _seconds(moments: pd.Series) -> Tensor:
    """Moments in UTC as seconds since 1970 `[E]`: int64 if all are whole, else float64."""
    exact = moments.dt.tz_convert(None).to_numpy()
    whole = exact.astype("datetime64[s]")
    fraction = (exact - whole) / np.timedelta64(1, "s")
    seconds = torch.from_numpy(whole.astype(np.int64))
    return seconds + torch.from_numpy(fraction) if fraction.any() else seconds
