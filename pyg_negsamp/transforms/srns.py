"""SRNS: hard negatives whose scores have kept moving."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.layers import Embeddings, Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.batch import stores
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.nscaching import NSCaching

#: Epochs over which scores are compared, as in the paper.
HISTORY = 5


class SRNS(NSCaching):
    r"""Takes, from a memory per user, high-scored items whose scores vary from epoch to epoch.

    Ding et al., NeurIPS 2020 (arXiv:2009.03376): false negatives score high and steadily, true
    ones do not. Every user has a memory of `S_1` items; the negative is

    .. math:: \arg\max_k \; P(k \mid u, p) + \alpha_t \, \text{std}[P(k \mid u, p)], \quad
              P(k \mid u, p) = \sigma(s(u, k) - s(u, p))

    with the (population) deviation over the last five epochs, and :math:`\alpha_t` rising to
    `alpha` over `warmup` epochs. After each use, `S_2` new candidates join, and of the union `S_1`
    stay, drawn without replacement in proportion to :math:`\exp(s(u, k) / \tau)`. An item that is
    there twice counts once, unless fewer than `S_1` are left then.

    The past scores are recomputed from the pooled embeddings of the last five epochs, kept by
    :meth:`refresh`; so they exist for every pair, also for items new to the memory. A user that
    occurs twice in a batch has one memory for the whole batch, renewed once. Candidates that come
    with a call or a batch are chosen from by the same rule, without memory; and without deviation
    on a sampled subgraph, which numbers its nodes anew.

    State: memory `[U, S_1]` (8 bytes each) and five copies of the pooled tables, `5 * N * D` (4
    bytes each); all in `state_dict`. Gradients flow through the chosen rows only. Cost:
    `O(B * (6 S_1 + S_2) * D)` besides the draw.

    When to use it: where high scores are often false negatives, and tables are small enough to be
    kept several times.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        num_new: Candidates that join the memory after each use, `S_2`. Default 20.
        alpha: Weight of the deviation after the warm-up, at least 0. Default 1.
        warmup: Epochs over which the weight rises linearly from 0. Default 50.
        tau: Temperature of what stays in the memory, above 0. Default 10; with 1, little but the
            highest-scored items stays, and these are too often liked (see docs/results.md).
        num_candidates: Size of the memory, `S_1`. Default 20.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    default_num_candidates = 20

    #: Ours.
    search_space: ClassVar[Space] = {
        "tau": Range(1.0, 30.0, log=True),
        "alpha": Choice((0.0, 1.0, 5.0, 10.0)),
    }
    epoch = 0

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_new: int = 20,
        alpha: float = 1.0,
        warmup: int = 50,
        tau: float = 10.0,
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
            num_new=num_new,
            tau=tau,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.alpha = number_in(self, "alpha", alpha, "[0, inf)")
        self.warmup = whole_number(self, "warmup", warmup, least=1)
        self.history: deque[tuple[Tensor, Tensor]] = deque(maxlen=HISTORY)

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Moves the warm-up to `epoch`."""
        self.epoch = epoch

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Keeps a copy of the pooled embeddings, as the record of this epoch's scores."""
        users, items = self._whole_tables(x_dict)
        self.history.append((users.clone(), items.clone()))

    def forward(
        self,
        batch: HeteroData | Data,
        x_dict: Embeddings | None = None,
        generator: torch.Generator | None = None,
    ) -> HeteroData | Data:
        """As :class:`NegativeSampling`; without deviation on a sampled subgraph.

        Args:
            batch: The mini-batch.
            x_dict: Embeddings of its nodes.
            generator: Source of randomness.

        Returns:
            A copy of `batch` with negatives.
        """
        whole, renumbered = self.history, "n_id" in stores(batch, self.edge_type)[1]
        try:
            if renumbered:  # the record knows nodes by their ids in the whole graph
                self.history = deque(maxlen=HISTORY)
            return super().forward(batch, x_dict, generator)
        finally:
            if renumbered:
                self.history = whole

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The candidates with the highest score and deviation."""
        users = gather_pooled(user_xs, user, self.pool)
        items = pool_layers(item_xs, self.pool)
        value = self.probability(users, items, pos, candidates)
        weight = self.alpha * min(1.0, self.epoch / self.warmup)
        if weight and self.history and len(self.history[0][1]) == len(items):
            past = [
                self.probability(rows_at(u, user), i, pos, candidates)
                for u, i in self._history(items)
            ]
            value = value + weight * torch.stack(past).std(dim=0, correction=0)
        best = value.topk(self.num_negatives, dim=1).indices
        return Selection(candidates.gather(1, best))

    def probability(self, users: Tensor, items: Tensor, pos: Tensor, candidates: Tensor) -> Tensor:
        """The chance of each candidate to beat the positive, `P(k | u, p)`, `[B, M]`.

        Args:
            users: `[B, D]` user rows.
            items: `[I, D]` item table.
            pos: `[B]` positives.
            candidates: `[B, M]` item ids.
        """
        pos_score = self.pair_scores(users, rows_at(items, pos).unsqueeze(1))
        return torch.sigmoid(self.scores(users, items, candidates) - pos_score)

    def _history(self, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The tables of the last epochs, on the device of `like` after a checkpoint was read."""
        moved = [(u.to(like), i.to(like)) for u, i in self.history]
        self.history = deque(moved, maxlen=HISTORY)
        return moved

    def get_extra_state(self) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """The history, for `state_dict`."""
        return {"history": list(self.history)}

    def set_extra_state(self, state: dict[str, list[tuple[Tensor, Tensor]]]) -> None:
        """Takes over the history of a `state_dict`."""
        self.history = deque(state["history"], maxlen=HISTORY)
