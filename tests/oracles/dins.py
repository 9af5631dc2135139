"""DINS: dimension independent mixup for hard negatives (Wu et al. 2023)."""

import math

from torch import Tensor

from .pooling import layer_vectors, user_vector_of_layer
from .selection import hardest_per_layer

# How eq. 4 and 5 are read. The text at hand does not tell the positive i and the boundary item
# i_* apart in either equation, so the subscripts follow from what the paper says around them:
#
#   eq. 4:  e_{i-}^d = alpha_d * e_{i_*}^d + (1 - alpha_d) * e_i^d
#   eq. 5:  alpha_d = exp(e_u^d * e_{i_*}^d)
#                     / (beta * exp(e_u^d * e_i^d) + exp(e_u^d * e_{i_*}^d))
#
# 1. "A larger beta leads to a smaller alpha_d, and e_{i-}^d is more similar with positive item"
#    (after eq. 5; §4.4.1 says the same): so alpha_d is the weight of the boundary item and
#    1 - alpha_d that of the positive. Algorithm 1, line 8 says it too: "the independent
#    dimensional weight matrix of boundary item i_* by (5)".
# 2. With the same item in all three exponentials alpha_d would be 1 / (beta + 1) in every
#    dimension, which is the traditional mixup that §3.2 sets itself against: both items occur.
# 3. The generated item lies between i and i_* (§3.1), so 0 <= alpha_d <= 1 for every beta that
#    is searched (§4.1.4: from 0 to 10; about 0.1 is best on Yelp2018). The denominator
#    beta * exp(i_*) + exp(i) under exp(i_*) would exceed 1 for small beta; the one above cannot.
# 4. exp(i) / (beta * exp(i_*) + exp(i)) passes 1 to 3 too, but it would give the boundary item
#    the positive's exponential. It is set aside because the numerator is printed with i_*, and
#    because the weight "of boundary item" is then its own share.
#
# Hence beta = 0 gives the boundary item and beta -> infinity gives the positive.


def boundary_weight(e_u: float, e_i: float, e_boundary: float, beta: float) -> float:
    """The weight alpha_d of the boundary item in one dimension (DINS, eq. 5)."""
    numerator = math.exp(e_u * e_boundary)
    return numerator / (beta * math.exp(e_u * e_i) + numerator)


def dins(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    beta: float,
    num_negatives: int,
    pool: str,
) -> tuple[list[list[list[int]]], list[list[list[list[float]]]]]:
    """DINS's synthetic negatives, one vector per layer, before pooling (eq. 3 to 7).

    At every layer the boundary item is the hardest candidate of that layer (eq. 3), and it is
    mixed with the positive in every dimension on its own (eq. 4 to 6). The paper makes one
    negative; the k-th negative here has the k-th hardest candidate as its boundary item.

    Returns:
        The ids of the boundary items, [B][K][H], and the mixed vectors, [B][K][H][D].
    """
    ids = hardest_per_layer(user, user_xs, item_xs, candidates, num_negatives, pool)
    all_vectors = []
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        vectors_of_b = []
        for k in range(num_negatives):
            vectors = []
            for h in range(len(item_xs)):
                e_u = user_vector_of_layer(user_layers, h, pool)
                e_i = pos_layers[h]
                e_boundary = layer_vectors(item_xs, ids[b][k][h])[h]
                vector = []
                for d in range(len(e_i)):
                    alpha = boundary_weight(e_u[d], e_i[d], e_boundary[d], beta)
                    vector.append(alpha * e_boundary[d] + (1.0 - alpha) * e_i[d])
                vectors.append(vector)
            vectors_of_b.append(vectors)
        all_vectors.append(vectors_of_b)
    return ids, all_vectors
