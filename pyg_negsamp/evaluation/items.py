"""What metrics beyond accuracy know of items: how popular they are, and of which category."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, short
from pyg_negsamp.graph import is_integer, known_links


@dataclass(frozen=True)
class Items:
    """The items of a split.

    Attributes:
        count: `[I]` how many users are known to have each: its popularity.
        category: `[I]` the category of each; `None` where the graph says none.
    """

    count: Tensor
    category: Tensor | None = None

    @classmethod
    def of(cls, data: HeteroData | Data, edge_type: EdgeType) -> Items:
        """Reads the known links (`edge_index`), each once, and the field `category` of items.

        Args:
            data: A validation or test split.
            edge_type: The interactions in it.

        Raises:
            ValueError: If there are categories, but not a whole number for each item.
        """
        links = known_links(data, edge_type)
        key = links.index[0] * links.num_items + links.index[1]
        if not bool((key[1:] > key[:-1]).all()):  # ours are sorted, and distinct
            key = key.unique()
        count = torch.bincount(key % max(links.num_items, 1), minlength=links.num_items)
        store = data[edge_type[2]] if isinstance(data, HeteroData) else data
        category = store.get("category")
        if category is not None and (
            not isinstance(category, Tensor)
            or category.shape != count.shape
            or not is_integer(category)
        ):
            expected = f"[{links.num_items}] whole numbers, one for each item"
            raise invalid("evaluate", "category", expected, short(category))
        return cls(count, category)


def item_thirds(count: Tensor) -> Tensor:
    """The group `[I]` of items with `count [I]` training links: 0 head, 1 middle, 2 tail.

    The head are the most popular items that together have a third of all training links, the tail
    the least popular ones that have the last third. Equally popular items go by their ids.
    """
    best_first = count.argsort(descending=True, stable=True)
    before = count[best_first].cumsum(0) - count[best_first]
    group = torch.empty_like(count)
    group[best_first] = (3 * before // max(int(count.sum()), 1)).clamp(max=2)
    group[count == 0] = 2
    return group
