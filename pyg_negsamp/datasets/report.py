"""What is in a dataset, in numbers that reveal its traps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.ids import same_number
from pyg_negsamp.datasets.log import Repeats
from pyg_negsamp.datasets.times import to_dates

#: Times between these, from 1973 to 2100, look like seconds since 1970.
SECONDS = (100_000_000, 4_102_444_800)


def summarize(
    name: str,
    graphs: Sequence[HeteroData],
    repeats: Repeats,
    edge_type: EdgeType,
) -> dict[str, Any]:
    """Counts what `InteractionDataset.report` prints of any data, see there for the fields.

    Args:
        name: Name of the dataset.
        graphs: Training, validation and test graph.
        repeats: What was repeated in the source.
        edge_type: Edge type of the links.
    """
    train, val, test = (graph[edge_type].edge_label_index for graph in graphs)
    users = int(graphs[0][edge_type[0]].num_nodes)
    items = int(graphs[0][edge_type[2]].num_nodes)
    links = train.size(1) + val.size(1) + test.size(1)
    known = graphs[2][edge_type].edge_index
    unseen = torch.ones(items, dtype=torch.bool)
    unseen[known[1]] = False
    user, item = torch.cat([train, val, test], dim=1)
    return {
        "name": name,
        "users": users,
        "items": items,
        "links": links,
        "train_links": train.size(1),
        "val_links": val.size(1),
        "test_links": test.size(1),
        "density": links / (users * items),
        **repeats._asdict(),
        "users_without_training_links": users - train[0].unique().numel(),
        "items_only_in_test": int(unseen[test[1].unique()].sum()),
        **_spread("links_per_user", torch.bincount(user, minlength=users)),
        **_spread("links_per_item", torch.bincount(item, minlength=items)),
    }


def first_and_last(interactions: HeteroData, edge_type: EdgeType) -> dict[str, Any]:
    """`time_first` and `time_last` of links with times: ISO text for dates, else numbers."""
    store = interactions[edge_type]
    if "time" not in store:
        return {}
    ends = torch.stack([store.time.min(), store.time.max()])
    dates = store.get("time_is_date", False)
    first, last = [str(date) for date in to_dates(ends)] if dates else ends.tolist()
    return {"time_first": first, "time_last": last}


def ids_alike(user_ids: pd.Index | None, item_ids: pd.Index | None) -> dict[str, int]:
    """How many ids are the same number as another one, written differently, where there are any."""
    found = {
        "user_ids_of_same_number": same_number(user_ids),
        "item_ids_of_same_number": same_number(item_ids),
    }
    return {name: count for name, count in found.items() if count}


def format_summary(summary: Mapping[str, Any]) -> str:
    """The summary as aligned lines, one value each."""
    texts = {}
    for key, value in summary.items():
        text = f"{value:.6f}" if isinstance(value, float) else str(value)
        texts[key] = f"{value:,}" if isinstance(value, int) else text
        if key in ("time_first", "time_last"):
            texts[key] = format_moment(value)
    width = max(len(key) for key in texts)
    right = max([14, *(len(text) for key, text in texts.items() if key != "name")])
    return "\n".join(
        f"{key.replace('_', ' '):<{width}}  {text:>{right}}" for key, text in texts.items()
    )


def format_moment(moment: str | float) -> str:
    """A moment of a summary: a number beside its date, if it can be one in seconds since 1970."""
    if isinstance(moment, str) or not SECONDS[0] <= moment < SECONDS[1]:
        return str(moment)
    date = to_dates(torch.tensor([int(moment)]))[0]
    return f"{moment} ({date} if in seconds)"


def _spread(name: str, degree: Tensor) -> dict[str, Any]:
    return {
        f"{name}_min": int(degree.min()),
        f"{name}_median": float(np.median(degree.numpy())),
        f"{name}_max": int(degree.max()),
    }
