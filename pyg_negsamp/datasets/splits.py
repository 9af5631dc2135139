"""Transforms that divide one interaction graph into training, validation and test graphs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.log import TEST, TRAIN, VAL, sorted_order
from pyg_negsamp.datasets.split_base import (
    LEFT_OUT,
    InteractionSplit,
    check_ratios,
    distinct_pairs,
    first_time,
    hold_out_last,
    random_order,
)
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE


class RandomSplit(InteractionSplit):
    """Holds out a random fraction of every user's items.

    A user with `n` items gives `n * ratio` of them, rounded up or down at random such that the
    fraction is right on average, and keeps at least one training item.

    Args:
        val_ratio: Fraction of each user's items for validation, in `[0, 1)`.
        test_ratio: Fraction for test, in `(0, 1)`.
        seed: Seed of the draw; the same seed gives the same split.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If a ratio is out of range or both leave nothing to train on.
    """

    def __init__(
        self,
        val_ratio: float = 0.1,
        test_ratio: float = 0.2,
        seed: int = 0,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        super().__init__(edge_type)
        check_ratios(self, val_ratio, test_ratio)
        self.val_ratio, self.test_ratio, self.seed = val_ratio, test_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        user, pair = distinct_pairs(data[self.edge_type].edge_index)
        generator = torch.Generator().manual_seed(self.seed)
        order = random_order(user, generator)
        return hold_out_last(user, order, self.val_ratio, self.test_ratio, generator)[pair]


class LatestSplit(InteractionSplit):
    """Holds out every user's latest items: the last for test, those before for validation.

    Counts are rounded as in `RandomSplit`. The first time of a repeated pair counts; of items
    with equal times the larger id counts as later.

    Args:
        val_ratio: Fraction of each user's items for validation, in `[0, 1)`.
        test_ratio: Fraction for test, in `(0, 1)`.
        seed: Seed of the rounding.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If a ratio is out of range or both leave nothing to train on.
    """

    def __init__(
        self,
        val_ratio: float = 0.1,
        test_ratio: float = 0.2,
        seed: int = 0,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        super().__init__(edge_type)
        check_ratios(self, val_ratio, test_ratio)
        self.val_ratio, self.test_ratio, self.seed = val_ratio, test_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        user, pair = distinct_pairs(data[self.edge_type].edge_index)
        time = first_time(self.field(data, "time"), pair)
        generator = torch.Generator().manual_seed(self.seed)
        return hold_out_last(
            user, sorted_order(user, time), self.val_ratio, self.test_ratio, generator
        )[pair]


class TemporalSplit(InteractionSplit):
    """Divides at two moments: train before `val_time`, test from `test_time` on.

    The first time of a pair decides; later repeats of it are left out unless they fall into
    training as well, so that nothing after `val_time` is trained on.

    Args:
        val_time: First moment of validation, in the unit of `time`.
        test_time: First moment of test.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If `val_time` is later than `test_time`.
    """

    def __init__(self, val_time: float, test_time: float, edge_type: EdgeType = EDGE_TYPE) -> None:
        super().__init__(edge_type)
        if not val_time <= test_time:
            raise invalid(self, "val_time", f"at most test_time = {test_time}", val_time)
        self.val_time, self.test_time = val_time, test_time

    def assign(self, data: HeteroData) -> Tensor:
        time = self.field(data, "time")
        _, pair = distinct_pairs(data[self.edge_type].edge_index)
        part = self._part(time)
        empty = [name for p, name in ((TRAIN, "train"), (TEST, "test")) if not (part == p).any()]
        if empty:
            raise invalid(
                self, "val_time, test_time", f"moments that leave links to {' and '.join(empty)}",
                f"{self.val_time}, {self.test_time}; times run from {time.min()} to {time.max()}",
            )  # fmt: skip
        part_of_pair = self._part(first_time(time, pair))[pair]
        return torch.where(part == part_of_pair, part_of_pair, LEFT_OUT)

    def _part(self, time: Tensor) -> Tensor:
        return (time >= self.val_time).long() + (time >= self.test_time).long()


class PredefinedSplit(InteractionSplit):
    """Uses the split that came with the data.

    Where the data have no validation links of their own, a random fraction of each user's
    training items is carved out, as in `RandomSplit`.

    Args:
        val_ratio: Fraction of each user's training items for validation, in `[0, 1)`. Zero
            trains on the whole training file. Without effect if the data have validation links.
        seed: Seed of the draw.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If the ratio is out of range.
    """

    def __init__(
        self, val_ratio: float = 0.1, seed: int = 0, edge_type: EdgeType = EDGE_TYPE
    ) -> None:
        super().__init__(edge_type)
        check_ratios(self, val_ratio, 0.0)
        self.val_ratio, self.seed = val_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        part = self.field(data, "split").long()
        if bool((part == VAL).any()):
            return part
        train = part == TRAIN
        user, pair = distinct_pairs(data[self.edge_type].edge_index[:, train])
        generator = torch.Generator().manual_seed(self.seed)
        order = random_order(user, generator)
        part[train] = hold_out_last(user, order, self.val_ratio, 0.0, generator)[pair]
        return part
