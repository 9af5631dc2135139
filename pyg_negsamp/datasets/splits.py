"""Transforms that divide one interaction graph: a share or a number of every user's items."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.checks import require_seed, require_whole
from pyg_negsamp.datasets.log import TRAIN, VAL
from pyg_negsamp.datasets.split_base import (
    InteractionSplit,
    check_ratios,
    count_by_ratio,
    count_ties,
    distinct_pairs,
    first_time,
    hold_out_last,
    random_order,
    time_order,
)
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
        require_seed(self, seed)
        self.val_ratio, self.test_ratio, self.seed = val_ratio, test_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        user, pair = distinct_pairs(data[self.edge_type].edge_index)
        generator = torch.Generator().manual_seed(self.seed)
        order = random_order(user, generator)
        total = torch.bincount(user)
        counts = count_by_ratio(total, self.val_ratio, self.test_ratio, generator)
        return hold_out_last(user, order, *counts)[pair]


class LatestSplit(InteractionSplit):
    """Holds out every user's latest items: the last for test, those before for validation.

    Counts are rounded as in `RandomSplit`. The first time of a repeated pair counts. Items with
    equal times are ordered at random; the report says how many held-out links were decided so.

    Args:
        val_ratio: Fraction of each user's items for validation, in `[0, 1)`.
        test_ratio: Fraction for test, in `(0, 1)`.
        seed: Seed of the rounding, and of the order of equal times.
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
        require_seed(self, seed)
        self.val_ratio, self.test_ratio, self.seed = val_ratio, test_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        user, pair = distinct_pairs(data[self.edge_type].edge_index)
        time = first_time(self.field(data, "time"), pair)
        generator = torch.Generator().manual_seed(self.seed)
        total = torch.bincount(user)
        counts = count_by_ratio(total, self.val_ratio, self.test_ratio, generator)
        return hold_out_last(user, time_order(user, time, generator), *counts)[pair]

    def remarks(self, data: HeteroData, graphs: Sequence[HeteroData]) -> dict[str, int]:
        return {"ties_decided_at_random": count_ties(data, graphs, self.edge_type)}


class LeaveOneOut(InteractionSplit):
    """Holds out the last item of every user for test, and the one before for validation.

    Last is by time if the links have times, and at random else, or where times are equal. The
    first time of a repeated pair counts. A user with too few items for validation, test and
    one to train on keeps all of them for training; the report counts these users.

    Args:
        num_val: Items of each user for validation, 0 or more.
        num_test: Items of each user for test, 1 or more.
        seed: Seed of the order without times, or of equal times.
        edge_type: Edge type to divide.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_val: int = 1,
        num_test: int = 1,
        seed: int = 0,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        super().__init__(edge_type)
        require_whole(self, "num_val", num_val, least=0)
        require_whole(self, "num_test", num_test, least=1)
        require_seed(self, seed)
        self.num_val, self.num_test, self.seed = num_val, num_test, seed

    def assign(self, data: HeteroData) -> Tensor:
        user, pair = distinct_pairs(data[self.edge_type].edge_index)
        generator = torch.Generator().manual_seed(self.seed)
        if "time" in data[self.edge_type]:
            order = time_order(user, first_time(data[self.edge_type].time, pair), generator)
        else:
            order = random_order(user, generator)
        enough = self._has_enough(torch.bincount(user)).long()
        return hold_out_last(user, order, self.num_val * enough, self.num_test * enough)[pair]

    def remarks(self, data: HeteroData, graphs: Sequence[HeteroData]) -> dict[str, int]:
        num_users, num_items = (int(data[self.edge_type[i]].num_nodes) for i in (0, 2))
        user, item = data[self.edge_type].edge_index
        distinct = (user * num_items + item).unique()
        total = torch.bincount(distinct // num_items, minlength=num_users)
        found = {"users_with_too_few_links": int((~self._has_enough(total)).sum())}
        if "time" in data[self.edge_type]:
            found["ties_decided_at_random"] = count_ties(data, graphs, self.edge_type)
        return found

    def _has_enough(self, total: Tensor) -> Tensor:
        return total > self.num_val + self.num_test


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
        require_seed(self, seed)
        self.val_ratio, self.seed = val_ratio, seed

    def assign(self, data: HeteroData) -> Tensor:
        part = self.field(data, "split").long()
        if bool((part == VAL).any()):
            return part
        train = part == TRAIN
        user, pair = distinct_pairs(data[self.edge_type].edge_index[:, train])
        generator = torch.Generator().manual_seed(self.seed)
        order = random_order(user, generator)
        counts = count_by_ratio(torch.bincount(user), self.val_ratio, 0.0, generator)
        part[train] = hold_out_last(user, order, *counts)[pair]
        return part
