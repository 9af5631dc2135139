"""SDNS: positive-dominated negative synthesizing, and the soft BPR loss (sdns, eq. 3-10)."""

from torch import Tensor

from .bpr import minus_log_sigmoid
from .mixgcf import mix
from .pooling import layer_vectors
from .selection import dns

# SDNS with BPR is DNS with soft BPR (eq. 7). Pooling (mean, sum, concat, final) is linear in the
# layers, so with e_j' = alpha * e_i + (1 - alpha) * e_j at every layer
#
#     pool(e_j') = alpha * pool(e_i) + (1 - alpha) * pool(e_j)
#     s(u, j') = alpha * s(u, i) + (1 - alpha) * s(u, j)
#     s(u, i) - s(u, j') = (1 - alpha) * (s(u, i) - s(u, j)),
#
# which is the argument of the sigmoid in eq. 10. Both sides are the same function of the
# embeddings, so the gradients are the same too, with j fixed by the selection.
#
# Signs: eq. 1 and 10 print the sum of ln sigmoid(s(u, i) - s(u, j)), which is to be maximised, and
# eq. 6 and 7 print ln sigmoid(s(u, j) - s(u, i)). The gradient in eq. 8 and 9 has the factor 1 -
# sigmoid(s(u, i) - s(u, j)), that of ln sigmoid(s(u, i) - s(u, j)). The loss below is minus that.


def sdns(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    alpha: float,
    num_negatives: int,
    pool: str,
) -> tuple[list[list[int]], list[list[list[list[float]]]]]:
    """SDNS's synthetic negatives, one vector per layer, before pooling (sdns, eq. 3 and 5).

    The candidates are ranked by the score of the pooled embeddings (eq. 3), and every layer of
    the chosen one is mixed with that layer of the positive (eq. 5).

    Returns:
        The ids of the chosen candidates, [B][K], and the mixed vectors, [B][K][H][D].
    """
    ids = dns(user, pos, user_xs, item_xs, candidates, num_negatives, pool)
    all_vectors = []
    for b in range(len(user)):
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        vectors_of_b = []
        for k in range(num_negatives):
            neg_layers = layer_vectors(item_xs, ids[b][k])
            vectors = []
            for h in range(len(item_xs)):
                vectors.append(mix(alpha, pos_layers[h], neg_layers[h]))
            vectors_of_b.append(vectors)
        all_vectors.append(vectors_of_b)
    return ids, all_vectors


def soft_bpr_loss(pos: Tensor, neg: Tensor, alpha: float) -> float:
    """The mean over b of the mean over k of -ln sigmoid((1 - alpha) * (pos - neg)) (eq. 10).

    Args:
        pos: The scores of the positives, [B].
        neg: The scores of their negatives, [B, K].
        alpha: The share of the positive; 1 - alpha is the paper's soft factor.
    """
    B, K = neg.shape
    total = 0.0
    for b in range(B):
        of_b = 0.0
        for k in range(K):
            of_b += minus_log_sigmoid((1.0 - alpha) * (float(pos[b]) - float(neg[b, k])))
        total += of_b / K
    return total / B
