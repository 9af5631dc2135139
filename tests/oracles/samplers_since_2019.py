"""What newer samplers draw, or choose, exactly: by enumeration on toy sizes.

A distribution is a dict or a list of probabilities that sum to 1. An item that is there twice in a
pool has twice the probability, unless the docstring says otherwise.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

Rows = Sequence[Sequence[float]]


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    """The sum of the products."""
    return sum(x * y for x, y in zip(left, right, strict=True))


def normalised(weights: Sequence[float]) -> list[float]:
    """Each weight over the sum of all."""
    total = sum(weights)
    return [weight / total for weight in weights]


def softmax(logits: Sequence[float]) -> list[float]:
    """The shares of exp(logit); a logit of -inf has share 0."""
    largest = max(logits)
    return normalised([math.exp(logit - largest) for logit in logits])


def by_item(items: Sequence[int], probabilities: Sequence[float]) -> dict[int, float]:
    """The probability of each item, the sum over its slots. Items of 0 are left out."""
    shares: dict[int, float] = {}
    for item, probability in zip(items, probabilities, strict=True):
        if probability > 0.0:
            shares[item] = shares.get(item, 0.0) + probability
    return shares


def bns_risks(
    positive: float,
    scores: Sequence[float],
    popularity: Sequence[float],
    reference: Sequence[float],
    *,
    total_popularity: float,
    lam: float,
) -> list[float]:
    """BNS (arXiv 2204.06520): the risk of each candidate, of which the sampler takes the least.

    - info = 1 - sigmoid(p - n), the size of the BPR gradient
    - P_fn = popularity / total popularity, the prior of a false negative
    - F = (rank + 0.5) / (m + 1), rank = how many of the m reference scores are below n. The
      paper's F is the share of scores at or below n; that reaches 0 and 1, and gives 0 / 0. The
      candidate is best not among the references; nothing is done about one that is.
    - unbias = (1 - F)(1 - P_fn) / (1 - F - P_fn + 2 F P_fn), the posterior of a true negative
    - risk = info (1 - (1 + lam) unbias)

    Args:
        positive: p, the positive's score.
        scores: n of each candidate.
        popularity: The number of links of each candidate.
        reference: Scores of items that the user does not know, all of them or a sample.
        total_popularity: The number of links of all items.
        lam: The weight of the risk of a true negative.
    """
    risks = []
    for score, links in zip(scores, popularity, strict=True):
        info = 1.0 - 1.0 / (1.0 + math.exp(score - positive))
        p_fn = links / total_popularity
        rank = sum(1 for other in reference if other < score)
        f = (rank + 0.5) / (len(reference) + 1.0)
        unbias = (1.0 - f) * (1.0 - p_fn) / (1.0 - f - p_fn + 2.0 * f * p_fn)
        risks.append(info * (1.0 - (1.0 + lam) * unbias))
    return risks


def bns_choice(risks: Sequence[float]) -> int:
    """The first candidate of the least risk."""
    best = 0
    for k in range(len(risks)):
        if risks[k] < risks[best]:
            best = k
    return best


def midx(
    user: Sequence[float],
    items: Rows,
    first: Rows,
    second: Rows,
    assigned: Sequence[tuple[int, int]],
    *,
    weights: str = "exact",
    popularity: Sequence[float] | None = None,
) -> tuple[list[float], list[list[float]], list[float], list[float]]:
    """MIDX (arXiv 2109.05773, 2501.08563): P(a), P(b | a), P(i | a, b), and their product P(i).

    Product quantisation: codebook `first` [A, D / 2] is of the first halves, `second` [C, D / 2]
    of the second, and item i has the codes `assigned[i]` = (a, b). What the codes miss of the
    item is its residual r_i = x_i - (first_a, second_b): u x_i = u1 first_a + u2 second_b + u r_i.
    With a weight w_i of each item:

    - omega_ab = the sum of w_i over the items with codes a and b
    - psi_a = the sum over b of exp(u2 second_b) omega_ab
    - P(a) = exp(u1 first_a) psi_a over the sum over a
    - P(b | a) = exp(u2 second_b) omega_ab / psi_a
    - P(i | a, b) = w_i / omega_ab

    Exact weights, w_i = exp(u r_i), give the softmax of u x_i. Uniform ones, w_i = 1, are the
    fast sampler; popularity ones, w_i = the item's popularity, its other form. A code without
    items has probability 0, and so have the P(b | a) of an a without items.
    """
    half = len(first[0])
    u1, u2 = user[:half], user[half:]
    w = []
    for i, (a, b) in enumerate(assigned):
        residual = [x - c for x, c in zip(items[i], [*first[a], *second[b]], strict=True)]
        if weights == "exact":
            w.append(math.exp(dot(user, residual)))
        elif weights == "uniform":
            w.append(1.0)
        else:
            assert popularity is not None
            w.append(popularity[i])
    omega = [[0.0 for _ in second] for _ in first]
    for i, (a, b) in enumerate(assigned):
        omega[a][b] += w[i]
    psi = [
        sum(math.exp(dot(u2, second[b])) * omega[a][b] for b in range(len(second)))
        for a in range(len(first))
    ]
    p_a = normalised([math.exp(dot(u1, first[a])) * psi[a] for a in range(len(first))])
    p_b = [
        [
            math.exp(dot(u2, second[b])) * omega[a][b] / psi[a] if psi[a] else 0.0
            for b in range(len(second))
        ]
        for a in range(len(first))
    ]
    p_i = [w[i] / omega[a][b] for i, (a, b) in enumerate(assigned)]
    product = [p_a[a] * p_b[a][b] * p_i[i] for i, (a, b) in enumerate(assigned)]
    return p_a, p_b, p_i, product


def mcns_target(scores: Sequence[float], *, alpha: float, floor: float) -> list[float]:
    """MCNS (arXiv 2005.09863): what its chain tends to, proportional to max(score, floor)^alpha.

    The paper's self-contrast approximation takes the dot product for the probability of a link.
    A dot product may be below 0: `floor`, above 0, stands for what is below it.
    """
    return normalised([max(score, floor) ** alpha for score in scores])


def mcns_proposal(num_items: int, near: Sequence[Sequence[int]]) -> list[list[float]]:
    """q(y | x) as rows x: half uniform over all items, half uniform over the items near x."""
    q = [[0.5 / num_items for _ in range(num_items)] for _ in range(num_items)]
    for x in range(num_items):
        for y in near[x]:
            q[x][y] += 0.5 / len(near[x])
    return q


def mcns_acceptance(
    x: int, y: int, scores: Sequence[float], q: Rows, *, alpha: float, floor: float
) -> float:
    """The probability that the chain at x accepts y, by Metropolis and Hastings.

    min(1, (score_y / score_x)^alpha q(x | y) / q(y | x)), scores at least `floor`, q the mixture.
    """
    ratio = max(scores[y], floor) / max(scores[x], floor)
    return min(1.0, ratio**alpha * q[y][x] / q[x][y])


def mcns_transition(
    scores: Sequence[float], q: Rows, *, alpha: float, floor: float
) -> list[list[float]]:
    """The probability of each next state y, as rows x. What is not accepted stays at x."""
    rows = []
    for x in range(len(scores)):
        row = [0.0 for _ in scores]
        for y in range(len(scores)):
            if y != x:
                accept = mcns_acceptance(x, y, scores, q, alpha=alpha, floor=floor)
                row[y] = q[x][y] * accept
        row[x] = 1.0 - sum(row)
        rows.append(row)
    return rows


def nscaching_update(
    cache: Sequence[int],
    fresh: Sequence[int],
    scores: Sequence[float],
    gumbel: Sequence[float],
) -> list[int]:
    """NSCaching (arXiv 1812.06410): the cache after one update, given Gumbel noise.

    The N1 ids of the cache and the N2 fresh ones are together the union; it is a set, so an id
    that is there again is left out with its score and noise. The new cache is the N1 ids of the
    largest score + noise, largest first: a draw without replacement in proportion to exp(score).
    A union of fewer than N1 ids is the whole cache.

    Args:
        cache: N1 ids.
        fresh: N2 ids.
        scores: The score of each id of cache and fresh, [N1 + N2].
        gumbel: The noise of each of them, [N1 + N2].
    """
    keys: dict[int, float] = {}
    for item, score, noise in zip([*cache, *fresh], scores, gumbel, strict=True):
        if item not in keys:
            keys[item] = score + noise
    return sorted(keys, key=lambda item: -keys[item])[: len(cache)]


def without_replacement(logits: Mapping[int, float], size: int) -> dict[frozenset[int], float]:
    """The probability of each set of `size` items drawn one after another by exp(logit)."""
    sets: dict[frozenset[int], float] = {}
    weights = {item: math.exp(logit) for item, logit in logits.items()}
    for order in itertools.permutations(weights, min(size, len(weights))):
        left = sum(weights.values())
        probability = 1.0
        for item in order:
            probability *= weights[item] / left
            left -= weights[item]
        drawn = frozenset(order)
        sets[drawn] = sets.get(drawn, 0.0) + probability
    return sets


def nscaching_caches(
    cache: Sequence[int], fresh: Sequence[int], scores: Sequence[float]
) -> dict[frozenset[int], float]:
    """The probability of each cache after one update, over the noise."""
    logits: dict[int, float] = {}
    for item, score in zip([*cache, *fresh], scores, strict=True):
        logits.setdefault(item, score)
    return without_replacement(logits, len(cache))


def nscaching_draw(caches: Mapping[frozenset[int], float]) -> dict[int, float]:
    """The items of one negative, drawn uniformly from the cache."""
    shares: dict[int, float] = {}
    for cache, probability in caches.items():
        for item in cache:
            shares[item] = shares.get(item, 0.0) + probability / len(cache)
    return shares


def adasir(scores: Sequence[float], log_q: Sequence[float]) -> list[float]:
    """AdaSIR (Chen et al., WWW 2022): what each slot of a pool is resampled with.

    softmax(score - log Q) over the slots, Q what the slot was drawn with. Slots are drawn with
    replacement. An item in two slots has the probability of both: see `by_item`.
    """
    return softmax([score - log for score, log in zip(scores, log_q, strict=True)])


def determinant(matrix: Rows) -> float:
    """Expansion along the first row."""
    if not matrix:
        return 1.0
    total = 0.0
    for column in range(len(matrix)):
        minor = [[*row[:column], *row[column + 1 :]] for row in matrix[1:]]
        total += (-1.0) ** column * matrix[0][column] * determinant(minor)
    return total


def cosine_kernel(rows: Rows, quality: Sequence[float] | None = None) -> list[list[float]]:
    """L_ij = quality_i quality_j cos(x_i, x_j); without qualities the cosines alone."""
    lengths = [math.sqrt(dot(row, row)) for row in rows]
    kernel = []
    for i, left in enumerate(rows):
        kernel.append(
            [dot(left, right) / (lengths[i] * lengths[j]) for j, right in enumerate(rows)]
        )
        if quality is not None:
            kernel[i] = [quality[i] * quality[j] * kernel[i][j] for j in range(len(rows))]
    return kernel


def k_dpp(
    kernel: Rows, k: int, *, given: Sequence[int] = (), ridge: float = 0.0
) -> dict[frozenset[int], float]:
    """The k-DPP of DivNS (arXiv 2508.14468): the probability of each subset Y of k items.

    det(L_Y) over the sum of det over all subsets of k items. `given` are items that are in the
    set already, the hardest negatives: then the determinants are of Y and them together, so Y
    is unlike them as well. `ridge` is added to the diagonal, for kernels of a rank below k.
    """
    free = [i for i in range(len(kernel)) if i not in given]
    weights = {}
    for subset in itertools.combinations(free, k):
        chosen = [*given, *subset]
        minor = [[kernel[i][j] + (ridge if i == j else 0.0) for j in chosen] for i in chosen]
        weights[frozenset(subset)] = max(0.0, determinant(minor))
    total = sum(weights.values())
    return {subset: weight / total for subset, weight in weights.items()}


def divns_cache(
    candidates: Sequence[int], scores: Sequence[float], *, hardest: int, size: int
) -> tuple[list[int], list[int]]:
    """DivNS: the candidates used now, and those that go to the user's cache.

    The `hardest` candidates of the largest scores are used; the next `size`, informative and not
    used, are cached. Candidates of equal scores stay in their order. An id counts once.
    """
    distinct: dict[int, float] = {}
    for item, score in zip(candidates, scores, strict=True):
        distinct.setdefault(item, score)
    order = sorted(distinct, key=lambda item: -distinct[item])
    return order[:hardest], order[hardest : hardest + size]


def divns_mix(hard: Sequence[float], diverse: Sequence[float], *, share: float) -> list[float]:
    """The row of a synthetic negative: share times the hard one, and the rest the diverse one."""
    return [share * x + (1.0 - share) * y for x, y in zip(hard, diverse, strict=True)]
