"""AHNS: adaptive hardness negative sampling (Lai et al., AAAI 2024, eq. 2-3, Algorithm 1)."""

import math

from torch import Tensor

from .pooling import descending_order
from .scoring import candidate_scores, score

# Where eq. 2 says nothing. The paper reads r_m = |s(u, m) - beta * (s(u, p) + alpha)^(p + 1)| with
# alpha > 0, beta > 0 and p < 0, and assumes "that positive samples' predicted scores are always
# positive", so its base s(u, p) + alpha is always positive. A model's scores are not. With a base
# <= 0 the power has no real value if p is not an integer, is infinite at 0 if p < -1, and for p =
# -2 it is negative: the target is then below every target of a positive base, which turns C2
# around ("for positive samples with lower predicted scores, AHNS should select items with higher
# hardnesses as negative"). The choices:
#
#   'limit'    a base <= 0 counts as the limit from above, base -> 0+. The target is then
#              +infinity for p < -1 (the hardest candidate is chosen, as by DNS), beta for p = -1
#              (as for every other base) and 0 for -1 < p < 0. It is eq. 2 wherever the base is
#              positive, and it continues the hardness beta * base^p of eq. 5, which grows as the
#              base falls: what C2 asks. This is the choice of this file. A clamp of the base to a
#              small positive number is the same where the numbers allow it; |s - 1e8| in single
#              precision, though, is equal for all candidates, so the target needs to stay small
#              or the order needs to be taken from the scores.
#   'floor'    a score <= 0 of the positive counts as 0, so the base is at least alpha: finite for
#              every p, but it is not eq. 2 for -alpha < s(u, p) < 0, where eq. 2 has a value.
#   'literal'  the real power for an integer p, an error otherwise: eq. 2 to the letter, against
#              C2 where the base is negative.


def target(
    pos_score: float, alpha: float, beta: float, p: float, nonpositive: str = "limit"
) -> float:
    """The score of the ideal negative, beta * (s(u, p) + alpha)^(p + 1) (AHNS, eq. 4)."""
    if beta == 0.0:
        return 0.0
    if nonpositive == "floor":
        pos_score = max(0.0, pos_score)
    base = pos_score + alpha
    if base > 0.0:
        return beta * base ** (p + 1.0)
    if nonpositive == "literal":
        if p != int(p) or (base == 0.0 and p < -1.0):
            raise ValueError(f"{base} ** {p + 1.0} is not a real number")
        return beta * base ** int(p + 1.0)
    if nonpositive not in ("limit", "floor"):
        raise ValueError(f"unknown choice {nonpositive!r}")
    if p < -1.0:
        return math.inf
    if p == -1.0:
        return beta
    return 0.0


def ratings(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    alpha: float,
    beta: float,
    p: float,
    pool: str,
    nonpositive: str = "limit",
) -> list[list[float]]:
    """The ratings r_m of all candidates (AHNS, eq. 2), [B][M]; all infinite for such a target."""
    scores = candidate_scores(user, user_xs, item_xs, candidates, pool)
    rows = []
    for b in range(len(user)):
        pos_score = score(user_xs, item_xs, int(user[b]), int(pos[b]), pool)
        ideal = target(pos_score, alpha, beta, p, nonpositive)
        rows.append([abs(s - ideal) for s in scores[b]])
    return rows


def select(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    alpha: float,
    beta: float,
    p: float,
    num_negatives: int,
    pool: str,
    nonpositive: str = "limit",
) -> list[list[int]]:
    """The K candidates with the smallest ratings, the smallest first (AHNS, eq. 3).

    Under an infinite target the candidate with the highest score is the closest one.

    Returns:
        The item ids, [B][K].
    """
    scores = candidate_scores(user, user_xs, item_xs, candidates, pool)
    rows = ratings(user, pos, user_xs, item_xs, candidates, alpha, beta, p, pool, nonpositive)
    ids = []
    for b in range(len(user)):
        if rows[b][0] == math.inf:
            order = descending_order(scores[b])
        else:
            order = descending_order([-r for r in rows[b]])
        ids.append([int(candidates[b, order[k]]) for k in range(num_negatives)])
    return ids
