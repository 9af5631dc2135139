"""What a sampler hands on: after its choice, and in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Selection:
    """What `select` chose.

    Attributes:
        index: `[B, K]` item ids, or `[B, K, H]` where every layer chose its own; `[K]` where all
            positives share their negatives.
        state: Whatever else the third step needs to know, such as mixing coefficients.
    """

    index: Tensor
    state: Any = None

    @property
    def shared(self) -> bool:
        """Whether all positives share their negatives."""
        return self.index.dim() == 1

    @property
    def items(self) -> Tensor:
        """`[N]` the items whose rows are to be gathered, or `[N, H]` with one per layer."""
        return self.index if self.shared else self.index.flatten(0, 1)

    def part(self, rows: slice | Tensor) -> Selection:
        """What was chosen for some of the rows."""
        return Selection(self.index[rows], _part(self.state, rows))

    def arrange(self, rows: Tensor) -> Tensor:
        """Rows `[N, H, D]` of `items` as `[B, K, H, D]`; as they are if all share them."""
        return rows if self.shared else rows.unflatten(0, self.index.shape[:2])


def _part(state: Any, rows: slice | Tensor) -> Any:
    """Some rows of all tensors in a state, see :attr:`NegativeSampling.by_row`."""
    if isinstance(state, Tensor):
        return state[rows]
    if isinstance(state, Selection):
        return state.part(rows)
    return tuple(_part(x, rows) for x in state) if isinstance(state, tuple) else state


@dataclass
class Negatives:
    """Negative samples for `B` positives.

    Attributes:
        index: `[B, K]` item ids, or `[B, K, H]` when chosen per layer; `None` if no existing
            item stands behind them. For synthetic negatives: the items they were made from.
        xs: `[B, K, H, D]` embeddings, differentiable.
        shared: `[K, H, D]` the same, where all positives share them: `xs` then repeats them without
            a copy, as `index` does. A loop that scores by one product, `user @ shared.t()`, reads
            these instead. `None` where every positive has its own.
        loss: Auxiliary loss of the method, a scalar, or `None`.
        weight: `[B, K]` weights for the loss, or `None` for equal ones.
        log_q: `[B, K]` logarithms of the probabilities that a draw gives these items, or `None`
            if nobody knows.
        pos_log_q: `[B]` the same of the positives, where the probabilities of the negatives count
            them in: a draw then has the probability `q / (1 - q_pos)`. `None` if they do not.
    """

    index: Tensor | None
    xs: Tensor
    loss: Tensor | None = None
    weight: Tensor | None = None
    log_q: Tensor | None = None
    pos_log_q: Tensor | None = None
    shared: Tensor | None = None
