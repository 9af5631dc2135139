"""IRGAN and AdvIR: a generator of negatives, its policy gradient, adversarial perturbation.

IRGAN: Wang et al., SIGIR 2017. AdvIR: Park & Chang, WWW 2019. Both draw the negatives from a
generator that is trained to draw those which the discriminator, here the recommender, finds
hardest. The originals draw from all items; here the draw is among the M candidates of a row.
"""

import math

from torch import Tensor

from .pooling import dot
from .scoring import log_sum_exp, norm, sigmoid, softmax, softplus


def probabilities(generator_scores: Tensor, temperature: float) -> list[list[float]]:
    """The generator's distribution over the candidates of every row, [B][M].

    p(m|u) = exp(g(u, c_m) / temperature) / sum over m' of exp(g(u, c_m') / temperature).

    Args:
        generator_scores: The scores g(u, c_m) of the candidates, [B, M].
        temperature: The temperature, above 0: towards 0 the highest score is always drawn.
    """
    B, M = generator_scores.shape
    rows = []
    for b in range(B):
        rows.append(softmax([float(generator_scores[b, m]) / temperature for m in range(M)]))
    return rows


def log_probabilities(generator_scores: Tensor, temperature: float) -> list[list[float]]:
    """The logarithm of the generator's distribution, [B][M]."""
    B, M = generator_scores.shape
    rows = []
    for b in range(B):
        logits = [float(generator_scores[b, m]) / temperature for m in range(M)]
        normaliser = log_sum_exp(logits)
        rows.append([logit - normaliser for logit in logits])
    return rows


def reward(d_neg: float, d_pos: float, kind: str) -> float:
    """What the generator earns with a negative, from the discriminator's scores.

    Args:
        d_neg: The discriminator's score of the negative.
        d_pos: The discriminator's score of the positive; only ``'pairwise'`` looks at it.
        kind: ``'softplus'``, ln(1 + exp(d_neg)), the objective in IRGAN's paper (pointwise);
            ``'sigmoid'``, 2 * (sigmoid(d_neg) - 1/2), bounded in (-1, 1), the usual one in
            practice; ``'pairwise'``, ln(1 + exp(d_neg - d_pos)), which is the discriminator's
            BPR loss on the pair, so generator and discriminator play one game.
    """
    if kind == "softplus":
        return softplus(d_neg)
    if kind == "sigmoid":
        return 2.0 * (sigmoid(d_neg) - 0.5)
    if kind == "pairwise":
        return softplus(d_neg - d_pos)
    raise ValueError(f"unknown reward {kind!r}")


def expected_reward(distribution: list[float], rewards: list[float]) -> float:
    """The mean reward under the generator's distribution: IRGAN's baseline, for one row."""
    return dot(distribution, rewards)


def batch_mean(rewards: list[list[float]]) -> float:
    """The mean of the rewards of all drawn negatives: the baseline that costs nothing."""
    total = 0.0
    count = 0
    for row in rewards:
        for value in row:
            total += value
            count += 1
    return total / count


def policy_gradient_loss(
    log_p: list[list[float]], rewards: list[list[float]], baselines: list[float]
) -> float:
    """The mean over b and k of -(reward - baseline) * ln p: REINFORCE with a baseline.

    Rewards and baselines are numbers here: only ln p depends on the generator.

    Args:
        log_p: ln of the probability of every drawn negative, [B][K].
        rewards: Its reward, [B][K].
        baselines: The baseline of every row, [B].
    """
    total = 0.0
    for b in range(len(log_p)):
        of_b = 0.0
        for k in range(len(log_p[b])):
            of_b -= (rewards[b][k] - baselines[b]) * log_p[b][k]
        total += of_b / len(log_p[b])
    return total / len(log_p)


def policy_gradient(
    generator_scores: list[float], temperature: float, drawn: int, advantage: float
) -> list[float]:
    """The gradient of -(reward - baseline) * ln p(drawn) in the generator's scores, [M].

    d ln p(drawn) / d g_m = ([m = drawn] - p(m)) / temperature.
    """
    distribution = softmax([g / temperature for g in generator_scores])
    gradient = []
    for m in range(len(generator_scores)):
        indicator = 1.0 if m == drawn else 0.0
        gradient.append(-advantage * (indicator - distribution[m]) / temperature)
    return gradient


def bpr_gradients(
    e_u: list[float], e_p: list[float], e_n: list[float]
) -> tuple[list[float], list[float], list[float]]:
    """The gradients of -ln sigmoid(u.p - u.n) in u, p and n.

    With w = sigmoid(u.n - u.p) they are w * (n - p), -w * u and w * u.
    """
    w = sigmoid(dot(e_u, e_n) - dot(e_u, e_p))
    D = len(e_u)
    of_u = [w * (e_n[d] - e_p[d]) for d in range(D)]
    of_p = [-w * e_u[d] for d in range(D)]
    of_n = [w * e_u[d] for d in range(D)]
    return of_u, of_p, of_n


def perturb(vector: list[float], gradient: list[float], epsilon: float) -> list[float]:
    """The vector plus epsilon * g / ||g||; a zero gradient moves nothing."""
    length = norm(gradient)
    if length == 0.0:
        return list(vector)
    return [vector[d] + epsilon * gradient[d] / length for d in range(len(vector))]


def perturbed_bpr(
    e_u: list[float], e_p: list[float], e_n: list[float], epsilon: float, roles: str
) -> float:
    """The BPR loss of one triplet with the vectors of some roles perturbed.

    Every role is moved along its own gradient at the unperturbed point, each to the length
    epsilon; the moves do not follow one another.

    Args:
        e_u: The user.
        e_p: The positive.
        e_n: The negative.
        epsilon: The length of the perturbation of each role.
        roles: The letters of the roles that move, out of ``'upn'``.
    """
    of_u, of_p, of_n = bpr_gradients(e_u, e_p, e_n)
    moved_u = perturb(e_u, of_u, epsilon) if "u" in roles else list(e_u)
    moved_p = perturb(e_p, of_p, epsilon) if "p" in roles else list(e_p)
    moved_n = perturb(e_n, of_n, epsilon) if "n" in roles else list(e_n)
    return softplus(dot(moved_u, moved_n) - dot(moved_u, moved_p))


def perturbed_score(e_u: list[float], e_n: list[float], epsilon: float) -> float:
    """The score of a negative moved along its own gradient: u.n + epsilon * ||u||.

    The gradient of n is a positive multiple of u, so the move is epsilon * u / ||u||.
    """
    return dot(e_u, e_n) + epsilon * math.sqrt(dot(e_u, e_u))
