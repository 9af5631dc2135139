"""What is in a dataset, in numbers that reveal its traps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.log import Repeats


def summarize(
    name: str,
    graphs: Sequence[HeteroData],
    repeats: Repeats,
    edge_type: EdgeType,
) -> dict[str, Any]:
    """Counts what `InteractionDataset.report` prints, see there for the fields.

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
    }


def format_summary(summary: dict[str, Any]) -> str:
    """The summary as aligned lines, one number each."""
    width = max(len(key) for key in summary)
    lines = []
    for key, value in summary.items():
        text = f"{value:.6f}" if isinstance(value, float) else str(value)
        text = f"{value:,}" if isinstance(value, int) else text
        lines.append(f"{key.replace('_', ' '):<{width}}  {text:>14}")
    return "\n".join(lines)
