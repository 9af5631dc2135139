"""What diagnostics look at: a sample of training links, as model and sampler see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pyg_negsamp.pairs import Pairs


@dataclass(frozen=True)
class Look:
    """A fixed sample of `n` training links, as model and sampler see them at the end of an epoch.

    Tensors have no gradient. Scores are those that the loss sees: dot products, cosines, or the
    decoder's.

    Attributes:
        user: `[n]` user ids.
        pos: `[n]` item ids of the positives.
        candidates: `[n, M]` item ids that the sampler drew; `None` if it draws none of its own.
        chosen: `[n, K]` or `[n, K, H]` item ids that negatives are, or are made of; `None` if no
            item stands behind them.
        weight: `[n, K]` weights of the negatives, of which 0 counts not; `None` for equal ones.
        pos_score: `[n]` scores of the positives.
        neg_score: `[n, K]` scores of the negatives as they were made, mixed ones too.
        chosen_score: `[n, K]` scores of the chosen items as they are, before anything was mixed in;
            `None` without `chosen`.
        candidate_score: `[n, M]` scores of the candidates; `None` without these.
        unseen: `[n, R]` uniform items that the users have not seen.
        unseen_score: `[n, R]` their scores.
        users: `[U, D]` pooled rows of all users, as ranking reads them.
        items: `[I, D]` pooled rows of all items.
        count: `[I]` training links of each item.
        known: What these users have seen: their known links in the training graph.
        liked: Validation links, never test; `None` without any.
        train: The validation metric on training links of some users; `None` if nobody asked.
        validated: Validation metrics of the epoch, such as `{'val/NDCG@20': 0.1}`; empty if it was
            not validated.
        seconds: What the epoch spent its time on, by name; empty if nobody measured.
    """

    user: Tensor
    pos: Tensor
    candidates: Tensor | None
    chosen: Tensor | None
    weight: Tensor | None
    pos_score: Tensor
    neg_score: Tensor
    chosen_score: Tensor | None
    candidate_score: Tensor | None
    unseen: Tensor
    unseen_score: Tensor
    users: Tensor
    items: Tensor
    count: Tensor
    known: Pairs
    liked: Pairs | None
    train: float | None = None
    validated: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
