"""Hard negatives selected among the candidates, without mixing."""

from torch import Tensor

from .pooling import descending_order, dot, layer_vectors, pool_vectors, user_vector_of_layer


def dns(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    num_negatives: int,
    pool: str,
) -> list[list[int]]:
    """Dynamic negative sampling (Zhang et al. 2013; SDNS, eq. 3).

    The paper takes the one candidate with the highest score; here the K highest are returned,
    the highest first. ``pos`` plays no part in it. A candidate drawn twice may be returned twice.

    Returns:
        The item ids, [B][K].
    """
    ids = []
    for b in range(len(user)):
        e_u = pool_vectors(layer_vectors(user_xs, int(user[b])), pool)
        scores = []
        for m in range(candidates.size(1)):
            e_m = pool_vectors(layer_vectors(item_xs, int(candidates[b, m])), pool)
            scores.append(dot(e_u, e_m))
        order = descending_order(scores)
        ids.append([int(candidates[b, order[k]]) for k in range(num_negatives)])
    return ids


def hardest_per_layer(
    user: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    num_negatives: int,
    pool: str,
) -> list[list[list[int]]]:
    """The boundary items of DINS (eq. 3, applied at every layer as §3.3 asks).

    At layer h the candidates are ranked by the dot product of the user vector of that layer
    with e_m^(h). The paper takes the first one; the k-th one is the k-th negative here.

    Returns:
        The item ids, [B][K][H].
    """
    H = len(item_xs)
    ids = []
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        orders = []
        for h in range(H):
            e_u = user_vector_of_layer(user_layers, h, pool)
            scores = []
            for m in range(candidates.size(1)):
                e_m = layer_vectors(item_xs, int(candidates[b, m]))[h]
                scores.append(dot(e_u, e_m))
            orders.append(descending_order(scores))
        ids.append(
            [[int(candidates[b, orders[h][k]]) for h in range(H)] for k in range(num_negatives)]
        )
    return ids
