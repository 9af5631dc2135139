"""The self-adversarial loss (RotatE, arXiv 1902.10197, eq. 5 and 6)."""

import math

from torch import Tensor

from .scoring import log_sum_exp


def self_adversarial_loss(
    pos: Tensor, neg: Tensor, alpha: float, weight: Tensor | None = None
) -> float:
    """The mean over b of half of -ln sigmoid(s_b) - sum_k p_bk ln sigmoid(-s_bk).

    p is a softmax of alpha times the negatives' scores, each times its weight before it is
    normalised. A row whose weights are all 0 adds 0.

    Args:
        pos: The scores of the positives, [B].
        neg: The scores of their negatives, [B, K].
        alpha: The temperature of sampling.
        weight: The weights of the negatives, [B, K]. None is 1 each.
    """
    B, K = neg.shape
    total = 0.0
    for b in range(B):
        used = [k for k in range(K) if weight is None or float(weight[b, k]) > 0]
        if not used:
            continue
        logits = []
        for k in used:
            logit = alpha * float(neg[b, k])
            if weight is not None:
                logit += math.log(float(weight[b, k]))
            logits.append(logit)
        whole = log_sum_exp(logits)
        row = log_sum_exp([0.0, -float(pos[b])])
        for k, logit in zip(used, logits, strict=True):
            row += math.exp(logit - whole) * log_sum_exp([0.0, float(neg[b, k])])
        total += row / 2
    return total / B
