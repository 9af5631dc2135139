"""PRIS: personalised ranking with importance sampling (Lian, Liu & Chen, WWW 2020).

The loss weights the BPR term of a negative j by P(j|u, i), proportional to exp(-x_uij) with x_uij =
s(u, i) - s(u, j), over all unobserved items. The factor exp(-s(u, i)) cancels, so P(j|u, i) is a
softmax of s(u, j). With K proposals j_k from Q, self-normalised importance sampling gives

    w_k = (exp(s(u, j_k)) / Q(j_k)) / sum over k' of (exp(s(u, j_k')) / Q(j_k'))
        = softmax over k of (s(u, j_k) - ln Q(j_k)).

A constant factor of Q, such as its normaliser for a user, cancels.
"""

from torch import Tensor

from .bpr import minus_log_sigmoid
from .scoring import softmax


def importance_weights(neg: Tensor, log_q: Tensor) -> list[list[float]]:
    """The weights of the negatives, [B][K], from their scores and ln Q, [B, K] both."""
    B, K = neg.shape
    return [softmax([float(neg[b, k]) - float(log_q[b, k]) for k in range(K)]) for b in range(B)]


def pris_loss(pos: Tensor, neg: Tensor, log_q: Tensor) -> float:
    """The mean over b of the weighted sum over k of -ln sigmoid(pos_b - neg_bk)."""
    B, K = neg.shape
    weights = importance_weights(neg, log_q)
    total = 0.0
    for b in range(B):
        for k in range(K):
            total += weights[b][k] * minus_log_sigmoid(float(pos[b]) - float(neg[b, k]))
    return total / B
