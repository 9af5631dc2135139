"""Ranking metrics, by the names that papers print."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral

import torch
from torch import Tensor
from torch_geometric.metrics import (
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMetricCollection,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)

from pyg_negsamp.errors import invalid, short

#: Items in the longest list that can be asked for.
LONGEST = 10**6

METRICS = {
    "Recall": LinkPredRecall,
    "NDCG": LinkPredNDCG,
    "HitRatio": LinkPredHitRatio,
    "Precision": LinkPredPrecision,
    "MAP": LinkPredMAP,
    "MRR": LinkPredMRR,
}


def nobody_else() -> bool:
    """What metrics are told that are one process's own."""
    return False


def metric_collection(
    k: Sequence[int], metrics: Sequence[str] = tuple(METRICS), with_others: bool = False
) -> LinkPredMetricCollection:
    """PyG's link-prediction metrics at every `k`, keyed `'Recall@20'` and so on.

    All are averages over users with held-out links: Recall divides the hits by the number of
    held-out links, Precision by `k`; NDCG has binary gains and an ideal list cut at `k`; MAP is
    the average precision, divided by the held-out links that fit in `k`; MRR is the reciprocal
    rank of the first hit.

    Args:
        k: Lengths of the recommendation lists.
        metrics: Names out of `METRICS`. Default: all.
        with_others: Whether they are those of all processes of a group together, each of which has
            to compute them then. Default: no, as torchmetrics would otherwise wait for the others.

    Raises:
        ValueError: If a name is unknown, a `k` is no whole number of at least 1, or there is none.
    """
    lengths = k if isinstance(k, Collection) and not isinstance(k, Tensor) else ()
    if not lengths or not all(isinstance(n, Integral) and 1 <= int(n) <= LONGEST for n in lengths):
        raise invalid("evaluate", "k", f"list lengths in [1, {LONGEST}], such as (20,)", short(k))
    names = (
        metrics if isinstance(metrics, Collection) and not isinstance(metrics, str | Tensor) else ()
    )
    unknown = [name for name in names if not isinstance(name, str) or name not in METRICS]
    if not names or unknown:
        got = short(unknown[0] if unknown else metrics)
        raise invalid("evaluate", "metrics", f"names out of {', '.join(METRICS)}", got)
    collection = LinkPredMetricCollection(
        {f"{name}@{length}": METRICS[name](length) for name in metrics for length in k}
    )
    for metric in collection.values():
        metric.set_dtype(torch.float64)  # no drift in sums over many users
        if not with_others:
            metric.distributed_available_fn = nobody_else
    return collection
