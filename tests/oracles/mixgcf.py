"""MixGCF: positive mixing, then hop mixing (Huang et al., KDD 2021)."""

from torch import Tensor

from .pooling import descending_order, dot, layer_vectors, user_vector_of_layer


def mix(alpha: float, e_p: list[float], e_m: list[float]) -> list[float]:
    """Positive mixing: alpha * e_p + (1 - alpha) * e_m (MixGCF; also SDNS, eq. 4)."""
    return [alpha * e_p[d] + (1.0 - alpha) * e_m[d] for d in range(len(e_p))]


def mixgcf(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    coefficients: Tensor,
    num_negatives: int,
    pool: str,
) -> tuple[list[list[list[int]]], list[list[list[list[float]]]]]:
    """MixGCF's synthetic negatives, one vector per layer, before pooling.

    First every candidate is mixed with the positive at every layer (positive mixing), then at
    every layer one of the mixed vectors is selected by its dot product with the user vector of
    that layer (hop mixing). One coefficient alpha^(h) is shared by all candidates of a layer.
    For the k-th negative the candidates are mixed with the coefficients of that k, and the one
    that ranks k-th at the layer is taken; k = 0 is the paper's method.

    Args:
        user: The users, [B].
        pos: The positive items, [B].
        user_xs: The layers of the users, H times [U, D].
        item_xs: The layers of the items, H times [I, D].
        candidates: The candidate items, [B, M].
        coefficients: The draws of alpha from U(0, 1), [B, K, H].
        num_negatives: The number K of negatives.
        pool: The pool of the encoder.

    Returns:
        The ids of the selected candidates, [B][K][H], and the mixed vectors, [B][K][H][D].
    """
    all_ids = []
    all_vectors = []
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        ids_of_b = []
        vectors_of_b = []
        for k in range(num_negatives):
            ids = []
            vectors = []
            for h in range(len(item_xs)):
                alpha = float(coefficients[b, k, h])
                mixed = []
                for m in range(candidates.size(1)):
                    e_m = layer_vectors(item_xs, int(candidates[b, m]))[h]
                    mixed.append(mix(alpha, pos_layers[h], e_m))
                e_u = user_vector_of_layer(user_layers, h, pool)
                scores = [dot(e_u, e_mixed) for e_mixed in mixed]
                chosen = descending_order(scores)[k]
                ids.append(int(candidates[b, chosen]))
                vectors.append(mixed[chosen])
            ids_of_b.append(ids)
            vectors_of_b.append(vectors)
        all_ids.append(ids_of_b)
        all_vectors.append(vectors_of_b)
    return all_ids, all_vectors
