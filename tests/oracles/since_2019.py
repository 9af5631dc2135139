"""The losses of newer papers, written from their formulas with loops over scalars.

A scalar is a double tensor of shape [], so autograd gives the gradient of every loss here.

What holds for all of them:

- `pos` [B] and `neg` [B, K] are double tensors; a loss with a temperature divides by it itself.
- `weight` [B, K] is 0 or 1, or None for 1 everywhere. A negative of weight 0 does not count at
  all: not in a sum, not in a mean, not in K.
- The result is the mean over the B rows. A row none of whose negatives count adds 0, and stays
  in B. LLPAUC alone leaves such a row out.
- What a formula holds constant (sg) is detached.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def constant(value: float) -> Tensor:
    """A number as a scalar."""
    return torch.tensor(value, dtype=torch.double)


def counted(neg: Tensor, weight: Tensor | None, b: int) -> list[int]:
    """The columns of row b that count."""
    return [k for k in range(neg.shape[1]) if weight is None or float(weight[b, k]) != 0.0]


def log_sum_exp(values: Sequence[Tensor]) -> Tensor:
    """The logarithm of the sum of the exponentials, with the largest value taken out first."""
    largest = max(float(value.detach()) for value in values)
    total = constant(0.0)
    for value in values:
        total = total + torch.exp(value - largest)
    return largest + torch.log(total)


def log_mean_exp(values: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of the exponentials."""
    return log_sum_exp(values) - math.log(len(values))


def mean(values: Sequence[Tensor]) -> Tensor:
    """The sum over the number."""
    total = constant(0.0)
    for value in values:
        total = total + value
    return total / len(values)


def log_sigmoid(x: Tensor) -> Tensor:
    """ln(1 / (1 + exp(-x))), never taking exp of a positive number."""
    if float(x.detach()) >= 0.0:
        return -torch.log(1.0 + torch.exp(-x))
    return x - torch.log(1.0 + torch.exp(x))


def positive_part(x: Tensor) -> Tensor:
    """The number if it is above 0, else a constant 0."""
    return x if float(x.detach()) > 0.0 else constant(0.0)


def softmax(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    temperature: float,
    with_positive: bool = True,
) -> Tensor:
    """-ln of the positive's share of exp(score / temperature) (Wu et al., arXiv 2201.02327).

    Several papers leave the positive out of the denominator: `with_positive` False.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        negatives = [neg[b, k] / temperature for k in counted(neg, weight, b)]
        if not negatives:
            continue
        positive = pos[b] / temperature
        denominator = [positive, *negatives] if with_positive else negatives
        total = total + log_sum_exp(denominator) - positive
    return total / B


def softmax_logq(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    log_q: Tensor,
    pos_log_q: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """The softmax with ln Q taken from every logit (Yi et al., RecSys 2019).

    The logit is score / temperature - ln Q: the correction is not divided. The positive is
    corrected too, as in the paper. Copies of the positive are for the caller to weigh 0.

    Args:
        pos: The scores of the positives, [B].
        neg: The scores of the negatives, [B, K].
        weight: 1 where a negative counts, [B, K].
        log_q: ln Q of the negatives, [B, K].
        pos_log_q: ln Q of the positives, [B].
        temperature: What divides the scores.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        negatives = [neg[b, k] / temperature - log_q[b, k] for k in counted(neg, weight, b)]
        if not negatives:
            continue
        positive = pos[b] / temperature - pos_log_q[b]
        total = total + log_sum_exp([positive, *negatives]) - positive
    return total / B


def softmax_corrected_logq(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    log_q: Tensor,
    pos_log_q: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """The refined correction (Khrylchenko et al., arXiv 2507.09331).

    The positive is in the denominator with probability 1, so nothing is taken from its logit.
    A negative other than the positive is drawn with Q'(j) = Q(j) / (1 - Q(positive)). With
    N = the sum over k of exp(n_k) / Q'_k, the sum of exp over all other items is about N / K,
    and P = e^p / (e^p + N / K). A row's loss is sg(1 - P) (-p + ln N).

    K is the number of negatives of the row that count. Negatives that are the positive are for
    the caller to weigh 0.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        others = math.log(1.0 - math.exp(float(pos_log_q[b])))
        positive = pos[b] / temperature
        log_n = log_sum_exp([neg[b, k] / temperature - (log_q[b, k] - others) for k in ks])
        p = torch.exp(positive - log_sum_exp([positive, log_n - math.log(len(ks))]))
        total = total + (1.0 - p).detach() * (log_n - positive)
    return total / B


def bsl(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    users: Sequence[int],
    temperature: float,
    positive_temperature: float,
    negative_weight: float = 1.0,
    over: str = "rows",
) -> Tensor:
    """The bilateral softmax loss (BSL, arXiv 2312.12882).

    -ln mean e^{p / t1} over the positives of the user in the batch
    + c ln mean e^{n / t2} over negatives, t1 = positive_temperature, t2 = temperature.

    The paper's robust form is -t1 ln mean e^{p / t1} + t2 ln mean e^{n / t2}. That is t1 times
    this one with c = t2 / t1. Here c = negative_weight is free.

    The paper sums over users. Two ways for a batch of links to stand for that sum:

    - `over` "rows": a row has the positives of its user together and its own negatives; the mean
      over rows. A user with two rows counts twice, as in the other losses.
    - `over` "users": a user has its positives together and the negatives of all its rows
      together; the mean over the users of the batch.

    A row without negatives still lends its positive to the user's other rows.
    """
    B = pos.shape[0]
    positives: dict[int, list[Tensor]] = {}
    negatives: dict[int, list[Tensor]] = {}
    for b in range(B):
        own = [neg[b, k] / temperature for k in counted(neg, weight, b)]
        positives.setdefault(users[b], []).append(pos[b] / positive_temperature)
        negatives.setdefault(users[b], []).extend(own)
    total = constant(0.0)
    if over == "users":
        for user, of_user in positives.items():
            if negatives[user]:
                total = total - log_mean_exp(of_user)
                total = total + negative_weight * log_mean_exp(negatives[user])
        return total / len(positives)
    for b in range(B):
        own = [neg[b, k] / temperature for k in counted(neg, weight, b)]
        if own:
            total = total - log_mean_exp(positives[users[b]])
            total = total + negative_weight * log_mean_exp(own)
    return total / B


PSL_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda d: torch.tanh(d) + 1.0,
    "arctan": lambda d: torch.atan(d) + 1.0,
    "relu": lambda d: positive_part(d + 1.0),
    "exp": lambda d: torch.exp(d),
}


def psl(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    temperature: float,
    activation: str,
) -> Tensor:
    """The pairwise softmax loss (PSL, arXiv 2411.00163): ln sum_k s(d_k)^(1 / temperature).

    d_k = (n_k - p) / 2. The paper halves the cosine so that d is in [-1, 1]; so does this, from
    plain cosines. A sum, not a mean, is in the logarithm; the gradient is the same.

    relu is 0 at d = -1 alone. Such a negative adds nothing. The formula has no value when all
    of a row's negatives are such: a ValueError.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        terms = []
        for k in ks:
            s = PSL_ACTIVATIONS[activation]((neg[b, k] - pos[b]) / 2.0)
            if float(s.detach()) > 0.0:
                terms.append(torch.log(s) / temperature)
        if not terms:
            raise ValueError(f"ln 0: every negative of row {b} has activation 0")
        total = total + log_sum_exp(terms)
    return total / B


def softmax_at_k(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    quantile: Tensor,
    temperature: float,
    weight_temperature: float,
    detach_weight: bool = False,
) -> Tensor:
    """SL@K (arXiv 2508.05673): sigmoid((p - b_u) / tau_w) ln sum_k exp((n_k - p) / tau).

    b_u, the score of the user's K-th best item, is a constant. The formula has no stop of the
    gradient of the sigmoid, so it flows; `detach_weight` stops it. While it flows, a sum in the
    logarithm and a mean have different gradients: it is a sum.

    Args:
        pos: The cosines of the positives, [B].
        neg: The cosines of the negatives, [B, K].
        weight: 1 where a negative counts, [B, K].
        quantile: b_u of the user of each row, [B].
        temperature: tau.
        weight_temperature: tau_w.
        detach_weight: Whether the sigmoid is held constant.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        in_top = torch.exp(log_sigmoid((pos[b] - quantile[b].detach()) / weight_temperature))
        if detach_weight:
            in_top = in_top.detach()
        total = total + in_top * log_sum_exp([(neg[b, k] - pos[b]) / temperature for k in ks])
    return total / B


def user_quantile(train_scores: Sequence[float], sampled_scores: Sequence[float], k: int) -> float:
    """b_u of SL@K: the k-th largest of the user's training items and of items drawn uniformly.

    An item that is in both, or was drawn twice, is there twice: the sample is not thinned.
    """
    together = sorted([*train_scores, *sampled_scores], reverse=True)
    if len(together) < k:
        raise ValueError(f"{len(together)} scores have no {k}-th best")
    return together[k - 1]


def ccl(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    margin: float,
    negative_weight: float,
) -> Tensor:
    """The cosine contrastive loss (SimpleX, arXiv 2109.12613).

    (1 - p) + mu / K times the sum over k of max(0, n_k - margin), mu = negative_weight.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        far = mean([positive_part(neg[b, k] - margin) for k in ks])
        total = total + (1.0 - pos[b]) + negative_weight * far
    return total / B


def gbce(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    num_items: int,
    t: float,
) -> Tensor:
    """Generalised binary cross-entropy (gSASRec, arXiv 2308.07192).

    a = K / (num_items - 1), b = a (t (1 - 1 / a) + 1 / a) = 1 - t + a t. A row's loss is
    -(b ln sigmoid(p) + the sum over k of ln(1 - sigmoid(n_k))) / (K + 1). t = 0 is BCE.
    K is the number of negatives of the row that count, in a as well.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        rate = len(ks) / (num_items - 1)
        beta = rate * (t * (1.0 - 1.0 / rate) + 1.0 / rate)
        row = beta * log_sigmoid(pos[b])
        for k in ks:
            row = row + log_sigmoid(-neg[b, k])
        total = total - row / (len(ks) + 1)
    return total / B


def hinge(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    margin: float,
    adaptive: bool = True,
) -> Tensor:
    """max(0, margin - p + n) with the largest negative of the row: the adaptive hinge.

    Not adaptive: the mean over the row's negatives of the hinge with each.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        if adaptive:
            best = ks[0]
            for k in ks:
                if float(neg[b, k].detach()) > float(neg[b, best].detach()):
                    best = k
            ks = [best]
        total = total + mean([positive_part(margin - pos[b] + neg[b, k]) for k in ks])
    return total / B


def warp(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    num_items: int,
    margin: float = 1.0,
) -> Tensor:
    """WARP (WSABIE, Weston et al., IJCAI 2011, algorithm 1). The columns are the tries, in order.

    q is the number of the first try with n > p - margin, counting from 1. The rank is about
    r = floor((num_items - 1) / q), Phi(r) = the sum of 1 / i for i = 1 to r, and the loss is
    Phi(r) (margin - p + n_q), Phi held constant. No such try: 0. A try of weight 0 was not made,
    so it has no number.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        for tries, k in enumerate(counted(neg, weight, b), start=1):
            if float(neg[b, k].detach()) > float(pos[b].detach()) - margin:
                phi = 0.0
                for i in range(1, (num_items - 1) // tries + 1):
                    phi += 1.0 / i
                total = total + phi * (margin - pos[b] + neg[b, k])
                break
    return total / B


def unit_row(rows: Tensor, b: int) -> list[Tensor]:
    """Row b over its Euclidean length."""
    squares = constant(0.0)
    for d in range(rows.shape[1]):
        squares = squares + rows[b, d] * rows[b, d]
    return [rows[b, d] / torch.sqrt(squares) for d in range(rows.shape[1])]


def squared_distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """The sum of the squared differences."""
    total = constant(0.0)
    for x, y in zip(left, right, strict=True):
        total = total + (x - y) * (x - y)
    return total


def uniformity(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """The logarithm of the mean over pairs a < b of exp(-2 |x_a - x_b|^2)."""
    terms = []
    for a in range(len(rows)):
        for b in range(a + 1, len(rows)):
            terms.append(-2.0 * squared_distance(rows[a], rows[b]))
    return log_mean_exp(terms)


def directau(user: Tensor, item: Tensor, *, gamma: float) -> Tensor:
    """DirectAU (arXiv 2206.12811) of user rows [B, D] and item rows [B, D].

    mean |u - i|^2 + gamma (uniformity(users) + uniformity(items)) / 2 on the rows over their
    lengths. A user or item that is in two rows of the batch is there twice, as in the paper's
    sums over links.
    """
    B = user.shape[0]
    users = [unit_row(user, b) for b in range(B)]
    items = [unit_row(item, b) for b in range(B)]
    align = mean([squared_distance(users[b], items[b]) for b in range(B)])
    return align + gamma * (uniformity(users) + uniformity(items)) / 2.0


def hard_contrastive(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    temperature: float,
    beta: float,
    tau_plus: float,
) -> Tensor:
    """HCL (arXiv 2010.04592), which is DCL (arXiv 2007.00224) at beta 0.

    With scores over the temperature t: E_k = e^{n_k}, w_k = E_k^beta, R = the sum of w E over
    the mean of w, G = max((R - K tau_plus e^p) / (1 - tau_plus), K e^{-1/t}), and the loss is
    -ln(e^p / (e^p + G)). The weights w are part of the objective: their gradient flows.
    At the bound, G is a constant.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        K = len(ks)
        e_pos = torch.exp(pos[b] / temperature)
        e_neg = [torch.exp(neg[b, k] / temperature) for k in ks]
        w = [e**beta for e in e_neg]
        reweighted = mean([x * e for x, e in zip(w, e_neg, strict=True)]) * K / mean(w)
        estimate = (reweighted - K * tau_plus * e_pos) / (1.0 - tau_plus)
        bound = K * math.exp(-1.0 / temperature)
        if float(estimate.detach()) < bound:
            estimate = constant(bound)
        total = total - torch.log(e_pos / (e_pos + estimate))
    return total / B


def self_adversarial(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float,
) -> Tensor:
    """The self-adversarial loss (RotatE, arXiv 1902.10197, eq. 5 and 6), with a gradient.

    Half of -ln sigmoid(p) - the sum over k of w_k ln sigmoid(-n_k), w = sg softmax(alpha n).
    The paper's margin is part of the scores here. Its eq. 5 has no half; the authors
    run it with one.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        whole = log_sum_exp([alpha * neg[b, k] for k in ks])
        row = -log_sigmoid(pos[b])
        for k in ks:
            share = torch.exp(alpha * neg[b, k] - whole).detach()
            row = row - share * log_sigmoid(-neg[b, k])
        total = total + row / 2.0
    return total / B


def adv_infonce(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    q: Tensor,
    temperature: float,
    scale: float = 1.0,
) -> Tensor:
    """AdvInfoNCE (arXiv 2310.18700): -ln(e^p / (e^p + scale K sum_k q_k e^{n_k})).

    The model lowers it over scores, the adversary raises it over q: both gradients flow. The
    paper's hardness is exp(delta_k) = K q_k, so its loss has scale 1; the authors run it
    with a further factor, `scale`. q is divided by its sum over the negatives that count.

    Args:
        pos: The cosines of the positives, [B].
        neg: The cosines of the negatives, [B, K].
        weight: 1 where a negative counts, [B, K].
        q: The adversary's probabilities, [B, K].
        temperature: What divides the cosines.
        scale: The further factor on the negatives, 1 in the paper.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        whole = mean([q[b, k] for k in ks]) * len(ks)
        positive = pos[b] / temperature
        terms = [positive]
        for k in ks:
            factor = scale * len(ks) * q[b, k] / whole
            terms.append(neg[b, k] / temperature + torch.log(factor))
        total = total + log_sum_exp(terms) - positive
    return total / B


def lambert_w(x: float) -> float:
    """The w >= -1 with w e^w = x, for x >= -1/e, by halving an interval that holds it."""
    if x <= -math.exp(-1.0):
        return -1.0
    low, high = -1.0, 1.0
    while high * math.exp(high) < x:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle * math.exp(middle) < x:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def adap_tau_user_temperature(
    user_loss: float, *, tau_0: float, beta: float, threshold: float
) -> float:
    """tau_u = tau_0 exp(W(max(-1/e, (L_u - threshold) / (2 beta)))) (Adap-tau, arXiv 2302.04775).

    W is Lambert's function, its principal branch. It is the closed form of SuperLoss: with
    s = tau_0 / tau_u, s has the least (L_u - threshold) s + beta (ln s)^2. A user of larger loss
    gets a larger temperature; one at the threshold gets tau_0; the least is tau_0 / e.

    The threshold is the mean of the users' losses (a quantile of them is used, too).
    """
    argument = max(-math.exp(-1.0), (user_loss - threshold) / (2.0 * beta))
    return tau_0 * math.exp(lambert_w(argument))


def adap_tau_global_temperature(
    *,
    positive_mean: float,
    all_mean: float,
    num_users: int,
    num_items: int,
    num_links: int,
    all_variance: float = 0.0,
) -> float:
    """tau_0 of Adap-tau: where the positives of an average user have half of the softmax.

    The mean f+ of cosines of links, the mean f of cosines of all pairs and the number D of links
    give w = 1 / tau_0 by f+ w - ln mean e^{f w} = ln(n m / (2 D)), n users and m items. To first
    order ln mean e^{f w} is f w, so tau_0 = (f+ - f) / ln(n m / (2 D)). With a variance it is
    f w + variance w^2 / 2, and w the smaller root; no root is a ValueError.
    """
    gap = positive_mean - all_mean
    needed = math.log(num_users * num_items / (2.0 * num_links))
    if all_variance == 0.0:
        return gap / needed
    under_root = gap * gap - 2.0 * all_variance * needed
    if under_root < 0.0:
        raise ValueError("no temperature gives the positives half of the softmax")
    return all_variance / (gap - math.sqrt(under_root))


def adap_tau(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    users: Sequence[int],
    temperatures: dict[int, float],
) -> Tensor:
    """The softmax in which each row has the temperature of its user, for positive and negatives.

    The temperatures are constants.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        tau = temperatures[users[b]]
        negatives = [neg[b, k] / tau for k in counted(neg, weight, b)]
        if negatives:
            total = total + log_sum_exp([pos[b] / tau, *negatives]) - pos[b] / tau
    return total / B


def sogclr_moving_means(
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    users: Sequence[int],
    moving_means: dict[int, float],
    temperature: float,
    gamma: float,
    repeated: str = "mean",
) -> dict[int, float]:
    """g_u of every user after one batch (SogCLR, arXiv 2202.12387).

    g_u becomes (1 - gamma) g_u + gamma ghat, ghat = the mean of e^{n / temperature}: gamma, 0.9
    in the paper's runs, is the weight of the new. A user who has no mean yet takes ghat, as the
    authors run it; the paper's algorithm starts from given numbers.

    The paper draws a batch without replacement. A user in two rows of a batch is here one user
    with two estimates: `repeated` "mean" takes their mean and moves once, "in_order" moves once
    a row. A user without negatives that count keeps its mean.
    """
    estimates: dict[int, list[float]] = {}
    for b in range(neg.shape[0]):
        values = [
            math.exp(float(neg[b, k].detach()) / temperature) for k in counted(neg, weight, b)
        ]
        if values:
            estimates.setdefault(users[b], []).append(sum(values) / len(values))
    after = dict(moving_means)
    for user, of_user in estimates.items():
        steps = of_user if repeated == "in_order" else [sum(of_user) / len(of_user)]
        for estimate in steps:
            old = after.get(user)
            after[user] = estimate if old is None else (1.0 - gamma) * old + gamma * estimate
    return after


def sogclr(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    users: Sequence[int],
    moving_means: dict[int, float],
    temperature: float,
) -> Tensor:
    """A value whose gradient is SogCLR's estimator (arXiv 2202.12387).

    The mean over b of -p / temperature + ghat_b / g_u, g_u the constant moving mean after this
    batch. The paper's objective is temperature times as large.

    Args:
        pos: The cosines of the positives, [B].
        neg: The cosines of the negatives, [B, K].
        weight: 1 where a negative counts, [B, K].
        users: The user of each row, [B].
        moving_means: What `sogclr_moving_means` gave for this batch.
        temperature: What divides the cosines.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        ks = counted(neg, weight, b)
        if not ks:
            continue
        estimate = mean([torch.exp(neg[b, k] / temperature) for k in ks])
        total = total - pos[b] / temperature + estimate / moving_means[users[b]]
    return total / B


def llpauc(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float,
    beta: float,
    a: Tensor,
    b: Tensor,
    gamma: Tensor,
    s_pos: Tensor,
    s_neg: Tensor,
    kappa: float | None = None,
    theta_a: Tensor | None = None,
    theta_b: Tensor | None = None,
) -> Tensor:
    """The min-max objective of LLPAUC (arXiv 2403.00844), given its auxiliary scalars.

    It is low when the best alpha of the positives are above the best beta of the negatives, by
    the square loss (1 - f + f')^2. Written by instances, with scores f in [0, 1]:

    - of a positive, l+ = (f - a)^2 - 2 (1 + gamma) f
    - of a negative, l- = (f - b)^2 + 2 (1 + gamma) f
    - the value is s_pos - mean r(s_pos - l+) / alpha + s_neg + mean r(l- - s_neg) / beta - gamma^2

    r(x) is max(0, x), or its smooth form ln(1 + exp(kappa x)) / kappa. It is least over the model,
    a, b and s_neg, and largest over gamma and s_pos: the best positives have the least l+, the
    best negatives the largest l-. At the saddle with r(x) = max(0, x) it is the mean of the square
    loss over those pairs, less 1. The order holds for gamma >= b - 1 and gamma >= -a; with
    multipliers theta_b and theta_a (both >= 0, minimised), theta_b (gamma - b + 1) and
    theta_a (gamma + a) are added, as in the two-way partial AUC it comes from (arXiv 2210.03967).

    s_pos is inside of a: the value is least in a only once s_pos has followed a.

    The mean of positives is over the rows with negatives that count. The mean of negatives is
    over each row's own and then over those rows. So here a row without them is not in B.
    """

    def r(x: Tensor) -> Tensor:
        if kappa is None:
            return positive_part(x)
        return -log_sigmoid(-kappa * x) / kappa

    positives, negatives = [], []
    for row in range(pos.shape[0]):
        ks = counted(neg, weight, row)
        if not ks:
            continue
        f = pos[row]
        positives.append(r(s_pos - ((f - a) ** 2 - 2.0 * (1.0 + gamma) * f)))
        of_row = []
        for k in ks:
            f = neg[row, k]
            of_row.append(r((f - b) ** 2 + 2.0 * (1.0 + gamma) * f - s_neg))
        negatives.append(mean(of_row))
    value = s_pos - mean(positives) / alpha + s_neg + mean(negatives) / beta - gamma**2
    if theta_a is not None:
        value = value + theta_a * (gamma + a)
    if theta_b is not None:
        value = value + theta_b * (gamma - b + 1.0)
    return value


def bias_angle(user_row: Sequence[float], item_row: Sequence[float]) -> float:
    """The angle of a user's and an item's popularity embedding, in [0, pi] (BC loss)."""
    product = sum(x * y for x, y in zip(user_row, item_row, strict=True))
    lengths = math.hypot(*user_row) * math.hypot(*item_row)
    return math.acos(max(-1.0, min(1.0, product / lengths)))


def bc_loss(
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None = None,
    *,
    bias_angles: Tensor,
    temperature: float,
) -> Tensor:
    """BC loss (arXiv 2210.11054): the softmax with a wider angle of the positive.

    theta = arccos p, M = min(bias angle, pi - theta), and the positive's cosine is
    cos(theta + M). The bias angle, [B], is large where the popularity alone does not explain the
    link. It is a constant. Where the cap holds the cosine is -1, with gradient 0.
    """
    B = pos.shape[0]
    total = constant(0.0)
    for b in range(B):
        negatives = [neg[b, k] / temperature for k in counted(neg, weight, b)]
        if not negatives:
            continue
        theta = torch.acos(pos[b])
        if float(theta.detach()) + float(bias_angles[b]) >= math.pi:
            widened = constant(-1.0)
        else:
            widened = torch.cos(theta + float(bias_angles[b]))
        positive = widened / temperature
        total = total + log_sum_exp([positive, *negatives]) - positive
    return total / B
