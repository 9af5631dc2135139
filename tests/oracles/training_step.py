"""A whole step of training, dense and slow: propagation, negatives, losses, L2 and Adam.

Written from what the docstrings and the papers say of each part, on plain tensors in double
precision, with torch's autograd. Nothing of the library is used. Which items a sampler draws is
given; what becomes of them is worked out here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize, softplus

#: Parameters, or numbers of a method, by name.
Named = dict[str, Tensor]
Numbers = dict[str, float]


class Chosen(NamedTuple):
    """What was drawn at a step.

    Attributes:
        user: `[B]` users of the batch.
        pos: `[B]` their positives.
        candidates: `[B, M]` items to choose from.
        index: `[B, K]` chosen items, or `[B, K, H]` with one per layer.
        state: What is drawn besides: MixGCF's coefficients `[B, K, H]`, ANS's noise
            `[B, M, H, D]`, how often each row drew BIR's items `[B, K]`.
        shared: Whether all rows share the chosen items.
    """

    user: Tensor
    pos: Tensor
    candidates: Tensor
    index: Tensor
    state: Tensor | None
    shared: bool = False


class Rows(NamedTuple):
    """The rows that a step reads, all of which gradients flow to.

    Attributes:
        user: `[B, H, D]`.
        pos: `[B, H, D]`.
        neg: `[B, K, H, D]` rows of the chosen items.
        candidates: `[B, M, H, D]` rows of the candidates.
    """

    user: Tensor
    pos: Tensor
    neg: Tensor
    candidates: Tensor


class Made(NamedTuple):
    """Negatives `[B, K, H, D]`, the sampler's own loss, and weights `[B, K]`."""

    xs: Tensor
    loss: Tensor | None = None
    weight: Tensor | None = None


# Layers -----------------------------------------------------------------------------------------


def ego(p: Named) -> Tensor:
    return p["encoder.embedding.weight"]


def mf(p: Named, A: Tensor) -> list[Tensor]:
    """The embeddings are the only layer."""
    return [ego(p)]


def biased_mf(p: Named, A: Tensor) -> list[Tensor]:
    """`[u, b_u + b, 1]` of users, `[i, 1, b_i]` of items: users are the first rows."""
    bias, one = p["encoder.biases"].view(-1, 1), torch.ones(len(A), 1, dtype=A.dtype)
    users = int(p["num_users"])
    first = torch.cat([(bias + p["encoder.global_bias"])[:users], one[users:]])
    return [torch.cat([ego(p), first, torch.cat([one[:users], bias[users:]])], dim=1)]


def lightgcn(p: Named, A: Tensor) -> list[Tensor]:
    """`X_l = A X_{l-1}`, two layers and the ego one (LightGCN, eq. 7)."""
    xs = [ego(p)]
    for _ in range(2):
        xs.append(A @ xs[-1])
    return xs


def lightgcn_without_ego(p: Named, A: Tensor) -> list[Tensor]:
    return lightgcn(p, A)[1:]


def ngcf(p: Named, A: Tensor) -> list[Tensor]:
    """`LeakyReLU((A + I) X W_1 + (A X * X) W_2)` (NGCF, eq. 7); returned with rows of norm 1."""
    xs = [ego(p)]
    for layer in range(2):
        x = xs[-1]
        w1, w2 = (
            p[f"encoder.convs.{layer}.{name}.weight"] for name in ("lin_self", "lin_interaction")
        )
        xs.append(leaky_relu((A @ x + x) @ w1.t() + ((A @ x) * x) @ w2.t(), 0.2))
    return [xs[0], *(normalize(x, dim=1) for x in xs[1:])]


def pooled(rows: Tensor, pool: str) -> Tensor:
    """`[..., H, D]` to the vectors that score."""
    if pool == "concat":
        return rows.flatten(-2)
    if pool == "final":
        return rows[..., -1, :]
    return rows.mean(-2) if pool == "mean" else rows.sum(-2)


def facing(user: Tensor, pool: str) -> Tensor:
    """The user vectors that an item's layers meet: its own ones with `concat`, or the pooled."""
    return user if pool == "concat" else pooled(user, pool).unsqueeze(-2).expand_as(user)


#: Losses of cosines; samplers then compare cosines, too.
COSINE = ("ssm", "contrastive", "in-batch-softmax", "hcl", "psl", "ccl", "bsl")


def dots(user: Tensor, item: Tensor) -> Tensor:
    """`[B, D]` and `[B, K, D]` to `[B, K]`."""
    return torch.einsum("bd,bkd->bk", user, item)


def scores(a: Numbers, user: Tensor, item: Tensor) -> Tensor:
    """What the model scores by: cosines, or dot products."""
    if a["cosine"]:
        user, item = normalize(user, dim=-1), normalize(item, dim=-1)
    return dots(user, item)


# Contrast of encoders ---------------------------------------------------------------------------


def info_nce(x: Tensor, y: Tensor, temperature: float) -> Tensor:
    """The mean over `a` of `-ln(exp(cos(x_a, y_a) / t) / sum_b exp(cos(x_a, y_b) / t))`."""
    logits = normalize(x, dim=1) @ normalize(y, dim=1).t() / temperature
    return (logits.logsumexp(dim=1) - logits.diagonal()).mean()


def noiseless_contrast(layers: list[Tensor], num_users: int, chosen: Chosen, pool: str) -> Tensor:
    """SimGCL's contrast, `weight=0.5`, of two passes without noise: a view with itself."""
    rows = pooled(torch.stack(layers, dim=1), pool)
    views = rows[chosen.user.unique()], rows[num_users + chosen.pos.unique()]
    return 0.5 * sum(info_nce(x, x, 0.2) for x in views)  # type: ignore[return-value]


# Negatives --------------------------------------------------------------------------------------


def found(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """What most samplers make of a choice: nothing."""
    return Made(rows.neg)


def sdns(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """`alpha p + (1 - alpha) n` (SDNS, eq. 5)."""
    return Made(a["alpha"] * rows.pos.unsqueeze(1) + (1 - a["alpha"]) * rows.neg)


def mixgcf(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """`alpha p + (1 - alpha) n`, with `alpha` drawn per layer."""
    assert chosen.state is not None
    alpha = chosen.state.unsqueeze(-1)
    return Made(alpha * rows.pos.unsqueeze(1) + (1 - alpha) * rows.neg)


def dins(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """`alpha_d n_d + (1 - alpha_d) p_d` (DINS, eq. 4 and 5)."""
    u, pos = facing(rows.user, pool).unsqueeze(1), rows.pos.unsqueeze(1)
    of_neg, of_pos = (u * rows.neg).exp(), (u * pos).exp()
    alpha = of_neg / (a["beta"] * of_pos + of_neg)
    return Made(alpha * rows.neg + (1 - alpha) * pos)


def dens(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """Gates and their loss, averaged over the pairs; both gates have a bias."""
    w = {name.removeprefix("sampler."): value for name, value in p.items()}
    v = facing(rows.user, pool)
    gate = rows.pos @ w["item_map.weight"].t() + w["item_map.bias"] + v @ w["user_map.weight"].t()
    p_in = (rows.pos * gate.sigmoid()).unsqueeze(1)
    gate = rows.neg @ w["neg_map.weight"].t() + w["neg_map.bias"] + p_in @ w["pos_map.weight"].t()
    n_in = rows.neg * gate.sigmoid()
    p_out, n_out = rows.pos.unsqueeze(1) - p_in, rows.neg - n_in
    user = pooled(rows.user, pool)
    terms = [
        softplus(-dots(user, pooled(x, pool)))
        for x in (p_in - p_out, n_out - n_in, p_in - n_in, n_out - p_out)
    ]
    return Made(rows.neg, a["gamma"] / 4 * sum(terms).mean())  # type: ignore[union-attr]


def ans(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """The `K` best of the augmented candidates, and `gamma (L_c + L_d)`, as released."""
    assert chosen.state is not None
    w_item, w_user, w_margin = (
        p[f"sampler.{name}_map.weight"] for name in ("item", "user", "margin")
    )
    pos, neg = rows.pos.unsqueeze(1), rows.candidates
    user = pooled(rows.user, pool)
    gate = (neg @ w_item.t() * (facing(rows.user, pool) @ w_user.t()).unsqueeze(1)).sigmoid()
    n_hard, p_hard = neg * gate, pos * gate
    n_easy, p_easy = neg - n_hard, pos - p_hard
    below = (n_hard * p_hard) @ w_margin.t()
    margin = torch.where(below == 0, 1.0, (1 / below.masked_fill(below == 0, 1.0)).sigmoid())
    delta = 0.1 * margin * normalize(chosen.state, dim=-1)
    made = n_easy + delta * (p_easy - n_easy).sign() + n_hard
    score = dots(user, pooled(made, pool))
    gain = score - dots(user, pooled(neg, pool))
    best = (score + a["epsilon"] * gain).topk(int(a["num_negatives"]), dim=1).indices
    parts = n_hard, n_easy, p_hard, p_easy
    n_hard, n_easy, p_hard, p_easy = (pooled(x, pool) for x in parts)
    contrast = (1 + (dots(user, n_easy) - dots(user, n_hard)).exp().sum(dim=1)).log()
    distance = (p_hard - n_hard).norm(dim=-1) + (p_easy * n_easy).norm(dim=-1)
    loss = a["gamma"] * (contrast + distance.mean(dim=1)).mean()
    return Made(made[torch.arange(len(best)).unsqueeze(1), best], loss)


def irgan(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """The policy gradient of the generator, `-mean((r - E[r]) ln p)`; rewards are numbers."""
    users, items = p["sampler.users.weight"], p["sampler.items.weight"]
    log_p = (dots(users[chosen.user], items[chosen.candidates]) / a["temperature"]).log_softmax(1)
    with torch.no_grad():
        user = pooled(rows.user, pool)
        of_pos = scores(a, user, pooled(rows.pos, pool).unsqueeze(1))
        reward = softplus(scores(a, user, pooled(rows.candidates, pool)) - of_pos)
        advantage = reward - (log_p.exp() * reward).sum(dim=1, keepdim=True)
    # Where an item is several times among the candidates, all have the same terms.
    where = (chosen.candidates.unsqueeze(1) == chosen.index.unsqueeze(2)).int().argmax(dim=2)
    return Made(rows.neg, -(advantage * log_p).gather(1, where).mean())


def advir(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """IRGAN's loss, and `gamma` times BPR of vectors that are moved along their gradients."""
    vectors = [pooled(x, pool) for x in rows[:3]]
    user, pos, neg = vectors[0].unsqueeze(1), vectors[1].unsqueeze(1), vectors[2]
    triple = [x.expand_as(neg).detach().requires_grad_() for x in (user, pos, neg)]
    loss = softplus((triple[0] * (triple[2] - triple[1])).sum(-1)).sum()
    shifts = [a["epsilon"] * normalize(g, dim=-1) for g in torch.autograd.grad(loss, triple)]
    user, pos, neg = user + shifts[0], pos + shifts[1], neg + shifts[2]
    shifted = softplus((user * (neg - pos)).sum(-1)).mean()
    made = irgan(rows, chosen, p, a, pool)
    assert made.loss is not None
    return Made(made.xs, made.loss + a["gamma"] * shifted)


def pris(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """Weights `softmax(s - ln Q)`, of a proposal in proportion to the degree's power of 3/4."""
    score = scores(a, pooled(rows.user, pool), pooled(rows.neg, pool)).detach()
    return Made(rows.neg, None, (score - 0.75 * p["degree"][chosen.index].log()).softmax(dim=1))


def in_batch(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """What the user of a row has seen does not count."""
    return Made(rows.neg, None, 1 - p["seen"][chosen.user].gather(1, chosen.index))


def bir(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """Items count as often as they were drawn."""
    return Made(rows.neg, None, chosen.state)


def divns(rows: Rows, chosen: Chosen, p: Named, a: Numbers, pool: str) -> Made:
    """Hard negatives and their partners, one half of the chosen ones each."""
    K = int(a["num_negatives"])
    return Made(a["weight"] * rows.neg[:, :K] + (1 - a["weight"]) * rows.neg[:, K:])


MADE = {
    "sdns": sdns,
    "mixgcf": mixgcf,
    "dins": dins,
    "dens": dens,
    "ans": ans,
    "irgan": irgan,
    "advir": advir,
    "pris": pris,
    "divns": divns,
    **dict.fromkeys(("in-batch", "mns", "cbns"), in_batch),
    "bir": bir,
}


# Losses -----------------------------------------------------------------------------------------


def bpr(pos: Tensor, neg: Tensor, weight: Tensor | None, steepness: float = 1.0) -> Tensor:
    """`1/B sum_b sum_k w_bk (-ln sigmoid(s_b - s_bk)) / sum_k w_bk`, `w = 1` by default."""
    w = torch.ones_like(neg) if weight is None else weight
    w = w / w.sum(dim=1, keepdim=True).clamp(min=1e-300)
    return (w * softplus(-steepness * (pos.unsqueeze(1) - neg))).sum() / len(pos)


def softmax(pos: Tensor, neg: Tensor, weight: Tensor | None, temperature: float) -> Tensor:
    """`-1/B sum_b ln(e^(s_b/t) / (e^(s_b/t) + sum_k w_bk e^(s_bk/t)))`, `w = 1` by default."""
    w = torch.ones_like(neg) if weight is None else weight
    others = (w * (neg / temperature).exp()).sum(dim=1)
    own = (pos / temperature).exp()
    return -(own / (own + others)).log().sum() / len(pos)


def self_adversarial(pos: Tensor, neg: Tensor, weight: Tensor | None, alpha: float) -> Tensor:
    """`-1/2B sum_b (ln sigmoid(s_b) + sum_k p_bk ln sigmoid(-s_bk))`, `p` constant."""
    w = torch.ones_like(neg) if weight is None else weight
    p = w * (alpha * neg.detach()).exp()
    p = p / p.sum(dim=1, keepdim=True).clamp(min=1e-300)
    counts = w.sum(dim=1) > 0  # a row without any weight has a loss of 0
    return ((softplus(-pos) * counts).sum() + (p * softplus(neg)).sum()) / (2 * len(pos))


def hinge(pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
    """`1/B sum_b max(0, 1 - s_b + max_k s_bk)`."""
    return (1 - pos + neg.max(dim=1).values).clamp(min=0).sum() / len(pos)


def warp(pos: Tensor, neg: Tensor, weight: Tensor | None, num_items: int) -> Tensor:
    """`1/B sum_b Phi(floor((I - 1) / q)) (1 - s_b + s_bq)`, `q` the first above `s_b - 1`."""
    total = pos.new_zeros(())
    for p, row in zip(pos, neg, strict=True):
        for q, n in enumerate(row, start=1):
            if n > p - 1:
                rank = (num_items - 1) // q
                total = total + sum(1 / i for i in range(1, rank + 1)) * (1 - p + n)
                break
    return total / len(pos)


def gbce(pos: Tensor, neg: Tensor, weight: Tensor | None, num_items: int, t: float) -> Tensor:
    """`-1/B sum_b (beta ln sigmoid(s_b) + sum_k w ln(1 - sigmoid(s_bk))) / (K + 1)`."""
    w = torch.ones_like(neg) if weight is None else weight
    num = w.sum(dim=1)
    beta = 1 - t + t * num / (num_items - 1)
    return ((beta * softplus(-pos) + (w * softplus(neg)).sum(dim=1)) / (num + 1)).mean()


def cosine_contrastive(pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
    """`1/B sum_b (1 - s_b + mu / K sum_k w max(0, s_bk - m))`, `mu = 150`, `m = 0.9`."""
    w = torch.ones_like(neg) if weight is None else weight
    above = (w * (neg - 0.9).clamp(min=0)).sum(dim=1) / w.sum(dim=1)
    return (1 - pos + 150 * above).mean()


def hard_contrastive(pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
    """`-1/B sum_b ln(P / (P + max((R - K p P) / (1 - p), K e^(-1/t))))`, `t = p = 0.1`."""
    w = torch.ones_like(neg) if weight is None else weight
    of_pos, of_neg, num = (pos / 0.1).exp(), (neg / 0.1).exp(), w.sum(dim=1)
    hard = num * (w * of_neg**2).sum(dim=1) / (w * of_neg).sum(dim=1)
    left = (hard - num * 0.1 * of_pos) / 0.9
    others = torch.maximum(left, num * math.exp(-10))
    return -(of_pos / (of_pos + others)).log().mean()


def pairwise_softmax(pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
    """`1/B sum_b ln sum_k w (1 + tanh((s_bk - s_b) / 2))^(1/t)`, `t = 0.05`."""
    w = torch.ones_like(neg) if weight is None else weight
    return (w * (1 + ((neg - pos.unsqueeze(1)) / 2).tanh()) ** 20).sum(dim=1).log().mean()


def bilateral(user: Tensor, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
    """`1/B sum_b (ln mean_k e^(s_bk/t) - ln mean_(b' of u) e^(s_b'/t))`, `t = 0.1`."""
    w = torch.ones_like(neg) if weight is None else weight
    below = ((w * (neg / 0.1).exp()).sum(dim=1) / w.sum(dim=1)).log()
    mine = [(pos[user == u] / 0.1).exp().mean().log() for u in user]
    return (below - torch.stack(mine)).mean()


def ranking_loss(
    name: str,
    user: Tensor,
    pos: Tensor,
    neg: Tensor,
    weight: Tensor | None,
    ids: Tensor,
    num_items: int,
) -> Tensor:
    """The loss of pooled vectors `[B, D]`, `[B, D]` and `[B, K, D]`, with default arguments."""
    if name in COSINE:
        user, pos, neg = (normalize(x, dim=-1) for x in (user, pos, neg))
    of_pos, of_neg = (user * pos).sum(-1), dots(user, neg)
    if name in ("bpr", "soft-bpr"):
        return bpr(of_pos, of_neg, weight, 1.0 if name == "bpr" else 1 - 0.7)
    if name == "self-adversarial":
        return self_adversarial(of_pos, of_neg, weight, 1.0)
    if name in ("gbce", "warp"):
        return (
            gbce(of_pos, of_neg, weight, num_items, 0.75)
            if name == "gbce"
            else warp(of_pos, of_neg, weight, num_items)
        )
    if name == "bsl":
        return bilateral(ids, of_pos, of_neg, weight)
    if name in OTHERS:
        return OTHERS[name](of_pos, of_neg, weight)
    temperature = {"k-pair-bpr": 1.0, "ssm": 0.1, "in-batch-softmax": 0.1, "contrastive": 0.2}[name]
    return softmax(of_pos, of_neg, weight, temperature)


#: Losses of scores alone, without an argument that a test sets.
OTHERS = {
    "hinge": hinge,
    "ccl": cosine_contrastive,
    "hcl": hard_contrastive,
    "psl": pairwise_softmax,
}
#: All whose formula is here.
LOSSES = (
    "bpr", "soft-bpr", "k-pair-bpr", "ssm", "contrastive", "self-adversarial",
    "in-batch-softmax", "bsl", "gbce", "warp", *OTHERS,
)  # fmt: skip


def l2_penalty(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    """Half the squared norms of layer 0 of users, positives and made negatives, over `B`."""
    return sum(x.square().sum() for x in (user, pos, neg)) / (2 * len(user))  # type: ignore[return-value]


# Step -------------------------------------------------------------------------------------------


def gathered(users: list[Tensor], items: list[Tensor], chosen: Chosen) -> Rows:
    """Rows of everything that the batch names."""
    at = torch.stack(items, dim=1)
    index = chosen.index
    if index.dim() == 3:
        neg = torch.stack([x[index[..., layer]] for layer, x in enumerate(items)], dim=2)
    else:
        neg = at[index]
    return Rows(torch.stack(users, dim=1)[chosen.user], at[chosen.pos], neg, at[chosen.candidates])


def step_loss(
    layers: list[Tensor],
    chosen: Chosen,
    p: Named,
    neg: str,
    arguments: Numbers,
    loss: str,
    pool: str,
    l2: float,
) -> Tensor:
    """What a step minimises, less what the encoder adds.

    A sampler `a+b` makes of a's choice what b would, with a's loss and weights.
    """
    num_users = int(p["num_users"])
    users, items = [x[:num_users] for x in layers], [x[num_users:] for x in layers]
    rows = gathered(users, items, chosen)
    arguments = {**arguments, "cosine": float(loss in COSINE)}
    first, _, second = neg.partition("+")
    made = MADE.get(first, found)(rows, chosen, p, arguments, pool)
    if second:
        made = made._replace(xs=MADE[second](rows, chosen, p, arguments, pool).xs)
    vectors = (pooled(x, pool) for x in (rows.user, rows.pos, made.xs))
    num_items = len(layers[0]) - num_users
    total = ranking_loss(loss, *vectors, made.weight, chosen.user, num_items)
    negatives = made.xs[0] if chosen.shared else made.xs.flatten(0, 1)
    total = total + l2 * l2_penalty(rows.user[:, 0], rows.pos[:, 0], negatives[:, 0])
    return total if made.loss is None else total + made.loss


class Adam:
    """Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1), with its default betas and epsilon."""

    def __init__(self, parameters: list[Tensor], lr: float) -> None:
        self.parameters, self.lr, self.t = parameters, lr, 0
        self.m = [torch.zeros_like(x) for x in parameters]
        self.v = [torch.zeros_like(x) for x in parameters]

    def step(self, gradients: list[Tensor]) -> None:
        self.t += 1
        for x, m, v, g in zip(self.parameters, self.m, self.v, gradients, strict=True):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            m_hat, v_hat = m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)
            with torch.no_grad():
                x -= self.lr * m_hat / (v_hat.sqrt() + 1e-8)
