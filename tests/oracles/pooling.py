"""Pooling of the layers of a graph encoder, and the small vector helpers of the oracles.

A node has one vector per layer h = 0, ..., L, where layer 0 is its ego embedding.
"""

from torch import Tensor


def layer_vectors(xs: list[Tensor], index: int) -> list[list[float]]:
    """The vector of one node at every layer, as plain floats: [H][D]."""
    return [[float(value) for value in x[index]] for x in xs]


def dot(left: list[float], right: list[float]) -> float:
    """The dot product of two vectors of equal length."""
    total = 0.0
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


def pool_vectors(layers: list[list[float]], pool: str) -> list[float]:
    """Pool the layers of one node into its scoring embedding (DINS, eq. 8; LightGCN, eq. 4).

    Args:
        layers: The vector of the node at every layer, [H][D].
        pool: ``'mean'``, ``'sum'``, ``'concat'`` or ``'final'`` (the last layer only).
    """
    H = len(layers)
    D = len(layers[0])
    if pool == "concat":
        return [layers[h][d] for h in range(H) for d in range(D)]
    if pool == "final":
        return [layers[H - 1][d] for d in range(D)]
    if pool not in ("mean", "sum"):
        raise ValueError(f"unknown pool {pool!r}")
    pooled = []
    for d in range(D):
        total = 0.0
        for h in range(H):
            total += layers[h][d]
        pooled.append(total / H if pool == "mean" else total)
    return pooled


def user_vector_of_layer(layers: list[list[float]], h: int, pool: str) -> list[float]:
    """The user vector that layer h is compared with (the query of MixGCF's hop mixing).

    Under ``'concat'`` the score is a sum over the layers, so layer h is compared with the
    user's own vector of layer h. Under every other pool it is compared with the pooled vector.
    """
    if pool == "concat":
        return layers[h]
    return pool_vectors(layers, pool)


def descending_order(scores: list[float]) -> list[int]:
    """The positions m from the highest score to the lowest; on a tie the lowest m is first."""
    return sorted(range(len(scores)), key=lambda m: (-scores[m], m))
