"""Metrics of lists: over all users, and user by user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.metrics import LinkPredMetricCollection
from torch_geometric.metrics.link_pred import LinkPredMetricData
from torch_geometric.typing import EdgeType

from pyg_negsamp.evaluation.full_rank import Ranked, Scorer, joined, rank
from pyg_negsamp.evaluation.items import Items
from pyg_negsamp.evaluation.metrics import (
    ACCURACY,
    DEFAULT,
    PER_USER,
    check_metrics,
    metric_collection,
)
from pyg_negsamp.graph import edge_type_of, held_out_links
from pyg_negsamp.layers import Pool


@torch.no_grad()
def evaluate(
    x_dict: Scorer,
    data: HeteroData | Data,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = DEFAULT,
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
    block_size: int | None = None,
    with_others: bool = False,
) -> dict[str, float]:
    """Evaluates embeddings by full ranking on held-out links.

    Args:
        x_dict: A model; embeddings of users and items, `[N, D]` per node type or layers of it; or a
            function from user ids `[b]` to scores `[b, I]`. See :func:`rank`.
        data: A validation or test split: `edge_index` holds the links known at that time, which
            are left out of the lists; `edge_label_index` the held-out links. Popularity is by the
            known links. Diversity needs a `category [I]` of the items.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of Recall, NDCG, HitRatio, Precision, MAP, MRR; Coverage,
            AveragePopularity, TailShare, Gini, Personalization, Diversity. Default: the first
            eight.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        block_size: Users per block of scores; does not change the result.
        with_others: Whether all processes of a group (:mod:`torch.distributed`) do the same for
            users of their own, perhaps none, and the result is that of all of these. Default: no.

    Returns:
        What there is for the users with held-out links, keyed `'Recall@20'`: averages over them, or
        numbers of all their lists (Coverage, Gini, Personalization). As fractions, but for
        AveragePopularity, which is a number of links.

    Raises:
        ValueError: If nothing is held out, sizes disagree, embeddings or scores are not finite,
            or a metric or `k` is unknown.
    """
    collection = collection_for(data, k, metrics, edge_type, with_others)
    return evaluate_by(collection, x_dict, data, max(k), pool, edge_type, block_size, with_others)


@torch.no_grad()
def evaluate_by(
    collection: LinkPredMetricCollection,
    x_dict: Scorer,
    data: HeteroData | Data,
    k: int,
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
    block_size: int | None = None,
    with_others: bool = False,
) -> dict[str, float]:
    """What :func:`evaluate` returns, by metrics that are there already.

    To make them takes longer than to rank a small graph. What they have seen before is gone; `k` is
    the length of the longest list.
    """
    blocks = joined(rank(x_dict, data, k, pool, edge_type, block_size))
    if with_others and not (held_out := held_out_links(data, edge_type)).numel():
        collection, blocks = collection.to(held_out.device), iter(())
    return averages(blocks, collection)


@torch.no_grad()
def evaluate_users(
    x_dict: Scorer,
    data: HeteroData | Data,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = tuple(name for name in DEFAULT if name in PER_USER),
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
    block_size: int | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Evaluates as :func:`evaluate` does, user by user: what a paired test compares.

    Args:
        x_dict: What ranks, as for :func:`evaluate`.
        data: A validation or test split, as for :func:`evaluate`.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of `PER_USER`: Coverage, Gini and Personalization are of all lists
            together. Default: those that :func:`evaluate` has by default.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        block_size: Users per block of scores; does not change the result.

    Returns:
        The `[n]` users with held-out links, in ascending order, and the `[n]` values of each
        metric, keyed `'Recall@20'`; their means are what :func:`evaluate` returns. NaN, which is
        in no mean, where a user's list is too short for it: empty, or of one item for Diversity.

    Raises:
        ValueError: As :func:`evaluate`.
    """
    metrics = check_metrics(metrics, PER_USER)
    collection = collection_for(data, k, metrics, edge_type)
    blocks = joined(rank(x_dict, data, max(k), pool, edge_type, block_size))
    return by_user(blocks, collection)


def collection_for(
    data: HeteroData | Data,
    k: Sequence[int],
    metrics: Sequence[str],
    edge_type: EdgeType | None = None,
    with_others: bool = False,
) -> LinkPredMetricCollection:
    """The metrics of a split; see :func:`metric_collection`."""
    names, items = check_metrics(metrics), None
    if not {*names} <= {*ACCURACY}:
        items = Items.of(data, edge_type_of(data, edge_type))
    return metric_collection(k, names, items, with_others)


def averages(blocks: Iterable[Ranked], collection: LinkPredMetricCollection) -> dict[str, float]:
    """Metrics over all users of some blocks; what they have seen before is gone."""
    collection.reset()
    for block in blocks:
        collection.to(block.top.device).update(block.top, block.held_out)
    return {name: float(value) for name, value in collection.compute().items()}


def by_user(
    blocks: Iterable[Ranked], collection: LinkPredMetricCollection
) -> tuple[Tensor, dict[str, Tensor]]:
    """The users `[n]` of some blocks, and the values `[n]` of metrics that each has one of."""
    users: list[Tensor] = []
    values: dict[str, list[Tensor]] = {n: [] for n in collection if n.split("@")[0] in PER_USER}
    for block in blocks:
        users.append(block.user)
        lists = LinkPredMetricData(block.top, block.held_out)
        metrics = collection.to(block.top.device)
        for name, found in values.items():
            # PyG's metrics sum over users in `update`; what they sum is not public.
            found.append(metrics[name]._compute(lists).double())
    return torch.cat(users), {name: torch.cat(parts) for name, parts in values.items()}


def hits(blocks: Iterable[Ranked], k: int) -> tuple[Tensor, Tensor]:
    """The held-out links `[2, E]`, sorted by user and item, and which of them the lists hold `[E]`.

    Args:
        blocks: Lists, of at least `k` items where there are as many.
        k: How much of each list is looked at.
    """
    links, found = [], []
    for block in blocks:
        row, item = block.held_out
        links.append(torch.stack([block.user[row], item]))
        found.append((block.top[row, :k] == item.unsqueeze(1)).any(dim=1))
    return torch.cat(links, dim=1), torch.cat(found)
