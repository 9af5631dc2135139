"""What a sampler hands on: after its choice, and in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Selection:
    """What `select` chose.

    Attributes:
        index: `[B, K]` item ids, or `[B, K, H]` where every layer chose its own.
        state: Whatever else the third step needs to know, such as mixing coefficients.
    """

    index: Tensor
    state: Any = None


@dataclass
class Negatives:
    """Negative samples for `B` positives.

    Attributes:
        index: `[B, K]` item ids, or `[B, K, H]` when chosen per layer; `None` if no existing
            item stands behind them. For synthetic negatives: the items they were made from.
        xs: `[B, K, H, D]` embeddings, differentiable.
        loss: Auxiliary loss of the method, a scalar, or `None`.
        weight: `[B, K]` weights for the loss, or `None` for equal ones.
        log_q: `[B, K]` log-probability with which each was proposed, for losses that correct for
            it, or `None` if all items are equally likely or it is not known.
        pos_log_q: `[B]` the same of the positives: how likely each would be as a negative.
    """

    index: Tensor | None
    xs: Tensor
    loss: Tensor | None = None
    weight: Tensor | None = None
    log_q: Tensor | None = None
    pos_log_q: Tensor | None = None
