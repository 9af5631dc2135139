"""CuCo's curriculum, transferred to two-pass sampling (Chu et al., IJCAI 2021).

CuCo orders all negatives of a graph by their score and lets a pacing function say how much of the
order is in use at an epoch. AHNS ("Discussion") calls what it compares with an "anti-curriculum
pacing function", that is from hard to easy. With M candidates drawn independently, the hardest of
the first n of them has the hardness of DNS with n candidates: n falls linearly from M to 1, so
the method starts as DNS with M candidates and ends as uniform sampling.
"""

from torch import Tensor

from .pooling import descending_order
from .scoring import candidate_scores


def num_used(epoch: int, max_epochs: int, num_candidates: int, num_negatives: int = 1) -> int:
    """max(1, floor((1 - t / T) * M)), in integers: max(1, floor((T - t) * M / T)).

    In floating point (1 - 8 / 10) * 10 is 1.9999999999999996, whose floor is 1 and not 2. For K
    negatives at least K candidates are needed, so K stands in place of 1. An epoch past the last
    one counts as the last one.
    """
    if epoch < 0 or max_epochs < 1:
        raise ValueError(f"expected epoch >= 0 and max_epochs >= 1, got {epoch}, {max_epochs}")
    remaining = max(0, max_epochs - epoch)
    return max(num_negatives, remaining * num_candidates // max_epochs)


def select(
    user: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    epoch: int,
    max_epochs: int,
    num_negatives: int,
    pool: str,
) -> list[list[int]]:
    """The K hardest among the first n candidates, in the order in which they were drawn.

    Returns:
        The item ids, [B][K].
    """
    n = num_used(epoch, max_epochs, candidates.size(1), num_negatives)
    scores = candidate_scores(user, user_xs, item_xs, candidates, pool)
    ids = []
    for b in range(len(user)):
        order = descending_order(scores[b][:n])
        ids.append([int(candidates[b, order[k]]) for k in range(num_negatives)])
    return ids
