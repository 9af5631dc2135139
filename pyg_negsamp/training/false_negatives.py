"""How many of the negatives that a model was trained on are liked after all."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import HeteroData

from pyg_negsamp.graph import held_out_links, known_links
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.training.recommender import Recommender


class FalseNegatives(Callback):
    """Counts training instances that have a held-out link among their negatives.

    "Dynamic Negative Sampling for Contrastive Recommendation" (2022), section 4.2: such instances
    (a positive of a step with all its negatives), divided by all instances. It only looks:
    training is the same with it. A synthetic negative counts by the items that it was made of.

    Args:
        held_out: Split whose held-out links say what else users like.

    Attributes:
        found: Instances with a false negative so far; a resumed run goes on counting.
        total: All instances so far.
    """

    def __init__(self, held_out: HeteroData) -> None:
        self.held_out = held_out
        self.found, self.total = 0, 0

    @property
    def rate(self) -> float:
        """The share of instances with a false negative; 0 before the first step."""
        return self.found / max(self.total, 1)

    def on_train_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Sorts the held-out links."""
        edge_type = pl_module.encoder.edge_type
        known = known_links(self.held_out, edge_type)
        liked = held_out_links(self.held_out, edge_type).to(pl_module.device)
        self.liked = Pairs(liked, known.num_users, known.num_items)
        self._found = torch.tensor([0, 0], device=pl_module.device)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: Recommender, outputs: Any, batch: HeteroData, step: int
    ) -> None:
        """Looks the step's negatives up."""
        user, index = pl_module.chosen_user, pl_module.chosen
        liked = self.liked.hold(user.unsqueeze(1), index.flatten(1)).view(index.shape)
        if pl_module.chosen_weight is not None:
            counts = pl_module.chosen_weight != 0
            liked &= counts.view(*index.shape[:2], *[1] * (index.dim() - 2))
        self._found[0] += liked.flatten(1).any(dim=1).sum()
        self._found[1] += len(user)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        """Reads the counts."""
        of_all = pl_module.ranks.sum(self._found) if pl_module.shares_rows else self._found
        found, total = of_all.tolist()
        self.found, self.total = self.found + found, self.total + total
        self._found.zero_()

    def state_dict(self) -> dict[str, Any]:
        """The counts, for checkpoints."""
        return {"found": self.found, "total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the counts of a checkpoint."""
        self.found, self.total = state_dict["found"], state_dict["total"]
