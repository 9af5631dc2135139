"""DNS(M, N): uniform among the N hardest of M candidates (Shi et al., WWW 2023).

M is the number of candidates and N that of the hardest ones, so N = 1 is DNS and N = M is uniform
sampling. Mind that the two letters may stand the other way round elsewhere.
"""

from torch import Tensor

from .pooling import descending_order
from .scoring import candidate_scores


def allowed(
    user: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    n: int,
    pool: str,
) -> list[list[int]]:
    """The ids among which DNS(M, N) draws uniformly, the highest score first.

    The draw is over candidates, not over distinct items: an item that was drawn twice as a
    candidate and is among the N highest twice has two shares of 1 / N.

    Returns:
        The item ids, [B][N], with repetitions.
    """
    if not 1 <= n <= candidates.size(1):
        raise ValueError(f"expected 1 <= n <= M = {candidates.size(1)}, got n = {n}")
    scores = candidate_scores(user, user_xs, item_xs, candidates, pool)
    ids = []
    for b in range(len(user)):
        order = descending_order(scores[b])
        ids.append([int(candidates[b, order[rank]]) for rank in range(n)])
    return ids


def probabilities(allowed_ids: list[int]) -> dict[int, float]:
    """The probability of every item of one row to be the negative."""
    shares: dict[int, float] = {}
    for i in allowed_ids:
        shares[i] = shares.get(i, 0.0) + 1.0 / len(allowed_ids)
    return shares
