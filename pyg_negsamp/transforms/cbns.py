"""CBNS: in-batch negatives, and rows of batches before."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, whole_number
from pyg_negsamp.layers import Pool
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.negatives import Negatives, Selection
from pyg_negsamp.transforms.shared import OfTheBatch


class CBNS(OfTheBatch):
    r"""The positives of the batch, and those of batches before, as they were then.

    Wang et al., SIGIR 2021 (arXiv:2110.15154), "cross-batch negative sampling". A memory, first in,
    first out, keeps the rows of past positives, which change slowly once training has warmed up.
    They have no gradient, and cost no encoding. All rows of the batch share both kinds; of either,
    what a row's user has seen has weight 0.

    Probabilities are those of in-batch negatives, :class:`InBatch`, for the memory, too; a loss
    that corrects, :class:`~pyg_negsamp.losses.InBatchSoftmaxLoss`, takes them off the scores.

    With `C` past rows `x'`, a row's negatives are

    .. math:: \{ x_j : j \in \text{batch} \} \cup \{ x'_c : c \in \text{memory} \}, \quad
              Q(j) = \frac{\deg(j)}{\sum_i \deg(i)}

    Memory: the rows, `[C, H, D]`, and `[B, B + C]` scores and weights. Cost: `O(B * (B + C) * D)`.

    When to use it: where encoding is what a step takes its time for, or batches have to be small.

    Args:
        candidates: What the users have seen, usually
            :class:`~pyg_negsamp.candidates.BatchCandidates`; or the training graph, or its links.
        num_cached: Past positives to keep. Default 2048.
        warmup: Epochs before the memory is used. Default 1.
        num_candidates: To be left out: there is nothing to choose from.
        num_negatives: How many positives of the batch to take, at random and with replacement.
            Default: all of them, once.
        pool, layers, score, edge_type, check_positives, as_links: See :class:`NegativeSampling`.

    Raises:
        ValueError: If `num_cached` is no positive number, or `warmup` is negative.
    """

    #: Ours.
    search_space: ClassVar[Space] = {"num_cached": Choice((1024, 2048, 8192))}
    #: Its memory grows, and lies elsewhere after each step.
    replayable = False
    epoch = 0
    #: `[n]` ids and `[n, H, D]` rows of past positives, the latest first.
    past: Tensor | None
    past_rows: Tensor | None

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_cached: int = 2048,
        warmup: int = 1,
        num_candidates: int | None = None,
        num_negatives: int | None = None,
        pool: Pool = "mean",
        layers: int = 1,
        score: Score | None = None,
        edge_type: EdgeType | None = None,
        check_positives: bool = True,
        as_links: bool = False,
    ) -> None:
        super().__init__(
            candidates,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.num_cached = whole_number(self, "num_cached", num_cached, least=1)
        self.warmup = whole_number(self, "warmup", warmup)
        self._keep(None, None)

    @property
    def needs_global_ids(self) -> bool:
        """It knows by their ids what past positives are."""
        return True

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Tells whether the memory is used."""
        self.epoch = epoch

    def _keep(self, past: Tensor | None, rows: Tensor | None) -> None:
        """Remembers positives."""
        self.register_buffer("past", past, persistent=False)
        self.register_buffer("past_rows", rows, persistent=False)

    def get_extra_state(self) -> tuple[Tensor | None, Tensor | None]:
        """The memory, for `state_dict`."""
        return self.past, self.past_rows

    def set_extra_state(self, state: tuple[Tensor | None, Tensor | None]) -> None:
        """Takes over the memory of a `state_dict`."""
        device = self._known.known.key.device
        self._keep(*(None if x is None else x.to(device) for x in state))

    def weigh(
        self, item: Tensor, user: Tensor, pos: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """Of the items and the past ones together; then the ids of these, and of the positives."""
        past = item[:0] if self.past is None or self.epoch < self.warmup else self.past
        both = torch.cat([item, past])
        return *super().weigh(both, user, pos, dtype), both, pos

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """The rows of both; then remembers the positives."""
        *state, both, known_pos = chosen.state
        past, past_rows = self.past, self.past_rows
        if past is None or past_rows is None:
            past, past_rows = known_pos[:0], pos[:0].detach()
        if past_rows.shape[1:] != pos.shape[1:]:
            expected = f"of {[*past_rows.shape[1:]]} layers and width, as the batches before"
            raise invalid(self, "item_xs", expected, [*pos.shape[1:]])
        rows = torch.cat([neg, past_rows.to(neg.dtype)])[: len(both)]
        self._keep(
            torch.cat([known_pos, past])[: self.num_cached],
            torch.cat([pos.detach(), past_rows.to(pos.dtype)])[: self.num_cached],
        )
        return super().make(Selection(both, state), user, pos, rows)
