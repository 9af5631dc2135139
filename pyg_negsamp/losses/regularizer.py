"""L2 regularisation of the embeddings that a batch touches."""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.numerics import wide


def l2_penalty(user: Tensor, pos: Tensor, neg: Tensor, times: Tensor | None = None) -> Tensor:
    r"""Half the squared norms of a batch's ego embeddings, per positive.

    .. math:: \frac{1}{2 B} \sum_b \left( \|u_b\|^2 + \|p_b\|^2 + \sum_k \|n_{bk}\|^2 \right)

    As LightGCN (arXiv:2002.02126, eq. 15) and the codes derived from it regularise: rows of
    layer 0 only, and as often as they occur in the batch. Synthetic negatives count with the
    layer 0 that was made for them, and rows that all positives share count once.

    Args:
        user: `[B, D]` layer-0 rows of the users.
        pos: `[B, D]` layer-0 rows of the positives.
        neg: `[B, K, D]` layer-0 rows of the negatives, or `[K, D]` of shared ones.
        times: How often each of them counts, `[I]` with a table `neg` `[I, D]`. Default: once.

    Returns:
        A scalar, to be multiplied by the coefficient; in single precision at least.
    """
    user, pos, neg = wide(user), wide(pos), wide(neg)
    squares = neg.square()
    of_neg = squares.sum() if times is None else times.to(neg.dtype) @ squares.sum(1)
    total = user.square().sum() + pos.square().sum() + of_neg
    return total / (2 * max(user.size(0), 1))
