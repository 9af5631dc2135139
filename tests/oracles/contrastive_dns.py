"""Contrastive DNS: the retrieval and the loss of contrastive-dns, eq. 4 and 5."""

from torch import Tensor

from .scoring import cosine, log_sum_exp


def retrieve(
    user_vectors: Tensor,
    item_vectors: Tensor,
    observed: list[set[int]],
    k: int,
    mode: str = "dissimilar",
) -> list[list[int]]:
    """The k contrastive items of every user, over the whole catalogue (eq. 4), [U][k].

    Args:
        user_vectors: The scoring embeddings of all users, [U, D].
        item_vectors: The scoring embeddings of all items, [I, D].
        observed: The training items of every user, which are never retrieved.
        k: The number of items to retrieve; a user with fewer unobserved ones has them all.
        mode: ``'dissimilar'`` for the lowest cosines, the lowest first (eq. 4, the paper's
            choice); ``'similar'`` for the highest, the highest first. Of two items with equal
            cosine the lower id is first. ``'random'`` has no order: all unobserved items are
            returned, of which the sampler may hand out any k.
    """
    if mode not in ("dissimilar", "similar", "random"):
        raise ValueError(f"unknown mode {mode!r}")
    rows = []
    for u in range(user_vectors.size(0)):
        e_u = [float(x) for x in user_vectors[u]]
        keys = []
        for i in range(item_vectors.size(0)):
            if i in observed[u]:
                continue
            similarity = cosine(e_u, [float(x) for x in item_vectors[i]])
            keys.append((similarity if mode == "dissimilar" else -similarity, i))
        if mode == "random":
            rows.append([i for _, i in keys])
        else:
            rows.append([i for _, i in sorted(keys)[:k]])
    return rows


def contrastive_loss(
    user: Tensor, pos: Tensor, random_neg: Tensor, contrastive_neg: Tensor, tau: float
) -> float:
    """The mean over b of -ln f(u, i+) / (f(u, i-) + f(u, i'-) + f(u, i+)) (eq. 5).

    f(u, i) = exp(cos(u, i) / tau). The equation is written with one negative of each kind and
    sums over the training set; here every negative has a term in the denominator.

    Args:
        user: The embeddings of the users, [B, D].
        pos: The embeddings of the positives, [B, D].
        random_neg: The embeddings of the random negatives, [B, K, D].
        contrastive_neg: The embeddings of the contrastive negatives, [B, K', D].
        tau: The temperature, above 0.
    """
    total = 0.0
    for b in range(user.size(0)):
        e_u = [float(x) for x in user[b]]
        positive = cosine(e_u, [float(x) for x in pos[b]]) / tau
        logits = []
        for k in range(random_neg.size(1)):
            logits.append(cosine(e_u, [float(x) for x in random_neg[b, k]]) / tau)
        for k in range(contrastive_neg.size(1)):
            logits.append(cosine(e_u, [float(x) for x in contrastive_neg[b, k]]) / tau)
        logits.append(positive)
        total += log_sum_exp(logits) - positive
    return total / user.size(0)
