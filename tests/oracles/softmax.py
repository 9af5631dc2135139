"""The sampled softmax loss (Wu et al., arXiv 2201.02327) and the K-pair BPR loss."""

import math

from torch import Tensor

from .scoring import cosine, log_sum_exp


def sampled_softmax_loss(
    pos: Tensor,
    neg: Tensor,
    temperature: float,
    log_q_pos: Tensor | None = None,
    log_q_neg: Tensor | None = None,
) -> float:
    """The mean over b of -ln of the positive's share in a softmax over it and its K negatives.

    The logit of an item is score / temperature - ln Q(item): the correction of a sampled softmax
    belongs to the logit, so it is not divided by the temperature. Without ln Q of one kind there
    is no correction of that kind.

    Args:
        pos: The scores of the positives, [B].
        neg: The scores of their negatives, [B, K].
        temperature: The temperature, above 0.
        log_q_pos: ln of the probability with which each positive is proposed, [B].
        log_q_neg: ln of the probability with which each negative was proposed, [B, K].
    """
    B, K = neg.shape
    total = 0.0
    for b in range(B):
        positive = float(pos[b]) / temperature
        if log_q_pos is not None:
            positive -= float(log_q_pos[b])
        logits = [positive]
        for k in range(K):
            logit = float(neg[b, k]) / temperature
            if log_q_neg is not None:
                logit -= float(log_q_neg[b, k])
            logits.append(logit)
        total += log_sum_exp(logits) - positive
    return total / B


def cosine_scores(user: Tensor, items: Tensor) -> list[list[float]]:
    """The cosine of a user with each of its items, [B][K], from [B, D] and [B, K, D]."""
    B, K = items.shape[:2]
    rows = []
    for b in range(B):
        e_u = [float(x) for x in user[b]]
        rows.append([cosine(e_u, [float(x) for x in items[b, k]]) for k in range(K)])
    return rows


def kpair_bpr_loss(pos: Tensor, neg: Tensor) -> float:
    """The mean over b of ln(1 + the sum over k of exp(neg_bk - pos_b))."""
    B, K = neg.shape
    total = 0.0
    for b in range(B):
        differences = [float(neg[b, k]) - float(pos[b]) for k in range(K)]
        largest = max(0.0, max(differences))
        inside = math.exp(-largest)
        for difference in differences:
            inside += math.exp(difference - largest)
        total += largest + math.log(inside)
    return total / B
