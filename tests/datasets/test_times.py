"""Times: numbers as they are, dates as seconds since 1970, and everything else refused."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_negsamp.datasets import InteractionDataset, LeaveOneOut, TemporalSplit
from pyg_negsamp.graph import EDGE_TYPE

LAST = LeaveOneOut(num_val=0)


def with_times(times: Any, **options: Any) -> torch.Tensor:
    """The times `[E]` of a user's links, in the order given."""
    frame = pd.DataFrame({"user": 0, "item": range(len(times)), "at": times})
    dataset = InteractionDataset.from_frame(frame, time="at", split=LAST, **options)
    return dataset.interactions[EDGE_TYPE].time


@pytest.mark.parametrize(
    "times",
    [
        pd.Series([3, 1, 2], dtype=object),
        pd.Series([3, 1, 2], dtype="Int64"),
        pd.Series([3, 1, 2], dtype="uint64"),
        pd.Series([3, 1, 2], dtype="int8"),
        pd.Series(["3", "1", "2"], dtype=object),
        pd.Series(["3", "1", " 2"], dtype="category"),
    ],
    ids=lambda times: str(times.dtype),
)
def test_whole_numbers_of_any_type(times: pd.Series) -> None:
    time = with_times(times)
    assert time.dtype == torch.int64
    assert time.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    "times",
    [
        pd.Series([3, 1.5], dtype=object),
        pd.Series([3, 1.5], dtype="float32"),
        pd.Series([3, 1.5], dtype="Float64"),
        pd.Series([decimal.Decimal(3), decimal.Decimal("1.5")]),
        pd.Series(["3", "1.5"]),
    ],
)
def test_fractions_of_any_type(times: pd.Series) -> None:
    time = with_times(times)
    assert time.dtype == torch.float64
    assert time.tolist() == [3, 1.5]


@pytest.mark.parametrize(
    "times",
    [
        pd.Series([2**63, 1], dtype="uint64"),
        pd.Series([10**20, 1], dtype=object),
        pd.Series([str(2**63), "1"]),
        pd.Series([1.0, np.inf]),
        pd.Series(["1", "inf"]),
        pd.Series(["inf", "1"]),
        pd.Series([True, False]),
        pd.Series([True, 2], dtype=object),
        pd.Series([1j, 2j]),
        pd.Series([pd.Timedelta(1, "s"), pd.Timedelta(2, "s")]),
        pd.Series([pd.Timestamp(0), 2], dtype=object),
        pd.Series([[1], [2]]),
        pd.Series(["now", "today"]),
        pd.Series(["10:30", "11:30"]),
        pd.Series(["2020-01-01", "5"]),
        pd.Series(["5", "2020-01-01"]),
        pd.Series(["2020-01-01", "NaT"]),
        pd.Series(["2020-13-01", "2020-01-01"]),
        pd.Series(["01/02/03", "13/02/03"]),
    ],
    ids=lambda times: str(times.tolist()),
)
def test_what_is_no_time_is_refused(times: pd.Series) -> None:
    with pytest.raises(
        ValueError, match=r"^InteractionDataset: 'time' must be a column of numbers"
    ):
        with_times(times)


@pytest.mark.parametrize(
    "times",
    [
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
        [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)],
        np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
        ["2020-01-01", "2020-01-02T00:00:00Z"],
        ["2020/01/01", "2020/01/02 00:00"],
        ["1 Jan 2020", "2 Jan 2020"],
        ["2020-01-01T02:00:00+02:00", "2020-01-02T00:00:00+00:00"],
        pd.Series(["2020-01-01", "2020-01-02"], dtype="category"),
    ],
    ids=str,
)
def test_dates_of_any_type_are_seconds(times: Any) -> None:
    assert with_times(times).tolist() == [1577836800, 1577923200]


@pytest.mark.parametrize("times", [[20200101, 20200102], ["20200101", "20200102"]])
def test_compact_dates_are_numbers_unless_a_format_is_stated(times: Any) -> None:
    assert with_times(times).tolist() == [20200101, 20200102]
    assert with_times(times, date_format="%Y%m%d").tolist() == [1577836800, 1577923200]


def test_far_and_early_dates() -> None:
    dates = ["1905-03-01", "2250-01-01", "1969-12-31T23:59:59.25"]
    expected = [(pd.Timestamp(date) - pd.Timestamp(0)).total_seconds() for date in dates]
    assert with_times(dates).tolist() == expected


def test_microseconds_are_told_apart() -> None:
    times = [f"2038-01-01T00:00:00.{k:06d}" for k in (7, 5, 6)]
    assert with_times(times).argsort().tolist() == [1, 2, 0]


def test_date_format_is_for_dates_in_text() -> None:
    with pytest.raises(ValueError, match="'date_format' must be None, because column 'at'"):
        with_times(pd.to_datetime(["2020-01-01", "2020-01-02"]), date_format="%Y")
    with pytest.raises(ValueError, match=r"'date_format' .*such as '%d/%m/%Y'.*'mixed'"):
        with_times(["1/1/2020", "2/1/2020"], date_format="mixed")
    frame = pd.DataFrame({"user": [0, 0], "item": [0, 1]})
    with pytest.raises(ValueError, match="'date_format' must be used together with a 'time'"):
        InteractionDataset.from_frame(frame, date_format="%Y")


# Moments --------------------------------------------------------------------------------------


def dated(tmp_path: Path, split: Any) -> InteractionDataset:
    rows = [f"{user},{day},2000-09-{day:02d}\n" for user in range(3) for day in range(1, 11)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "".join(rows))
    return InteractionDataset.from_files(tmp_path / "log.csv", time="time", split=split)


@pytest.mark.parametrize(
    ("val", "test"),
    [
        ("2000-09-07", "2000-09-09"),
        ("2000-09-07T00:00:00Z", "2000-09-09T02:00:00+02:00"),
        (pd.Timestamp("2000-09-07"), datetime.date(2000, 9, 9)),
        (np.datetime64("2000-09-07"), datetime.datetime(2000, 9, 9)),
        (968284800, "2000-09-09"),
        (968284800, np.float64(968457600)),
    ],
)
def test_moments_may_be_dates(tmp_path: Path, val: Any, test: Any) -> None:
    dataset = dated(tmp_path, TemporalSplit(val, test))
    items = [sorted(set(dataset.to_frame(part).item)) for part in ("train", "val", "test")]
    assert items == [[1, 2, 3, 4, 5, 6], [7, 8], [9, 10]]


def test_moments_out_of_range_are_shown_as_dates(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2001-01-01.*from 2000-09-01T00:00:00 to 2000-09-10"):
        dated(tmp_path, TemporalSplit("2000-09-05", "2001-01-01"))


def test_dates_as_moments_need_dates_as_times() -> None:
    frame = pd.DataFrame({"user": 0, "item": range(9), "at": range(9)})
    with pytest.raises(ValueError, match=r"'val_time' must be a number.*968284800.*'2000-09-07'"):
        InteractionDataset.from_frame(
            frame, time="at", split=TemporalSplit("2000-09-07", "2000-09-08")
        )


@pytest.mark.parametrize(
    "moment", [None, "soon", "03/04/2020", "2020-02-30", True, 1j, float("nan"), pd.NaT, [1]]
)
def test_other_things_are_no_moments(moment: Any) -> None:
    with pytest.raises(ValueError, match="TemporalSplit: 'test_time' must be a number, or a date"):
        TemporalSplit(0, moment)
    with pytest.raises(ValueError, match="TemporalSplit: 'val_time' must be at most test_time"):
        TemporalSplit("2020-01-02", "2020-01-01")


def test_shares_become_moments(tmp_path: Path) -> None:
    split = TemporalSplit.by_share(val_ratio=0.2, test_ratio=0.3)
    dataset = dated(tmp_path, split)
    items = [sorted(set(dataset.to_frame(part).item)) for part in ("train", "val", "test")]
    assert items == [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10]]
    moments = split.moments(dataset.interactions)
    same = dated(tmp_path, TemporalSplit(*moments))
    assert same.to_frame("val").equals(dataset.to_frame("val"))
    nearest = dated(tmp_path, TemporalSplit.by_share(0.0, 0.26))
    assert (nearest.summary()["val_links"], nearest.summary()["test_links"]) == (0, 9)
    for ratios in ((0.5, 0.5), (0.1, 1.0), (-1, 0.2), ("a", 0.2)):
        with pytest.raises(ValueError, match=r"TemporalSplit: 'val_ratio|TemporalSplit: 'test_r"):
            TemporalSplit.by_share(*ratios)


def test_shares_of_equal_times_leave_nothing_to_train_on() -> None:
    frame = pd.DataFrame({"user": 0, "item": range(9), "at": 5})
    with pytest.raises(ValueError, match="moments that leave links to train"):
        InteractionDataset.from_frame(frame, time="at", split=TemporalSplit.by_share())


@pytest.mark.parametrize("day", ["Thu 01/10/2020", "Thursday 10-01-2020"])
def test_a_day_of_the_week_is_no_month(day: str) -> None:
    """It does not tell 1 October from 10 January."""
    with pytest.raises(ValueError, match=r"'time' must be .*state date_format="):
        with_times([day, day])
    assert with_times(["Thu 1 Oct 2020"] * 2).tolist() == [1601510400] * 2


@pytest.mark.parametrize("other", ["1 May 2020 20:00 UTC", "Fri May 1 2020 22:00:00 GMT+0200"])
def test_zones_with_their_distance_from_greenwich(other: str) -> None:
    """Whatever stands beside them; of `GMT+2`, a library's reading has the sign turned over."""
    eight = 1588363200
    browser = "Fri May 01 2020 22:00:00 GMT+0200 (Central European Summer Time)"
    for text in (browser, "1 May 2020 22:00 UTC+2", "May 1, 2020 22:00:00 +0200"):
        for column in ([text, other], [other, text]):
            assert with_times(column).tolist() == [eight, eight]


@pytest.mark.parametrize("form", ["%d-%B-%Y", "%B %d %Y %I:%M %p"])
def test_may_is_long_and_short(form: str) -> None:
    """The first date does not tell which names are written."""
    days = pd.date_range("2020-05-01", periods=4, freq="40D")
    for written in (form, form.replace("%B", "%b")):
        found = with_times(days.strftime(written).tolist())
        assert found.diff().tolist() == [40 * 86400] * 3
