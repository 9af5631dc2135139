"""All links that a model's data has: what it was trained on, what a person has, what is tested."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.datasets.log import TEST
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE, held_out_links, known_links
from pyg_negsamp.ragged import entries_of


@dataclass(frozen=True)
class SavedLinks:
    """The distinct links of a dataset, sorted by user, then item.

    Attributes:
        user: `[E]` int64 positions.
        item: `[E]` int64 positions.
        part: `[E]` uint8, 0 train, 1 validation, 2 test.
        trained: `[E]` int32, how often the model was trained on the link; 0 if not at all.
        num_users: Number of users, `U`.
        num_items: Number of items, `I`.
        edge_type: What the graphs call the links, and their ends.
        weight: `[E]` float64, how much each counts in the encoder's graph. `None`: as often as
            the model was trained on it.
        category: `[I]` the category of each item, if the data say.
    """

    user: Tensor
    item: Tensor
    part: Tensor
    trained: Tensor
    num_users: int
    num_items: int
    edge_type: EdgeType = EDGE_TYPE
    weight: Tensor | None = None
    category: Tensor | None = None

    @classmethod
    def of(cls, graphs: Iterable[HeteroData], known: HeteroData, edge_type: EdgeType) -> SavedLinks:
        """Reads the links of a training, a validation and a test graph.

        Args:
            graphs: The three graphs.
            known: The graph that the model was trained on.
            edge_type: The interactions in them.

        Raises:
            ValueError: If `known` has other sizes, or links that are in none of the three.
        """
        train, val, test = graphs
        whole, trained = known_links(train, edge_type), known_links(known, edge_type)
        if (whole.num_users, whole.num_items) != (trained.num_users, trained.num_items):
            expected = f"a graph of {whole.num_users} users and {whole.num_items} items"
            got = f"{trained.num_users} and {trained.num_items}"
            raise invalid("TrainedModel", "known", expected, got)
        size = max(whole.num_items, 1)

        def keys(index: Tensor) -> Tensor:
            return index[0].cpu() * size + index[1].cpu()

        held_out = [held_out_links(graph, edge_type) for graph in (val, test)]
        key = torch.cat([keys(index) for index in (whole.index, *held_out)])
        lengths = torch.tensor([whole.index.size(1), *(index.size(1) for index in held_out)])
        part = torch.arange(3).repeat_interleave(lengths)
        # Each pair once; of several parts, the first.
        both = torch.unique(key * 4 + part)
        key, part = both // 4, both % 4
        first = torch.ones_like(key, dtype=torch.bool)
        first[1:] = key[1:] != key[:-1]
        key, part = key[first], part[first]
        pair, count = torch.unique(keys(trained.index), return_counts=True)
        at = torch.searchsorted(key, pair).clamp(max=max(len(key) - 1, 0))
        if len(pair) and not bool((key[at] == pair).all()):
            expected = "a graph whose links are all in the dataset"
            raise invalid("TrainedModel", "known", expected, f"{int((key[at] != pair).sum())} more")
        times = torch.zeros(len(key), dtype=torch.int32)
        times[at] = count.int()
        user, item, part = key // size, key % size, part.to(torch.uint8)
        kinds = train[edge_type[2]].get("category")
        return cls(
            user, item, part, times, whole.num_users, whole.num_items, edge_type,
            category=None if kinds is None else kinds.cpu(),
        )  # fmt: skip

    @property
    def index(self) -> Tensor:
        """`[2, E]` all links."""
        return torch.stack([self.user, self.item])

    @cached_property
    def first(self) -> Tensor:
        """`[U + 1]` where each user's links start."""
        return torch.searchsorted(self.user, torch.arange(self.num_users + 1))

    @cached_property
    def user_count(self) -> Tensor:
        """`[U]` how many links of each user the model was trained on, with repetitions."""
        return torch.bincount(self.user, self.trained, self.num_users).long()

    @cached_property
    def item_count(self) -> Tensor:
        """`[I]` how many links of each item the model was trained on, with repetitions."""
        return torch.bincount(self.item, self.trained, self.num_items).long()

    def seen(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """All links of users `[n]`: positions in `user`, ascending, and items."""
        first = self.first[user]
        owner, entry = entries_of(first, self.first[user + 1] - first)
        return owner, self.item[entry]

    def training_graph(self) -> HeteroData:
        """The graph that the model was trained on, repeated links as often as they came.

        Its nodes and links are called as in the data.
        """
        return self.graph(self.index.repeat_interleave(self.trained, dim=1), None, self.edge_type)

    def encoder_graph(self) -> HeteroData:
        """The graph that the encoder was made from, up to the order of its links."""
        if self.weight is None:
            return self.training_graph()
        counts = self.weight > 0
        data = self.graph(self.index[:, counts], None, self.edge_type)
        data[self.edge_type].edge_weight = self.weight[counts]
        return data

    def weighed(self, link: Tensor, weight: Tensor) -> SavedLinks:
        """The same links, weighed as an encoder does.

        Args:
            link: `[2, n]` the distinct links of the encoder's graph.
            weight: `[n]` how much each counts there, as exactly as its type can tell.

        Raises:
            ValueError: If some are in none of the model's graphs.
        """
        size = max(self.num_items, 1)
        key, wanted = self.user * size + self.item, link[0] * size + link[1]
        if foreign := int((~torch.isin(wanted, key)).sum()):
            expected = "a dataset with all links of the encoder's graph"
            raise invalid("TrainedModel", "dataset", expected, f"{foreign} that it lacks")
        own = torch.zeros(len(key), dtype=torch.double)
        own[torch.searchsorted(key, wanted)] = weight.double()
        tolerance = 4 * torch.finfo(weight.dtype).eps
        alike = torch.allclose(own, self.trained.double(), rtol=tolerance, atol=0)
        return self if alike else replace(self, weight=own)

    def graph(
        self, known: Tensor, held_out: Tensor | None, edge_type: EdgeType = EDGE_TYPE
    ) -> HeteroData:
        """A graph of the same users and items with links `[2, E]` known, and others held out."""
        data = HeteroData()
        data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes = self.num_users, self.num_items
        if self.category is not None:
            data[edge_type[2]].category = self.category
        data[edge_type].edge_index = known
        if held_out is not None:
            data[edge_type].edge_label_index = held_out
        return data

    def test_graph(self) -> HeteroData:
        """The data's own test: training and validation links known, test links held out."""
        test = self.part == TEST
        return self.graph(self.index[:, ~test], self.index[:, test])

    def graph_without(self, held_out: Tensor) -> HeteroData:
        """All links known but those held out, `[2, n]`."""
        held_out = coalesce(held_out, num_nodes=max(self.num_users, self.num_items))
        wanted = held_out[0] * self.num_items + held_out[1]
        known = ~torch.isin(self.user * self.num_items + self.item, wanted)
        return self.graph(self.index[:, known], held_out)

    def check_same_data(self, data: HeteroData, edge_type: EdgeType) -> None:
        """Refuses a graph that is not of these users and items, as far as sizes and links tell.

        Args:
            data: Its known links must hold all that the model was trained on, and no others than
                the model's data has.
            edge_type: The interactions in it.
        """
        links = known_links(data, edge_type)
        sizes = (self.num_users, self.num_items)
        if (links.num_users, links.num_items) != sizes:
            expected = f"a graph of {sizes[0]} users and {sizes[1]} items, as the model's"
            got = f"{links.num_users} and {links.num_items}"
            raise invalid("TrainedModel", "test_data", expected, got)
        theirs = torch.unique(links.index[0].cpu() * self.num_items + links.index[1].cpu())
        ours = self.user * self.num_items + self.item
        missing = int((~torch.isin(ours[self.trained > 0], theirs)).sum())
        foreign = int((~torch.isin(theirs, ours)).sum())
        if missing or foreign:
            expected = (
                "a graph whose known links are those that the model was trained on (and "
                "others of its data); or a frame with ids"
            )
            got = f"{missing} of them missing, {foreign} that are not in its data"
            raise invalid("TrainedModel", "test_data", expected, got)

    def trained_on(self, links: Tensor) -> Tensor:
        """Which links `[2, n]` the model was trained on: `[n]` bool."""
        ours = (self.user * self.num_items + self.item)[self.trained > 0]
        return torch.isin(links[0].cpu() * self.num_items + links[1].cpu(), ours).to(links.device)

    def check_not_trained(self, held_out: Tensor) -> None:
        """Refuses held-out links `[2, n]` that the model was trained on."""
        if leaked := int(self.trained_on(held_out).sum()):
            expected = "held-out links that the model was not trained on"
            raise invalid("TrainedModel", "test_data", expected, f"{leaked} that it was")
