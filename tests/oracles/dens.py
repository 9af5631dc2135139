"""DENS: disentangled negative sampling (Lai et al., WSDM 2023)."""

from typing import NamedTuple

from torch import Tensor

from .pooling import descending_order, dot, layer_vectors, pool_vectors, user_vector_of_layer
from .scoring import sigmoid, softplus

# How it is read.
#
# 1. Every gate is the sigmoid of the sum of two linear maps, and each map may have a bias: the two
#    biases of a gate only ever occur as their sum. Without biases they are zeros.
# 2. The four maps are shared by all layers and applied at every layer. The user vector of a layer,
#    in the gate and in the score, is the pooled one, unless the pool is 'concat': then it is the
#    user's own vector of that layer.
# 3. Selection is per layer; its score is u . ((1 - min(1, t / T0)) * n - n * g_n), so at epoch 0
#    it is u . n - u . (n * g_n), the score of the irrelevant part, and from T0 on minus the score
#    of the relevant part. A fixed factor may stand in place of 1 - min(1, t / T0).
# 4. The auxiliary loss splits the positive and the chosen negatives at every layer, pools the
#    parts, and scores them with the pooled user. Under 'mean', 'sum' and 'final' one may also
#    split the pooled vectors: ``split='pooled'``. The two agree for a single layer, and under
#    'final'; elsewhere a sigmoid in between keeps them apart.


class Gates(NamedTuple):
    """The four linear maps y = W x + c, with W [D, D] and c [D]."""

    w_i: Tensor
    w_u: Tensor
    w_n: Tensor
    w_p: Tensor
    c_i: Tensor
    c_u: Tensor
    c_n: Tensor
    c_p: Tensor


def linear(weight: Tensor, bias: Tensor, x: list[float]) -> list[float]:
    """W x + c: component d is the dot product of row d of W with x, plus c_d."""
    y = []
    for d in range(len(x)):
        total = float(bias[d])
        for j in range(len(x)):
            total += float(weight[d, j]) * x[j]
        y.append(total)
    return y


def positive_gate(gates: Gates, e_u: list[float], e_p: list[float]) -> list[float]:
    """g_p = sigmoid(W_i p + W_u u)."""
    of_item = linear(gates.w_i, gates.c_i, e_p)
    of_user = linear(gates.w_u, gates.c_u, e_u)
    return [sigmoid(of_item[d] + of_user[d]) for d in range(len(e_p))]


def negative_gate(gates: Gates, e_n: list[float], relevant_p: list[float]) -> list[float]:
    """g_n = sigmoid(W_n n + W_p (p * g_p))."""
    of_negative = linear(gates.w_n, gates.c_n, e_n)
    of_positive = linear(gates.w_p, gates.c_p, relevant_p)
    return [sigmoid(of_negative[d] + of_positive[d]) for d in range(len(e_n))]


def times(left: list[float], right: list[float]) -> list[float]:
    """The elementwise product."""
    return [left[d] * right[d] for d in range(len(left))]


def minus(left: list[float], right: list[float]) -> list[float]:
    """The elementwise difference."""
    return [left[d] - right[d] for d in range(len(left))]


def schedule(epoch: int, warm_up_epochs: int) -> float:
    """1 - min(1, t / T0)."""
    return 1.0 - min(1.0, epoch / warm_up_epochs)


def select(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    gates: Gates,
    factor: float,
    num_negatives: int,
    pool: str,
) -> list[list[list[int]]]:
    """At every layer the K candidates with the highest u . (factor * n - n * g_n).

    Args:
        user: The users, [B].
        pos: The positive items, [B].
        user_xs: The layers of the users, H times [U, D].
        item_xs: The layers of the items, H times [I, D].
        candidates: The candidate items, [B, M].
        gates: The four linear maps.
        factor: ``schedule(epoch, T0)``, or a fixed number.
        num_negatives: The number K of negatives; the paper has one.
        pool: The pool of the encoder.

    Returns:
        The item ids, [B][K][H].
    """
    H = len(item_xs)
    ids = []
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        orders = []
        for h in range(H):
            e_u = user_vector_of_layer(user_layers, h, pool)
            e_p = pos_layers[h]
            relevant_p = times(e_p, positive_gate(gates, e_u, e_p))
            scores = []
            for m in range(candidates.size(1)):
                e_n = layer_vectors(item_xs, int(candidates[b, m]))[h]
                relevant_n = times(e_n, negative_gate(gates, e_n, relevant_p))
                scaled = [factor * e_n[d] for d in range(len(e_n))]
                scores.append(dot(e_u, minus(scaled, relevant_n)))
            orders.append(descending_order(scores))
        ids.append(
            [[int(candidates[b, orders[h][k]]) for h in range(H)] for k in range(num_negatives)]
        )
    return ids


def four_terms(
    e_u: list[float],
    relevant_p: list[float],
    irrelevant_p: list[float],
    relevant_n: list[float],
    irrelevant_n: list[float],
) -> float:
    """The sum of the four contrastive terms of one positive and one negative."""
    p_in = dot(e_u, relevant_p)
    p_out = dot(e_u, irrelevant_p)
    n_in = dot(e_u, relevant_n)
    n_out = dot(e_u, irrelevant_n)
    return (
        softplus(p_out - p_in)  # the irrelevant part of p below its relevant part
        + softplus(n_in - n_out)  # the relevant part of n below its irrelevant part
        + softplus(n_in - p_in)  # the relevant part of n below that of p
        + softplus(p_out - n_out)  # the irrelevant part of p below that of n
    )


def auxiliary_loss(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    chosen: list[list[list[int]]],
    gates: Gates,
    gamma: float,
    pool: str,
    split: str = "layer",
) -> float:
    """gamma / 4 times the mean over b and k of the four terms.

    Args:
        user: The users, [B].
        pos: The positive items, [B].
        user_xs: The layers of the users, H times [U, D].
        item_xs: The layers of the items, H times [I, D].
        chosen: The ids of the chosen negatives, [B][K][H].
        gates: The four linear maps.
        gamma: The weight of the loss.
        pool: The pool of the encoder.
        split: ``'layer'`` to split every layer and pool the parts; ``'pooled'`` to split the
            pooled vectors, which needs a pool that keeps the width D.
    """  # noqa: D403
    if split not in ("layer", "pooled") or (split == "pooled" and pool == "concat"):
        raise ValueError(f"cannot split {split!r} under the pool {pool!r}")
    H = len(item_xs)
    total = 0.0
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        pooled_user = pool_vectors(user_layers, pool)
        of_b = 0.0
        for k in range(len(chosen[b])):
            neg_layers = [layer_vectors(item_xs, chosen[b][k][h])[h] for h in range(H)]
            if split == "pooled":
                e_us = [pooled_user]
                e_ps = [pool_vectors(pos_layers, pool)]
                e_ns = [pool_vectors(neg_layers, pool)]
            else:
                e_us = [user_vector_of_layer(user_layers, h, pool) for h in range(H)]
                e_ps = pos_layers
                e_ns = neg_layers
            p_in, p_out, n_in, n_out = [], [], [], []
            for h in range(len(e_ps)):
                relevant_p = times(e_ps[h], positive_gate(gates, e_us[h], e_ps[h]))
                relevant_n = times(e_ns[h], negative_gate(gates, e_ns[h], relevant_p))
                p_in.append(relevant_p)
                p_out.append(minus(e_ps[h], relevant_p))
                n_in.append(relevant_n)
                n_out.append(minus(e_ns[h], relevant_n))
            of_b += four_terms(
                pooled_user,
                pool_vectors(p_in, pool),
                pool_vectors(p_out, pool),
                pool_vectors(n_in, pool),
                pool_vectors(n_out, pool),
            )
        total += of_b / len(chosen[b])
    return gamma / 4.0 * total / len(user)
