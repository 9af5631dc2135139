"""All that one ranking of a split tells: metrics, users one by one, groups, and hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.evaluation.full_rank import Scorer, joined, rank
from pyg_negsamp.evaluation.groups import Group, by_group
from pyg_negsamp.evaluation.measures import averages, by_user, collection_for, hits
from pyg_negsamp.evaluation.metrics import DEFAULT


@dataclass(frozen=True)
class Measured:
    """What is found of a model.

    Attributes:
        metrics: What :func:`evaluate` returns.
        user: `[n]` users with held-out links, in ascending order.
        by_user: `[n]` values of every metric that users have one of, keyed `'Recall@20'`.
        groups: What :func:`evaluate_groups` returns.
        link: `[2, E]` held-out links, each once, sorted.
        hit: `[E]` bool, which of them are in the first `k[0]` places of the lists.
    """

    metrics: dict[str, float]
    user: Tensor
    by_user: dict[str, Tensor]
    groups: list[Group]
    link: Tensor
    hit: Tensor


@torch.no_grad()
def measure(
    x_dict: Scorer,
    data: HeteroData,
    user_count: Tensor,
    item_count: Tensor,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = DEFAULT,
) -> Measured:
    """Ranks once, and looks at the lists in every way.

    Memory: the lists of all users, `[n, max(k)]`, besides that of :func:`rank`.

    Args:
        x_dict: What ranks, as for :func:`evaluate`.
        data: A validation or test split, as for :func:`evaluate`.
        user_count: `[U]` training links of each user.
        item_count: `[I]` training links of each item.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of `METRICS`. Default: those of :func:`evaluate`.

    Raises:
        ValueError: As :func:`evaluate`.
    """
    collection = collection_for(data, k, metrics)
    blocks = list(joined(rank(x_dict, data, max(k))))
    user, values = by_user(blocks, collection)
    groups = by_group(blocks, data, user_count, item_count, collection)
    return Measured(averages(blocks, collection), user, values, groups, *hits(blocks, k[0]))
