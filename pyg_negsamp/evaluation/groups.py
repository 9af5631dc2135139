"""Metrics by group: of users by how active they are, of items by how popular they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.evaluation.full_rank import Scorer, evaluate, evaluate_users, links_to_rank
from pyg_negsamp.evaluation.metrics import METRICS
from pyg_negsamp.graph import edge_type_of
from pyg_negsamp.layers import Pool

#: Groups of items, the most popular first.
ITEM_GROUPS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Group:
    """What a model does for a group.

    Attributes:
        by: `'users'` or `'items'`, whichever were grouped.
        name: `'quartile 1'`, of the least active users, to `'quartile 4'`; `'head'`, `'middle'` or
            `'tail'` of the items.
        least: Fewest training links of a member.
        most: Most training links of a member.
        users: Users with held-out links in the group.
        held_out: These links.
        metrics: Averages over those users, keyed `'Recall@20'`.
    """

    by: str
    name: str
    least: int
    most: int
    users: int
    held_out: int
    metrics: dict[str, float]


def user_quartiles(count: Tensor) -> Tensor:
    """The quartile `[n]`, from 0, of users with `count [n]` training links.

    Users with equally many links are in the same quartile, so that some may be larger.
    """
    bounds = torch.quantile(count.double(), torch.tensor([0.25, 0.5, 0.75]).double())
    return torch.searchsorted(bounds, count.double())


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


@torch.no_grad()
def evaluate_groups(
    x_dict: Scorer,
    data: HeteroData,
    user_count: Tensor,
    item_count: Tensor,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = tuple(METRICS),
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
) -> list[Group]:
    """Evaluates as :func:`evaluate` does, for groups of users and of items.

    All unseen items compete in every list. A group of items has the held-out links of these items,
    and the users who have any. Groups without held-out links are left out.

    Args:
        x_dict: Embeddings, or a function that scores, as for :func:`evaluate`.
        data: A validation or test split, as for :func:`evaluate`.
        user_count: `[U]` training links of each user.
        item_count: `[I]` training links of each item.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of `METRICS`. Default: all.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.

    Raises:
        ValueError: As :func:`evaluate`.
    """
    edge_type = edge_type_of(data, edge_type)
    held_out = links_to_rank(data, edge_type)
    user, values = evaluate_users(x_dict, data, k, metrics, pool, edge_type)
    count, groups = user_count[user], []
    quartile = user_quartiles(count)
    for number in range(4):
        within = quartile == number
        if bool(within.any()):
            means = {name: float(value[within].mean()) for name, value in values.items()}
            links = int(torch.isin(held_out[0], user[within]).sum())
            name = f"quartile {number + 1}"
            groups.append(_group("users", name, count[within], int(within.sum()), links, means))
    third = item_thirds(item_count)
    for number, name in enumerate(ITEM_GROUPS):
        links_of = held_out[:, third[held_out[1]] == number]
        if links_of.size(1):
            found = evaluate(x_dict, _with(data, links_of, edge_type), k, metrics, pool, edge_type)
            users, links = len(links_of[0].unique()), links_of.size(1)
            groups.append(_group("items", name, item_count[third == number], users, links, found))
    return groups


def _group(
    by: str, name: str, count: Tensor, users: int, links: int, metrics: dict[str, float]
) -> Group:
    return Group(by, name, int(count.min()), int(count.max()), users, links, metrics)


def _with(data: HeteroData, held_out: Tensor, edge_type: EdgeType) -> HeteroData:
    """The same known links, with only these held out."""
    graph = HeteroData()
    for end in (0, 2):
        graph[edge_type[end]].num_nodes = data[edge_type[end]].num_nodes
    for name in ("edge_index", "adj_t"):
        if name in data[edge_type]:
            graph[edge_type][name] = data[edge_type][name]
    graph[edge_type].edge_label_index = held_out
    return graph
