"""Full-ranking evaluation (the protocol of LightGCN, He et al. 2020, §4.1), with @k metrics."""

import math

from torch import Tensor

from .pooling import dot, layer_vectors, pool_vectors


def rank_items(
    e_u: list[float], item_vectors: list[list[float]], known_items: set[int]
) -> list[int]:
    """All items that are not known, the highest score first; on a tie the lower id is first."""
    scores = {}
    for i in range(len(item_vectors)):
        if i not in known_items:
            scores[i] = dot(e_u, item_vectors[i])
    return sorted(scores, key=lambda i: (-scores[i], i))


def user_metrics(ranking: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """The metrics of one user at one k; ``relevant`` holds the user's held-out items."""
    hits = 0
    dcg = 0.0
    precision_sum = 0.0
    reciprocal_rank = 0.0
    for rank in range(1, min(k, len(ranking)) + 1):
        if ranking[rank - 1] in relevant:
            hits += 1
            dcg += 1.0 / math.log2(rank + 1)
            precision_sum += hits / rank
            if hits == 1:
                reciprocal_rank = 1.0 / rank
    ideal_dcg = 0.0
    for rank in range(1, min(k, len(relevant)) + 1):
        ideal_dcg += 1.0 / math.log2(rank + 1)
    return {
        "Recall": hits / len(relevant),
        "NDCG": dcg / ideal_dcg,
        "HitRatio": 1.0 if hits > 0 else 0.0,
        "Precision": hits / k,
        "MAP": precision_sum / min(k, len(relevant)),
        "MRR": reciprocal_rank,
    }


def evaluate(
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    known: list[tuple[int, int]],
    held_out: list[tuple[int, int]],
    ks: list[int],
    pool: str,
) -> dict[str, float]:
    """The average of every metric at every k over the users with held-out items.

    A pair given twice counts once. A held-out item that is known too is not ranked, so it is
    missed, and it stays among the user's held-out items. Without any held-out item all is 0.

    Returns:
        The metrics, with keys such as ``'Recall@20'``.
    """
    U = user_xs[0].size(0)
    I = item_xs[0].size(0)  # noqa: E741
    item_vectors = [pool_vectors(layer_vectors(item_xs, i), pool) for i in range(I)]
    totals = {
        f"{name}@{k}": 0.0
        for name in ("Recall", "NDCG", "HitRatio", "Precision", "MAP", "MRR")
        for k in ks
    }
    num_users = 0
    for u in range(U):
        known_items = {i for v, i in known if v == u}
        relevant = {i for v, i in held_out if v == u}
        if len(relevant) == 0:
            continue
        num_users += 1
        e_u = pool_vectors(layer_vectors(user_xs, u), pool)
        ranking = rank_items(e_u, item_vectors, known_items)
        for k in ks:
            for name, value in user_metrics(ranking, relevant, k).items():
                totals[f"{name}@{k}"] += value
    if num_users == 0:
        return totals
    return {key: total / num_users for key, total in totals.items()}
