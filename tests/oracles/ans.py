"""ANS: augmented negative sampling (Zhao et al., RecSys 2023, eq. 3-14)."""

import math
from typing import NamedTuple

from torch import Tensor

from .bpr import minus_log_sigmoid
from .pooling import descending_order, dot, layer_vectors, pool_vectors, user_vector_of_layer
from .scoring import norm, sigmoid

# How it is read, where the paper leaves it open.
#
#  1. Eq. 3, 10: the W are matrices only ("linear transformations", "W in R^{1 x d}"): no biases.
#  2. Eq. 6: the positive is split with the gate of the negative ("with the same weights
#     gate_hard"), so a positive has one pair of factors for each of its M candidates.
#  3. Eq. 5, 7: sums over the candidates of one positive. Eq. 14 has L_c + L_d outside the sum over
#     positives, with no sum of their own. Here they are summed over the candidates and, as the
#     BPR term, averaged over the batch. ``Augmented`` holds every term, for other reductions.
#  4. Eq. 5, 7: the loss L_c is a difference of scores and s(e_p'', e_n^easy) is a score: neither
#     has a lower bound. The released variant has one: for each positive ln(1 + the sum of exp of
#     the differences), and in eq. 7 norms, averaged over the candidates in place of summed.
#  5. Eq. 7: ||.||^2 is the squared Euclidean norm. The text below it has the superscripts of
#     "e_p^easy and e_n''" exchanged; the equation is followed.
#  6. Eq. 9: sgn(0) = 0, so a dimension in which the factors agree is not augmented.
#  7. Magnitude: "we adopt a uniform distribution on the interval [0, 0.1]. [...] Second, we
#     restrict Delta to be smaller than a margin", and eq. 10 bounds ||Delta||. How it is
#     restricted is not said. Here a noise that is too long is shortened to the margin and any
#     other is left alone, which is the closest vector that meets eq. 10. The norm is Euclidean.
#  8. Eq. 10: 1 / x has no value at x = 0. There the margin is sigmoid(+infinity) = 1, the limit
#     from above and the value of 1 / 0.0 in floating point; the limit from below is 0.
#  9. Eq. 11: * between Delta and e_dir, both in R^d, is elementwise.
# 10. Eq. 13: one negative is chosen; the K-th best is the K-th negative.
# 11. The paper's encoder is a matrix factorisation with one vector per node. With H layers steps
#     3-11 are taken at every layer, with the user vector of that layer (the pooled one unless the
#     pool is 'concat'); the parts are pooled; losses, score and gain are those of the pooled
#     parts with the pooled user; one candidate is chosen for all layers. ``where='pooled'`` pools
#     first and treats the outcome as a single layer.
# 12. Table 5 names the ablations and no more. Without disentanglement the whole item is augmented
#     and compared: gate = 1 in eq. 10, the difference of eq. 8 is e_p - e_n, and there is nothing
#     for L_c and L_d to train. Without gain, epsilon = 0. Without direction, e_dir = 1 in every
#     dimension. Without magnitude, the noise is used as it is drawn. A noise in [0, 0.1] is about
#     0.06 * sqrt(d) long, 0.46 for d = 64, and the margin of a positive W (...) is above 1/2, so
#     for these little would change; Table 5 reports a collapse ("unconstrained augmentation"), so
#     the noise was probably not in [0, 0.1] either: the caller draws it.
# 13. HNS (§5.3) "is a variant of RNS, which uses our disentanglement step to extract the hard
#     factors of items and then uses only hard factors": a random candidate's e_n^hard is the
#     negative; the positive is whole, as the factor of an item with respect to a user is only
#     defined for negatives (eq. 3). L_c and L_d are kept, as nothing else trains the gate.


class Weights(NamedTuple):
    """W_item and W_user of eq. 3, [D, D], and W of eq. 10, [D]."""

    item: Tensor
    user: Tensor
    margin: Tensor


class Options(NamedTuple):
    """The ablations of Table 5, and the released variant of the losses and of the magnitude."""

    disentangle: bool = True
    gain: bool = True
    direction: bool = True
    magnitude: bool = True
    released: bool = False


FAITHFUL = Options()
RELEASED = Options(released=True)


class Factors(NamedTuple):
    """The factors of one candidate and of its positive (eq. 4 and 6)."""

    n_hard: list[float]
    n_easy: list[float]
    p_hard: list[float]  # e_p'
    p_easy: list[float]  # e_p''


class Augmented(NamedTuple):
    """Everything the method computes, for every candidate and for the chosen ones."""

    contrast: list[list[float]]  # the terms of eq. 5, [B][M]
    disentangle: list[list[float]]  # the terms of eq. 7, [B][M]
    score: list[list[float]]  # eq. 12, [B][M]
    gain: list[list[float]]  # eq. 12, [B][M]
    ids: list[list[int]]  # the chosen candidates, [B][K]
    vectors: list[list[list[list[float]]]]  # their augmented vectors, [B][K][H][D]


def matrix_times(weight: Tensor, x: list[float]) -> list[float]:
    """W x: component d is the dot product of row d of W with x."""
    y = []
    for d in range(len(x)):
        total = 0.0
        for j in range(len(x)):
            total += float(weight[d, j]) * x[j]
        y.append(total)
    return y


def hard_gate(weights: Weights, e_u: list[float], e_n: list[float]) -> list[float]:
    """The weight of every dimension, sigmoid(W_item e_n * W_user e_u) (eq. 3)."""
    of_item = matrix_times(weights.item, e_n)
    of_user = matrix_times(weights.user, e_u)
    return [sigmoid(of_item[d] * of_user[d]) for d in range(len(e_n))]


def disentangle(weights: Weights, e_u: list[float], e_p: list[float], e_n: list[float]) -> Factors:
    """The hard and easy factors of a candidate and of its positive (eq. 3, 4 and 6)."""
    gate = hard_gate(weights, e_u, e_n)
    D = len(e_n)
    n_hard = [e_n[d] * gate[d] for d in range(D)]
    n_easy = [e_n[d] - n_hard[d] for d in range(D)]
    p_hard = [e_p[d] * gate[d] for d in range(D)]
    p_easy = [e_p[d] - p_hard[d] for d in range(D)]
    return Factors(n_hard, n_easy, p_hard, p_easy)


def contrast_term(e_u: list[float], n_hard: list[float], n_easy: list[float]) -> float:
    """One term of eq. 5: s(u, easy) - s(u, hard)."""
    return dot(e_u, n_easy) - dot(e_u, n_hard)


def disentangle_term(factors: Factors, released: bool) -> float:
    """One term of eq. 7: ||e_p' - hard||^2 + s(e_p'', easy).

    Released: ||e_p' - hard||, not squared, plus the norm of the elementwise product of e_p'' and
    easy.
    """
    D = len(factors.n_hard)
    distance = norm([factors.p_hard[d] - factors.n_hard[d] for d in range(D)])
    if released:
        return distance + norm([factors.p_easy[d] * factors.n_easy[d] for d in range(D)])
    return distance**2 + dot(factors.p_easy, factors.n_easy)


def sign(x: float) -> float:
    """-1, 0 or 1."""
    if x > 0.0:
        return 1.0
    if x < 0.0:
        return -1.0
    return 0.0


def margin(weights: Weights, n_hard: list[float], p_hard: list[float]) -> float:
    """The bound sigmoid(1 / (W (hard * e_p'))) of eq. 10."""
    total = 0.0
    for d in range(len(n_hard)):
        total += float(weights.margin[d]) * n_hard[d] * p_hard[d]
    if total == 0.0:
        return 1.0
    return sigmoid(1.0 / total)


def regulate(noise: list[float], bound: float, released: bool) -> list[float]:
    """Delta: the noise, shortened to the bound if it is longer (eq. 10).

    Released: the noise normalised to length 1, times the bound, times 0.1.
    """
    length = norm(noise)
    if length == 0.0:
        return list(noise)
    if released:
        return [0.1 * bound * x / length for x in noise]
    if length <= bound:
        return list(noise)
    return [bound * x / length for x in noise]


def augment(
    weights: Weights,
    e_p: list[float],
    e_n: list[float],
    factors: Factors,
    noise: list[float],
    options: Options,
) -> list[float]:
    """The augmented candidate easy + Delta * e_dir + hard (eq. 8 to 11)."""
    D = len(e_n)
    if options.disentangle:
        difference = [factors.p_easy[d] - factors.n_easy[d] for d in range(D)]  # eq. 8
    else:
        difference = [e_p[d] - e_n[d] for d in range(D)]
    direction = [sign(difference[d]) if options.direction else 1.0 for d in range(D)]  # eq. 9
    delta = list(noise)
    if options.magnitude:
        if options.disentangle:
            bound = margin(weights, factors.n_hard, factors.p_hard)
        else:
            bound = margin(weights, e_n, e_p)
        delta = regulate(noise, bound, options.released)
    if not options.disentangle:
        return [e_n[d] + delta[d] * direction[d] for d in range(D)]
    return [factors.n_easy[d] + delta[d] * direction[d] + factors.n_hard[d] for d in range(D)]


def layers_of(
    xs: list[Tensor], index: int, pool: str, where: str
) -> tuple[list[list[float]], list[float]]:
    """The vectors at which the method works, one per layer or the pooled one, and the pooled."""
    layers = layer_vectors(xs, index)
    whole = pool_vectors(layers, pool)
    return ([whole] if where == "pooled" else layers), whole


def together(layers: list[list[float]], pool: str, where: str) -> list[float]:
    """Pool the layers of a part, unless there is only the pooled one."""
    return layers[0] if where == "pooled" else pool_vectors(layers, pool)


def ans(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    noise: Tensor,
    weights: Weights,
    epsilon: float,
    num_negatives: int,
    pool: str,
    options: Options = FAITHFUL,
    where: str = "layer",
) -> Augmented:
    """All of ANS for a batch (eq. 3 to 13).

    Args:
        user: The users, [B].
        pos: The positive items, [B].
        user_xs: The layers of the users, H times [U, D].
        item_xs: The layers of the items, H times [I, D].
        candidates: The candidate items, [B, M].
        noise: The noise before it is regulated, [B, M, H, D]; in the paper uniform on [0, 0.1].
        weights: The learned matrices.
        epsilon: The weight of the augmentation gain.
        num_negatives: The number K of negatives; the paper has one.
        pool: The pool of the encoder.
        options: The ablations and the released variant.
        where: ``'layer'`` or ``'pooled'``: where the items are split and augmented. For
            ``'pooled'``, H in the noise and in the outcome is 1 and D is the pooled width.
    """
    B, M = candidates.shape
    rows = Augmented([], [], [], [], [], [])
    for b in range(B):
        user_layers, whole_u = layers_of(user_xs, int(user[b]), pool, where)
        pos_layers, _ = layers_of(item_xs, int(pos[b]), pool, where)
        contrast, disentangled, scores, gains, vectors = [], [], [], [], []
        for m in range(M):
            neg_layers, whole_n = layers_of(item_xs, int(candidates[b, m]), pool, where)
            hard, easy, p_hard, p_easy, augmented = [], [], [], [], []
            for h in range(len(neg_layers)):
                e_u = whole_u
                if where == "layer":
                    e_u = user_vector_of_layer(user_layers, h, pool)
                factors = disentangle(weights, e_u, pos_layers[h], neg_layers[h])
                noise_h = [float(x) for x in noise[b, m, h]]
                augmented.append(
                    augment(weights, pos_layers[h], neg_layers[h], factors, noise_h, options)
                )
                hard.append(factors.n_hard)
                easy.append(factors.n_easy)
                p_hard.append(factors.p_hard)
                p_easy.append(factors.p_easy)
            whole = Factors(
                together(hard, pool, where),
                together(easy, pool, where),
                together(p_hard, pool, where),
                together(p_easy, pool, where),
            )
            if options.disentangle:
                contrast.append(contrast_term(whole_u, whole.n_hard, whole.n_easy))
                disentangled.append(disentangle_term(whole, options.released))
            else:
                contrast.append(0.0)
                disentangled.append(0.0)
            s = dot(whole_u, together(augmented, pool, where))
            scores.append(s)
            gains.append(s - dot(whole_u, whole_n))
            vectors.append(augmented)
        weight = epsilon if options.gain else 0.0
        order = descending_order([scores[m] + weight * gains[m] for m in range(M)])
        rows.contrast.append(contrast)
        rows.disentangle.append(disentangled)
        rows.score.append(scores)
        rows.gain.append(gains)
        rows.ids.append([int(candidates[b, order[k]]) for k in range(num_negatives)])
        rows.vectors.append([vectors[order[k]] for k in range(num_negatives)])
    return rows


def auxiliary_loss(outcome: Augmented, gamma: float, released: bool) -> float:
    """Gamma * (L_c + L_d), averaged over the batch (eq. 5, 7, 14).

    L_c and L_d are sums over the candidates; released: ln(1 + sum of exp), and a mean.
    """
    total = 0.0
    for b in range(len(outcome.contrast)):
        if released:
            exponentials = 0.0
            for x in outcome.contrast[b]:
                exponentials += math.exp(x)
            total += math.log(1.0 + exponentials)
            total += sum(outcome.disentangle[b]) / len(outcome.disentangle[b])
        else:
            for m in range(len(outcome.contrast[b])):
                total += outcome.contrast[b][m] + outcome.disentangle[b][m]
    return gamma * total / len(outcome.contrast)


def total_loss(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    outcome: Augmented,
    gamma: float,
    pool: str,
    released: bool,
    where: str = "layer",
) -> float:
    """Eq. 14 without its L2 term: BPR on the chosen negatives plus the auxiliary loss."""
    total = 0.0
    for b in range(len(user)):
        e_u = pool_vectors(layer_vectors(user_xs, int(user[b])), pool)
        e_p = pool_vectors(layer_vectors(item_xs, int(pos[b])), pool)
        of_b = 0.0
        for vectors in outcome.vectors[b]:
            e_n = together(vectors, pool, where)
            of_b += minus_log_sigmoid(dot(e_u, e_p) - dot(e_u, e_n))
        total += of_b / len(outcome.vectors[b])
    return total / len(user) + auxiliary_loss(outcome, gamma, released)


def hns(
    user: Tensor,
    pos: Tensor,
    user_xs: list[Tensor],
    item_xs: list[Tensor],
    candidates: Tensor,
    weights: Weights,
    num_negatives: int,
    pool: str,
) -> tuple[list[list[int]], list[list[list[list[float]]]]]:
    """HNS (§5.3): the hard factors of the first K candidates, which are random items.

    Returns:
        The ids, [B][K], and the hard factors at every layer, [B][K][H][D].
    """
    ids = []
    all_vectors = []
    for b in range(len(user)):
        user_layers = layer_vectors(user_xs, int(user[b]))
        pos_layers = layer_vectors(item_xs, int(pos[b]))
        ids.append([int(candidates[b, k]) for k in range(num_negatives)])
        vectors_of_b = []
        for k in range(num_negatives):
            neg_layers = layer_vectors(item_xs, ids[b][k])
            vectors = []
            for h in range(len(item_xs)):
                e_u = user_vector_of_layer(user_layers, h, pool)
                factors = disentangle(weights, e_u, pos_layers[h], neg_layers[h])
                vectors.append(factors.n_hard)
            vectors_of_b.append(vectors)
        all_vectors.append(vectors_of_b)
    return ids, all_vectors
