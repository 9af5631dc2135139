"""Metrics by group: of users by how active they are, of items by how popular they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.metrics import LinkPredMetricCollection
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, short
from pyg_negsamp.evaluation.full_rank import Ranked, Scorer, joined, links_to_rank, rank
from pyg_negsamp.evaluation.items import item_thirds
from pyg_negsamp.evaluation.measures import averages, collection_for
from pyg_negsamp.evaluation.metrics import DEFAULT
from pyg_negsamp.graph import edge_type_of, is_integer, known_links
from pyg_negsamp.layers import Pool

#: Groups of users, the least active first.
USER_GROUPS = ("new", "quartile 1", "quartile 2", "quartile 3", "quartile 4")
#: Groups of items, the most popular first.
ITEM_GROUPS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Group:
    """What a model does for a group.

    Attributes:
        by: `'users'` or `'items'`, whichever were grouped.
        name: `'new'`, of users without any known link; `'quartile 1'`, of the least active others,
            to `'quartile 4'`; `'head'`, `'middle'` or `'tail'` of the items.
        least: Fewest training links of a member.
        most: Most training links of a member.
        users: Users with held-out links in the group.
        held_out: These links.
        metrics: Those of the lists of these users, keyed `'Recall@20'`.
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
    # Numpy's, as torch's takes 2^24 numbers at most.
    ends = torch.from_numpy(np.quantile(count.cpu().double().numpy(), [0.25, 0.5, 0.75]))
    return torch.searchsorted(ends.to(count.device), count.double())


@torch.no_grad()
def evaluate_groups(
    x_dict: Scorer,
    data: HeteroData,
    user_count: Tensor,
    item_count: Tensor,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = DEFAULT,
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
) -> list[Group]:
    """Evaluates as :func:`evaluate` does, for groups of users and of items.

    All unseen items compete in every list. A group of items has the held-out links of these items,
    and the users who have any. Users without any known link in `data` are a group of their own, and
    in no quartile. Groups without held-out links are left out.

    Args:
        x_dict: Embeddings, or a function that scores, as for :func:`evaluate`.
        data: A validation or test split, as for :func:`evaluate`.
        user_count: `[U]` training links of each user.
        item_count: `[I]` training links of each item.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of `METRICS`. Default: those of :func:`evaluate`.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.

    Raises:
        ValueError: As :func:`evaluate`; if counts are no integers, or not as many.
    """
    collection = collection_for(data, k, metrics, edge_type)
    check_counts(data, user_count, item_count, edge_type)
    blocks = list(joined(rank(x_dict, data, max(k), pool, edge_type)))
    return by_group(blocks, data, user_count, item_count, collection, edge_type)


def check_counts(
    data: HeteroData, user_count: Tensor, item_count: Tensor, edge_type: EdgeType | None
) -> None:
    """Refuses what are not numbers of links, one for each user and for each item."""
    links = known_links(data, edge_type)
    for name, of_each, size in (
        ("user_count", user_count, links.num_users),
        ("item_count", item_count, links.num_items),
    ):
        if not isinstance(of_each, Tensor) or of_each.shape != (size,) or not is_integer(of_each):
            expected = f"[{size}] integers, the training links of each {name[:4]}"
            raise invalid("evaluate_groups", name, expected, short(of_each))


def by_group(
    blocks: Sequence[Ranked],
    data: HeteroData,
    user_count: Tensor,
    item_count: Tensor,
    collection: LinkPredMetricCollection,
    edge_type: EdgeType | None = None,
) -> list[Group]:
    """The groups of :func:`evaluate_groups`, of lists and metrics that are there already."""
    edge_type = edge_type_of(data, edge_type)
    held_out = links_to_rank(data, edge_type).unique(dim=1)
    user_count, item_count = user_count.to(held_out.device), item_count.to(held_out.device)
    found = []
    for by, end, count, group, names in (
        ("users", 0, user_count, user_groups(data, user_count, edge_type), USER_GROUPS),
        ("items", 1, item_count, item_thirds(item_count), ITEM_GROUPS),
    ):
        for number, name in enumerate(names):
            links = held_out[:, group[held_out[end]] == number]
            if not links.size(1):
                continue
            # Of users those who are asked about; all items, as all compete.
            members = count[links[0].unique()] if by == "users" else count[group == number]
            least, most = int(members.min()), int(members.max())
            users = len(links[0].unique())
            values = averages(_within(blocks, group == number, end), collection)
            found.append(Group(by, name, least, most, users, links.size(1), values))
    return found


def user_groups(data: HeteroData, count: Tensor, edge_type: EdgeType) -> Tensor:
    """The position `[U]` in `USER_GROUPS` of the users with held-out links; -1 for others.

    Args:
        data: A validation or test split.
        count: `[U]` training links of each user.
        edge_type: The interactions in `data`.
    """
    user, known = links_to_rank(data, edge_type)[0].unique(), known_links(data, edge_type).index[0]
    old = user[torch.isin(user, known)]
    group = torch.full_like(count, -1)
    group[user] = 0
    if len(old):
        group[old] = 1 + user_quartiles(count[old])
    return group


def _within(blocks: Iterable[Ranked], members: Tensor, end: int) -> Iterator[Ranked]:
    """What there is of a group: its held-out links, and the users who have any.

    Args:
        blocks: Lists of all users.
        members: `[U]` or `[I]` bool, who is in the group.
        end: Whether these are users, 0, or items, 1.
    """
    for user, top, held_out in blocks:
        row, item = held_out
        row, item = held_out[:, members[item if end else user[row]]]
        mine, row = row.unique(return_inverse=True)
        if len(mine):
            yield Ranked(user[mine], top[mine], torch.stack([row, item]))
