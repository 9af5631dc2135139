"""One part of a dataset as a table with the ids that the source had."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.log import sorted_order, starts_run
from pyg_negsamp.datasets.times import to_dates
from pyg_negsamp.errors import invalid

FIELDS = {"time": "time", "rating": "rating", "edge_weight": "weight"}


def part_frame(
    interactions: HeteroData,
    links: Tensor,
    edge_type: EdgeType,
    user_ids: pd.Index | None,
    item_ids: pd.Index | None,
) -> pd.DataFrame:
    """Links of a part, and what the interactions say of them.

    Args:
        interactions: All links, with what is known of each.
        links: `[2, P]` links of the part.
        edge_type: Edge type of the links.
        user_ids: Original id of every user; `None` if positions are the ids.
        item_ids: The same for items.

    Returns:
        `P` rows with the columns user, item, and of time, rating, weight those there are.

    Raises:
        ValueError: If a link of the part is none of the interactions.
    """
    store = interactions[edge_type]
    user, item = links
    frame = pd.DataFrame({"user": user.numpy(), "item": item.numpy()})
    if user_ids is not None:
        frame["user"] = user_ids[user.numpy()]
    if item_ids is not None:
        frame["item"] = item_ids[item.numpy()]
    fields = {name: column for name, column in FIELDS.items() if name in store}
    if not fields:
        return frame
    rows = _find(store.edge_index, links, int(interactions[edge_type[2]].num_nodes))
    for name, column in fields.items():
        value = store[name][rows]
        if name == "time" and store.get("time_is_date", False):
            frame[column] = to_dates(value)
        else:
            frame[column] = value.numpy()
    return frame


def _find(known: Tensor, links: Tensor, num_items: int) -> Tensor:
    """Row `[P]` of every link among the known `[2, E]`; the n-th repeat is the n-th there."""
    key, wanted = (index[0] * num_items + index[1] for index in (known, links))
    order, of_wanted = sorted_order(key), sorted_order(wanted)
    wanted = wanted[of_wanted]
    start = starts_run(wanted)
    at = torch.arange(wanted.numel())
    repeat = at - at[start][start.cumsum(0) - 1]
    row = (torch.searchsorted(key[order], wanted) + repeat).clamp(max=key.numel() - 1)
    if not torch.equal(key[order][row], wanted):
        expected = "a split whose links are among the interactions"
        raise invalid("InteractionDataset", "split", expected, "others")
    rows = torch.empty_like(row)
    rows[of_wanted] = order[row]
    return rows
