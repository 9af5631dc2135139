"""Metrics of lists whatever is held out: how wide, how popular, how varied they are.

Lists may be shorter than `k`: their last places then hold `I`, which is no item, and where PyG's
own metrics fail. Here such a list counts as what it is. Where all lists are full, the numbers are
those of PyG's `LinkPredCoverage`, `LinkPredAveragePopularity`, `LinkPredDiversity` and
`LinkPredPersonalization`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.metrics import LinkPredCoverage, LinkPredMetric
from torch_geometric.metrics.link_pred import LinkPredMetricData

from pyg_negsamp.evaluation.items import Items, item_thirds

#: The group of :func:`item_thirds` that is the tail.
TAIL = 2


class Coverage(LinkPredCoverage):
    """The share of all items that stand in at least one list, as PyG's, of which it is a kind.

    Args:
        k: Length of the lists.
        items: All items.
    """

    def __init__(self, k: int, items: Items) -> None:
        super().__init__(k, len(items.count) + 1)  # the last one fills short lists

    def compute(self) -> Tensor:
        """The share."""
        return self.mask[:-1].double().mean()


class OverItems(LinkPredMetric):
    """What each item got in all lists together, and how many lists there were.

    Args:
        k: Length of the lists.
        items: All items.
    """

    weighted = False

    def __init__(self, k: int, items: Items) -> None:
        super().__init__(k)
        self.num_items = len(items.count)
        self.given: Tensor
        self.add_state("given", torch.zeros(self.num_items + 1), dist_reduce_fx="sum")

    def each(self, length: Tensor) -> Tensor:
        """What a list of `length [b, 1]` items gives to each of them, `[b, 1]`."""
        raise NotImplementedError

    def _update(self, data: LinkPredMetricData) -> None:
        top = data.pred_index_mat[:, : self.k]
        length = (top < self.num_items).sum(dim=1, keepdim=True)
        each = self.each(length).to(self.given.dtype).expand_as(top)
        self.given.scatter_add_(0, top.flatten(), each.flatten())
        self.total += (length > 0).sum()


class Gini(OverItems):
    """Gini's index of how often items are recommended: 0 if all equally often, near 1 if few are.

    Of items sorted by their number of lists, `x_1 <= ... <= x_I`, it is
    `sum_i (2 i - I - 1) x_i / (I sum_i x_i)`. Items in no list count.
    """

    def each(self, length: Tensor) -> Tensor:
        """One."""
        return torch.ones_like(length)

    def compute(self) -> Tensor:
        """The index; 0 if there is no list."""
        x = self.given[:-1].sort().values
        rank = torch.arange(1 - self.num_items, self.num_items, 2).to(x)
        return (rank * x).sum() / (self.num_items * x.sum()).clamp(min=1)


class Personalization(OverItems):
    """How little the lists of two users have in common: the mean over all pairs of 1 - cosine.

    Lists `A` and `B` have the cosine `|A and B| / sqrt(|A| |B|)`. PyG looks at every pair of some
    4096 users. Here all users count, and it costs no more than reading their lists: the cosines of
    all pairs, each list with itself too, add up to `sum_i s_i^2`, where `s_i` is the sum of
    `1 / sqrt(|A|)` over the lists with item `i`. Users without any list are in no pair.
    """

    def each(self, length: Tensor) -> Tensor:
        """The length of the list as a vector, inverted."""
        return length.double().clamp(min=1).rsqrt()

    def compute(self) -> Tensor:
        """The mean; 0 if there are no two lists."""
        lists = self.total.to(self.given.dtype)
        others = (self.given[:-1].square().sum() - lists) / (lists * (lists - 1))
        return torch.where(lists > 1, (1 - others).clamp(0, 1), 0.0)


class OfLists(LinkPredMetric):
    """A mean over users of a value of each one's list; NaN is that of a list that has none."""

    weighted = False

    def _update(self, data: LinkPredMetricData) -> None:
        value = self._compute(data)
        self.accum += value.nansum()
        self.total += (~value.isnan()).sum()


class MeanOfItems(OfLists):
    """The mean of what its items are worth. A list without items has no value.

    Args:
        k: Length of the lists.
        worth: `[I]` what each item is worth.
    """

    def __init__(self, k: int, worth: Tensor) -> None:
        super().__init__(k)
        nothing = worth.new_zeros(1)  # of what fills short lists
        self.register_buffer("worth", torch.cat([worth, nothing]).double(), persistent=False)

    def _compute(self, data: LinkPredMetricData) -> Tensor:
        top = data.pred_index_mat[:, : self.k]
        length = (top < len(self.worth) - 1).sum(dim=1)
        return self.worth[top].sum(dim=1) / length


class AveragePopularity(MeanOfItems):
    """How many users are known to have the items of a list, on average.

    Args:
        k: Length of the lists.
        items: All items.
    """

    def __init__(self, k: int, items: Items) -> None:
        super().__init__(k, items.count)


class TailShare(MeanOfItems):
    """The share of a list's items that are in the tail of :func:`item_thirds`, by known links.

    Args:
        k: Length of the lists.
        items: All items.
    """

    def __init__(self, k: int, items: Items) -> None:
        super().__init__(k, item_thirds(items.count) == TAIL)


class Diversity(OfLists):
    """The share of pairs of a list's items that are of two categories.

    A list of fewer than two items has no value.

    Args:
        k: Length of the lists.
        items: All items, with their categories.
    """

    def __init__(self, k: int, items: Items) -> None:
        super().__init__(k)
        assert items.category is not None
        kind = items.category.unique(return_inverse=True)[1]
        none = kind.new_full((1,), len(kind))  # of what fills short lists: sorted behind all
        self.register_buffer("kind", torch.cat([kind, none]), persistent=False)

    def _compute(self, data: LinkPredMetricData) -> Tensor:
        top = data.pred_index_mat[:, : self.k]
        length = (top < len(self.kind) - 1).sum(dim=1)
        kind = self.kind[top].sort(dim=1).values
        place = torch.arange(kind.size(1), device=top.device).expand_as(kind)
        starts = torch.ones_like(kind, dtype=torch.bool)
        starts[:, 1:] = kind[:, 1:] != kind[:, :-1]
        # Of a run of one category, each item makes a pair with those before it, both ways round.
        before = place - place.where(starts, 0).cummax(dim=1).values
        alike = 2 * before.where(place < length.unsqueeze(1), 0).sum(dim=1)
        return 1 - alike.double() / (length * (length - 1))
