"""The BPR loss and its L2 term (Rendle et al., UAI 2009; DINS, eq. 2)."""

import math

from torch import Tensor


def minus_log_sigmoid(x: float) -> float:
    """-ln(1 / (1 + exp(-x))) = ln(1 + exp(-x)), never taking exp of a positive number.

    For x < 0: ln(1 + exp(-x)) = ln(exp(-x) * (exp(x) + 1)) = -x + ln(1 + exp(x)).
    """
    if x >= 0.0:
        return math.log1p(math.exp(-x))
    return -x + math.log1p(math.exp(x))


def bpr_loss(pos: Tensor, neg: Tensor, weight: Tensor | None = None) -> float:
    """The mean over b of the mean over k of -ln sigmoid(pos_b - neg_bk).

    Args:
        pos: The scores of the positives, [B].
        neg: The scores of their negatives, [B, K].
        weight: With weights, [B, K], their weighted mean stands in place of the mean over k.
    """
    B, K = neg.shape
    total = 0.0
    for b in range(B):
        of_b = 0.0
        for k in range(K):
            w = 1.0 / K if weight is None else float(weight[b, k] / weight[b].sum())
            of_b += w * minus_log_sigmoid(float(pos[b]) - float(neg[b, k]))
        total += of_b
    return total / B


def l2(user: Tensor, pos: Tensor, neg: Tensor) -> float:
    """The sum over b of (||u||^2 + ||p||^2 + sum over k of ||n_k||^2), divided by 2 B.

    Args:
        user: The layer 0 vectors of the users, [B, D].
        pos: The layer 0 vectors of the positives, [B, D].
        neg: The layer 0 vectors of the negatives, [B, K, D].
    """
    B, K, D = neg.shape
    total = 0.0
    for b in range(B):
        for d in range(D):
            total += float(user[b, d]) ** 2
            total += float(pos[b, d]) ** 2
            for k in range(K):
                total += float(neg[b, k, d]) ** 2
    return total / (2 * B)
