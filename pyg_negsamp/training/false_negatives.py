"""How many of the negatives that a model was trained on are liked after all."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates.bit_filter import BitFilter
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
        self.may_be_liked = BitFilter(self.liked.first, self.liked.user, self.liked.item)
        self._found = torch.tensor([0, 0], device=pl_module.device)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: Recommender, outputs: Any, batch: HeteroData, step: int
    ) -> None:
        """Looks the step's negatives up."""
        user, index, weight = pl_module.chosen_user, pl_module.chosen, pl_module.chosen_weight
        count = self._count_few if user.device.type == "cpu" else self._count
        self._found[0] += count(user, index, weight)
        self._found[1] += len(user)

    def _count(self, user: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
        """How many rows have a liked item, as a scalar: all pairs are searched for.

        Args:
            user: `[B]`.
            index: `[B, K]` or `[B, K, H]` items; where all rows share them, a row that is repeated
                without a copy.
            weight: `[B, K]`, 0 where an item does not count.
        """
        liked = self.liked.hold(user.unsqueeze(1), index.flatten(1)).view(index.shape)
        if weight is not None:
            liked &= (weight != 0).view(*weight.shape, *[1] * (index.dim() - 2))
        return liked.flatten(1).any(dim=1).sum()

    def _count_few(self, user: Tensor, index: Tensor, weight: Tensor | None) -> int:
        """The same as :meth:`_count`, with a search for a few of the pairs only.

        For the CPU: another device would wait, to learn how many there are.
        """
        item = index.flatten(1)
        if len(item) and item.stride(0) == 0:
            row, place = self.liked.among(user, item[0])
        else:
            row, place = self.may_be_liked(user, item).nonzero(as_tuple=True)
            liked = self.liked.hold(user[row], item[row, place])
            row, place = row[liked], place[liked]
        if weight is not None:
            num_layers = index.size(2) if index.dim() == 3 else 1
            row = row[weight[row, place // num_layers] != 0]
        return row.unique().numel()

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
