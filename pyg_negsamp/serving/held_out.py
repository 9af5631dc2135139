"""What a saved model is tested on: its own data, a frame of ids, a dataset, or a bare graph."""

from __future__ import annotations

from typing import TypeAlias

import pandas as pd
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import held_out_links, known_links
from pyg_negsamp.serving.ids import Ids, ids_of
from pyg_negsamp.serving.links import SavedLinks

#: See :meth:`pyg_negsamp.serving.TrainedModel.evaluate`.
TestData: TypeAlias = pd.DataFrame | InteractionDataset | HeteroData | None
OWNER = "TrainedModel"


def graph_to_test(test_data: TestData, links: SavedLinks, users: Ids, items: Ids) -> HeteroData:
    """The graph to test on, with known and held-out links of nodes 'user' and 'item'.

    Args:
        test_data: What to test on; `None` for the model's own test links.
        links: The links of the model's data.
        users: Ids of the users.
        items: Ids of the items.

    Raises:
        ValueError: If it is not of the model's users and items, or if the model was trained on
            what is held out in a dataset or graph.
    """
    if test_data is None:
        return links.test_graph()
    if isinstance(test_data, pd.DataFrame):
        for column in ("user", "item"):
            if column not in test_data:
                expected = "a frame with columns 'user' and 'item'"
                raise invalid(OWNER, "test_data", expected, list(test_data.columns))
        user = users.positions(test_data["user"], "test_data")
        item = items.positions(test_data["item"], "test_data")
        return links.graph_without(torch.stack([user, item]))
    if isinstance(test_data, InteractionDataset):
        edge_type, graph = test_data.edge_type, test_data[2]
        theirs = known_links(graph, edge_type)
        for ours, index, size in (
            (users, test_data.user_ids, theirs.num_users),
            (items, test_data.item_ids, theirs.num_items),
        ):
            if not ours.index.equals(ids_of(index, size, ours.kind).index):
                expected = f"a dataset with the model's {ours.kind} ids; or a frame with ids"
                raise invalid(OWNER, "test_data", expected, "other ids")
    elif isinstance(test_data, HeteroData):
        edge_type, graph = links.edge_type, test_data
        links.check_same_data(graph, edge_type)
    else:
        expected = "a frame, a dataset or a graph"
        raise invalid(OWNER, "test_data", expected, type(test_data).__name__)
    held_out = held_out_links(graph, edge_type).cpu()
    links.check_not_trained(held_out)
    return links.graph(known_links(graph, edge_type).index.cpu(), held_out)
