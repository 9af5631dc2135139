"""What all splits share: from the part of every link to three graphs without common pairs."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.checks import describe, is_number, require_edge_type
from pyg_negsamp.datasets.log import PARTS, TEST, TRAIN, VAL, pair_key, sorted_order, starts_run
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE, known_links, links_in

Triple = tuple[HeteroData, HeteroData, HeteroData]
LEFT_OUT = 3  # part of links that belong nowhere


class InteractionSplit(BaseTransform):
    """Base of all splits: a subclass says which part every pair belongs to.

    `train, val, test = split(dataset.interactions)` gives three graphs with the node types of
    the input. `edge_index` holds the links known at that time (training links; for test also
    the validation links) and `edge_label_index` those to learn from or to rank. A (user, item)
    pair is in one part only, however often it occurs. If the links have `edge_weight [E]`, so
    has every `edge_index`.

    Args:
        edge_type: Edge type to divide.
    """

    def __init__(self, edge_type: EdgeType = EDGE_TYPE) -> None:
        self.edge_type = require_edge_type(self, edge_type)

    @abstractmethod
    def assign(self, data: HeteroData) -> Tensor:
        """The part of every link: `[E]` with 0 train, 1 validation, 2 test, 3 left out.

        Args:
            data: Interactions, sorted by user, then item.
        """

    def remarks(self, data: HeteroData, graphs: Sequence[HeteroData]) -> dict[str, int]:
        """What a report should say about a split by this transform: counts, by name.

        Args:
            data: The interactions.
            graphs: The three graphs that `forward` made of them.
        """
        return {}

    def forward(self, data: HeteroData) -> Triple:
        """Divides the interactions.

        Args:
            data: Graph with `edge_index`, and `time` or `split` where the split needs them.

        Returns:
            Training, validation and test graph.

        Raises:
            ValueError: If the edge type or a field is missing, ids are out of range, or no
                training or no test link is left.
        """
        self._check_graph(data)
        links = known_links(data, self.edge_type).index  # checks ids
        if links.size(1) == 0:
            raise invalid(self, "data", "interactions with at least one link", "none")
        data = _sort_links(data, self.edge_type)
        return self._assemble(data, self.assign(data))

    def _check_graph(self, data: HeteroData) -> None:
        """Raises `ValueError` if there are no links, in words that do not print the graph."""
        if not isinstance(data, HeteroData):
            raise invalid(self, "data", "a HeteroData graph", describe(data))
        if self.edge_type not in data.edge_types:
            raise invalid(self, "edge_type", f"one of {data.edge_types}", self.edge_type)
        if links_in(data[self.edge_type]) is None:
            raise invalid(self, "data", f"a graph with 'edge_index' on {self.edge_type}", "none")
        for kind in (self.edge_type[0], self.edge_type[2]):
            if data[kind].num_nodes is None:
                raise invalid(self, "data", f"a graph with 'num_nodes' of '{kind}'", None)

    def _assemble(self, data: HeteroData, part: Tensor) -> Triple:
        """Builds the three graphs; a held-out pair that an earlier part has is removed."""
        edge_index = data[self.edge_type].edge_index
        pair = pair_key(*edge_index)
        order = sorted_order(pair * PARTS + part)
        edge_index, part = edge_index[:, order], part[order]
        start = starts_run(pair)
        keep = (part == TRAIN) | start
        train, val, test = (edge_index[:, keep & (part == p)] for p in (TRAIN, VAL, TEST))
        # Repeats of validation links are listens, too, once they are known.
        of_pair = part[start][start.cumsum(0) - 1]
        in_train, in_known = part == TRAIN, (part <= VAL) & (part == of_pair)
        for name, links in (("training", train), ("test", test)):
            if links.size(1) == 0:
                raise invalid(
                    self, "data", f"interactions that leave at least one {name} link",
                    f"{train.size(1)} training, {val.size(1)} validation and {test.size(1)} "
                    f"test links out of {part.numel()}",
                )  # fmt: skip
        weight = data[self.edge_type].get("edge_weight")
        train_weight = known_weight = None
        if weight is not None:
            train_weight, known_weight = weight[order][in_train], weight[order][in_known]
        return (
            self._graph(data, train, train, train_weight),
            self._graph(data, train, val, train_weight),
            self._graph(data, edge_index[:, in_known], test, known_weight),
        )

    def _graph(
        self, data: HeteroData, known: Tensor, labels: Tensor, weight: Tensor | None
    ) -> HeteroData:
        graph = copy.copy(data)  # node features of the input stay
        store = graph[self.edge_type]
        store.clear()
        store.edge_index = known
        if weight is not None:
            store.edge_weight = weight
        store.edge_label_index = labels
        return graph

    def field(self, data: HeteroData, name: str) -> Tensor:
        """A field of the links, such as `time [E]`; `ValueError` if they do not have it."""
        store = data[self.edge_type]
        if name not in store:
            expected = f"a field of the links {self.edge_type}"
            if name == "time":
                expected += ", which come with a time column (time=...)"
            raise invalid(self, name, expected, sorted(store))
        return store[name]


def check_ratios(split: InteractionSplit, val_ratio: float, test_ratio: float) -> None:
    """Raises `ValueError` unless both ratios are in `[0, 1)` and leave links to train on."""
    for name, ratio in (("val_ratio", val_ratio), ("test_ratio", test_ratio)):
        if not is_number(ratio) or not 0 <= ratio < 1:
            raise invalid(split, name, "in [0, 1)", describe(ratio))
    if val_ratio + test_ratio >= 1:
        raise invalid(
            split, "val_ratio + test_ratio", "below 1, so that training links are left",
            val_ratio + test_ratio,
        )  # fmt: skip


def distinct_pairs(edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Users `[P]` of the distinct pairs of sorted links, and each link's pair `[E]`."""
    first = starts_run(pair_key(*edge_index))
    return edge_index[0, first], first.cumsum(0) - 1


def random_order(user: Tensor, generator: torch.Generator) -> Tensor:
    """`[P]`: order by user, and at random among a user's pairs."""
    return sorted_order(user + torch.rand(user.numel(), generator=generator, dtype=torch.float64))


def first_time(time: Tensor, pair: Tensor) -> Tensor:
    """`[P]`: the earliest time of every pair."""
    start = torch.full((int(pair.max()) + 1,), time.max().item(), dtype=time.dtype)
    return start.scatter_reduce(0, pair, time, "amin")


def time_order(user: Tensor, time: Tensor, generator: torch.Generator) -> Tensor:
    """`[P]`: order by user, then by time, and at random where times are equal."""
    tie = torch.rand(user.numel(), generator=generator, dtype=torch.float64)
    return torch.from_numpy(np.lexsort((tie.numpy(), time.numpy(), user.numpy())))


def count_by_ratio(
    total: Tensor, val_ratio: float, test_ratio: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """How many pairs of each user go to validation and to test.

    Counts `n * ratio` are rounded down after adding a uniform draw: right on average, also for
    users with few links. Every user keeps at least one training pair.

    Args:
        total: `[U]` pairs of every user.
        val_ratio: Fraction for validation.
        test_ratio: Fraction for test.
        generator: Source of the rounding.

    Returns:
        Counts for validation and for test, `[U]` int64 each.
    """
    spare = (total - 1).clamp(min=0)
    uniform = torch.rand(2, total.numel(), generator=generator, dtype=torch.float64)
    test = torch.minimum((total * test_ratio + uniform[0]).long(), spare)
    val = torch.minimum((total * val_ratio + uniform[1]).long(), spare - test)
    return val, test


def hold_out_last(user: Tensor, order: Tensor, val: Tensor, test: Tensor) -> Tensor:
    """Gives each user's last pairs in `order` to test, those before to validation.

    Args:
        user: `[P]` user of every pair, sorted.
        order: `[P]` order of the pairs by user, then by what decides among a user's pairs.
        val: `[U]` pairs of every user for validation.
        test: `[U]` pairs of every user for test.

    Returns:
        `[P]` int64 part of every pair.
    """
    total = torch.bincount(user)
    from_end = total.cumsum(0)[user] - 1 - torch.arange(user.numel())
    part = torch.full_like(user, TRAIN)
    part[order] = torch.where(
        from_end < test[user], TEST, torch.where(from_end < (test + val)[user], VAL, TRAIN)
    )
    return part


def count_ties(data: HeteroData, graphs: Sequence[HeteroData], edge_type: EdgeType) -> int:
    """Held-out links that are as late as a link of the same user in another part.

    Args:
        data: The interactions, with `time`.
        graphs: Training, validation and test graph.
        edge_type: Edge type of the links.
    """
    data = _sort_links(data, edge_type)
    edge_index = data[edge_type].edge_index
    user, pair = distinct_pairs(edge_index)
    time = first_time(data[edge_type].time, pair)
    key, num_items = pair_key(*edge_index)[starts_run(pair)], int(edge_index[1].max()) + 1
    part = torch.full_like(user, TRAIN)
    for p in (VAL, TEST):
        labels = graphs[p][edge_type].edge_label_index
        part[torch.searchsorted(key, labels[0] * num_items + labels[1])] = p
    order = sorted_order(user, time)
    user, time, part = user[order], time[order], part[order]
    group = (starts_run(user) | starts_run(time)).cumsum(0) - 1
    first = torch.zeros(int(group[-1]) + 1, dtype=part.dtype)
    lowest = first.scatter_reduce(0, group, part, "amin", include_self=False)
    highest = first.scatter_reduce(0, group, part, "amax", include_self=False)
    return int(((part > TRAIN) & (lowest < highest)[group]).sum())


def _sort_links(data: HeteroData, edge_type: EdgeType) -> HeteroData:
    """A copy of `data` with links, and what is known of them, by user, then item."""
    data = copy.copy(data)
    links = known_links(data, edge_type).index
    store = data[edge_type]
    store.pop("adj_t", None)  # sparse matrices become lists of links here
    store.edge_index = links
    order = sorted_order(pair_key(*links))
    for name in store.edge_attrs():
        if isinstance(store[name], Tensor):
            at = data.__cat_dim__(name, store[name], store)
            store[name] = store[name].index_select(at, order)
    return data
