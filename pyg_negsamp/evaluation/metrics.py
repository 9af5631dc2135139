"""Ranking metrics, by the names that papers print; docs/metrics.md says what each means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch_geometric.metrics import (
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMetricCollection,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)

from pyg_negsamp.errors import invalid, several_of, short
from pyg_negsamp.evaluation.beyond import (
    AveragePopularity,
    Coverage,
    Diversity,
    Gini,
    Personalization,
    TailShare,
)
from pyg_negsamp.evaluation.items import Items

#: Items in the longest list that can be asked for.
LONGEST = 10**6


@dataclass(frozen=True)
class Metric:
    """What there is to know of a metric.

    Attributes:
        kind: PyG's metric, or one of its kind: made of `k`, or of `k` and :class:`Items`.
        beyond: Whether it is beyond accuracy: it looks at the items, not at what is held out. Then
            neither more nor less of it is better by itself; of accuracy, more is.
        per_user: Whether every user has a value of it, whose mean it is.
        of: What it is a number of, if it is no share: it is not shown in percent.
        least: Length of the shortest lists that have it.
    """

    kind: Any
    beyond: bool = False
    per_user: bool = True
    of: str | None = None
    least: int = 1


METRICS: dict[str, Metric] = {
    "Recall": Metric(LinkPredRecall),
    "NDCG": Metric(LinkPredNDCG),
    "HitRatio": Metric(LinkPredHitRatio),
    "Precision": Metric(LinkPredPrecision),
    "MAP": Metric(LinkPredMAP),
    "MRR": Metric(LinkPredMRR),
    "Coverage": Metric(Coverage, beyond=True, per_user=False),
    "AveragePopularity": Metric(AveragePopularity, beyond=True, of="known links"),
    "TailShare": Metric(TailShare, beyond=True),
    "Gini": Metric(Gini, beyond=True, per_user=False),
    "Personalization": Metric(Personalization, beyond=True, per_user=False),
    "Diversity": Metric(Diversity, beyond=True, least=2),
}
#: Those that ask what is held out.
ACCURACY = tuple(name for name, metric in METRICS.items() if not metric.beyond)
#: Those that are computed where nobody says which.
DEFAULT = (*ACCURACY, "Coverage", "AveragePopularity")
#: Those that every user has a value of.
PER_USER = tuple(name for name, metric in METRICS.items() if metric.per_user)


def metric_named(column: str) -> Metric | None:
    """The metric of a column such as `'Recall@20'` or `'validation NDCG@20'`, if it is of one."""
    return METRICS.get(column.split("@")[0].split(" ")[-1])


def check_metrics(metrics: Any, among: Sequence[str] = tuple(METRICS)) -> tuple[str, ...]:
    """The names of metrics, each once; refuses what are none.

    Raises:
        ValueError: With the name that is nearest.
    """
    names = several_of("evaluate", "metrics", metrics, among)
    if not names:
        raise invalid("evaluate", "metrics", f"names out of {', '.join(among)}", metrics)
    return names


def check_list_lengths(k: Any) -> None:
    """Refuses what are no lengths of recommendation lists.

    Raises:
        ValueError: If one is no whole number of at least 1, or there is none.
    """
    lengths = k if isinstance(k, Collection) and not hasattr(k, "dtype") else ()
    if not lengths or not all(isinstance(n, Integral) and 1 <= int(n) <= LONGEST for n in lengths):
        raise invalid("evaluate", "k", f"list lengths in [1, {LONGEST}], such as (20,)", short(k))


def nobody_else() -> bool:
    """What metrics are told that are one process's own."""
    return False


def metric_collection(
    k: Sequence[int],
    metrics: Sequence[str] = ACCURACY,
    items: Items | None = None,
    with_others: bool = False,
) -> LinkPredMetricCollection:
    """Metrics of PyG's kind at every `k`, keyed `'Recall@20'` and so on.

    Those of accuracy are averages over users with held-out links: Recall divides the hits by the
    number of held-out links, Precision by `k`; NDCG has binary gains and an ideal list cut at `k`;
    MAP is the average precision, divided by the held-out links that fit in `k`; MRR is the
    reciprocal rank of the first hit. The others are described in
    :mod:`pyg_negsamp.evaluation.beyond`.

    Args:
        k: Lengths of the recommendation lists.
        metrics: Names out of `METRICS`. Default: those of accuracy.
        items: What there is to know of the items, for metrics beyond accuracy.
        with_others: Whether they are those of all processes of a group together, each of which has
            to compute them then. Default: no, as torchmetrics would otherwise wait for the others.

    Raises:
        ValueError: If a name is unknown, a `k` is no whole number of at least 1, or there is none;
            or if the metric needs what is not known of the items.
    """
    check_list_lengths(k)
    names = check_metrics(metrics)
    made = {}
    for name in names:
        metric = METRICS[name]
        if metric.beyond and items is None:
            raise invalid("evaluate", "metrics", "of accuracy, where no items are known", name)
        if name == "Diversity" and items is not None and items.category is None:
            expected = (
                "without Diversity, as items have no category (--category-column of --items-file, "
                "or data['item'].category [I])"
            )
            raise invalid("evaluate", "metrics", expected, short(metrics))
        if min(k) < metric.least:
            raise invalid("evaluate", "k", f"at least {metric.least} for {name}", short(k))
        for n in k:
            made[f"{name}@{n}"] = metric.kind(n, items) if metric.beyond else metric.kind(n)
    for metric in made.values():
        metric.set_dtype(torch.float64)  # no drift in sums over many users
        if not with_others:
            metric.distributed_available_fn = nobody_else
    return LinkPredMetricCollection(made)
