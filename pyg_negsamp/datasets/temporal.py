"""The split at two moments that are the same for all users."""

from __future__ import annotations

import datetime
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.datasets.log import TEST, TRAIN
from pyg_negsamp.datasets.split_base import (
    LEFT_OUT,
    InteractionSplit,
    check_ratios,
    distinct_pairs,
    first_time,
)
from pyg_negsamp.datasets.times import moment, to_dates
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE

Moment: TypeAlias = float | str | pd.Timestamp | datetime.date


class TemporalSplit(InteractionSplit):
    """Divides at two moments: train before `val_time`, test from `test_time` on.

    The first time of a pair decides; later repeats of it are left out unless they fall into
    training as well, so that nothing after `val_time` is trained on: also where a model is
    trained on validation links, too.

    Where times come from dates, a moment is a date, such as `TemporalSplit("2000-09-01",
    "2000-12-01")`, or seconds since 1970 (UTC). Where they are numbers, it is a number of the
    same unit.

    Args:
        val_time: First moment of validation: a number, ISO text, or a pandas Timestamp.
        test_time: First moment of test.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If a moment is none, or `val_time` is later than `test_time`.
    """

    _ratios: tuple[float, float] | None = None

    def __init__(
        self, val_time: Moment, test_time: Moment, edge_type: EdgeType = EDGE_TYPE
    ) -> None:
        super().__init__(edge_type)
        self.val_time, val_is_date = moment(self, "val_time", val_time)
        self.test_time, test_is_date = moment(self, "test_time", test_time)
        if not self.val_time <= self.test_time:
            expected = f"at most test_time = {describe(test_time)}"
            raise invalid(self, "val_time", expected, describe(val_time))
        self._dates = [
            (name, value)
            for name, value, is_date in (
                ("val_time", val_time, val_is_date),
                ("test_time", test_time, test_is_date),
            )
            if is_date
        ]

    @classmethod
    def by_share(
        cls, val_ratio: float = 0.1, test_ratio: float = 0.2, edge_type: EdgeType = EDGE_TYPE
    ) -> TemporalSplit:
        """The split at the two moments that hold out these shares of all links.

        The moments are found in the data, see `moments`. Links of one moment stay together,
        so the shares are as near as times allow.

        Args:
            val_ratio: Share of all links for validation, in `[0, 1)`.
            test_ratio: Share for test, in `(0, 1)`.
            edge_type: Edge type to divide.
        """
        split = cls(0, 0, edge_type)
        check_ratios(split, val_ratio, test_ratio)
        split._ratios = (val_ratio, test_ratio)
        return split

    def moments(self, data: HeteroData) -> tuple[float, float]:
        """The first moments of validation and of test, as numbers of the unit of `time`.

        Args:
            data: Interactions with `time`.
        """
        if self._ratios is None:
            return self.val_time, self.test_time
        _, pair = distinct_pairs(data[self.edge_type].edge_index)
        time = first_time(self.field(data, "time"), pair).numpy()
        distinct, counts = np.unique(time, return_counts=True)
        from_here_on = counts[::-1].cumsum()[::-1]  # [T] links at this moment or later
        val_ratio, test_ratio = self._ratios
        at_test = int(np.abs(from_here_on - time.size * test_ratio).argmin())
        wanted = from_here_on[at_test] + time.size * val_ratio
        at_val = int(np.abs(from_here_on[: at_test + 1] - wanted).argmin())
        return distinct[at_val].item(), distinct[at_test].item()

    def assign(self, data: HeteroData) -> Tensor:
        time = self.field(data, "time")
        self._check_unit(data)
        val_time, test_time = self.moments(data)
        part = _part(time, val_time, test_time)
        empty = [name for p, name in ((TRAIN, "train"), (TEST, "test")) if not (part == p).any()]
        if empty:
            raise invalid(
                self, "val_time, test_time", f"moments that leave links to {' and '.join(empty)}",
                f"{self._in_words(data, val_time)}, {self._in_words(data, test_time)}; times run "
                f"from {self._in_words(data, time.min().item())} "
                f"to {self._in_words(data, time.max().item())}",
            )  # fmt: skip
        _, pair = distinct_pairs(data[self.edge_type].edge_index)
        part_of_pair = _part(first_time(time, pair), val_time, test_time)[pair]
        return torch.where(part == part_of_pair, part_of_pair, LEFT_OUT)

    def _check_unit(self, data: HeteroData) -> None:
        """Refuses a date as a moment where times are numbers."""
        if data[self.edge_type].get("time_is_date", False):
            return
        for name, value in self._dates:
            expected = (
                "a number, because the times of these links are numbers (if these are seconds "
                f"since 1970, it is {getattr(self, name)})"
            )
            raise invalid(self, name, expected, describe(value))

    def _in_words(self, data: HeteroData, time: float) -> str:
        if data[self.edge_type].get("time_is_date", False):
            return str(to_dates(torch.tensor([time]))[0])
        return str(time)


def _part(time: Tensor, val_time: float, test_time: float) -> Tensor:
    return (time >= val_time).long() + (time >= test_time).long()
