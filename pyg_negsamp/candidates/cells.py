"""Items sorted into cells: how many a user has not seen of each, and draws out of one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.numerics import uniform
from pyg_negsamp.pairs import Pairs


class Cells(torch.nn.Module):
    """Draws unseen items of a given cell, each with the same probability, without rejection.

    Items are numbered anew, cell after cell. A draw is then a number among the user's unseen items,
    as in :class:`UniformCandidates` where items have times, between those at which the cell starts
    and ends.

    A module without parameters, not part of any `state_dict`. Memory: 4 bytes per user and cell,
    24 per link. Cost: `O(B * M * log E)` per draw.

    Args:
        candidates: Say what users have seen, and which items may be drawn at all.
        cell: `[I]` the cell of every item.
        num: How many cells there are.

    Attributes:
        cell: As given.
        unseen: `[U, num]` how many items of each cell a user may still be given.
    """

    cell: Tensor
    unseen: Tensor
    order: Tensor
    start: Tensor
    gap: Tensor

    def __init__(self, candidates: Candidates, cell: Tensor, num: int) -> None:
        super().__init__()
        seen, items = candidates.drawn, candidates.items
        of_drawn = cell if items is None else cell[items]
        order = of_drawn.argsort(stable=True)
        size = of_drawn.bincount(minlength=num)
        known = (seen.user * num + of_drawn[seen.item]).bincount(minlength=seen.num_users * num)
        renumbered = torch.stack([seen.user, order.argsort()[seen.item]])
        self.pairs = Pairs(renumbered, seen.num_users, seen.num_items)
        for name, buffer in {
            "cell": cell,
            "unseen": (size - known.view(-1, num)).int(),
            "order": order if items is None else items[order],
            "start": pad(size.cumsum(0), (1, 0)),
            "gap": self.pairs.gaps(),
        }.items():
            self.register_buffer(name, buffer, persistent=False)

    def forward(
        self, user: Tensor, cell: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws an item for each cell.

        Args:
            user: `[B]` user ids.
            cell: `[B, M]` cells, none of which the user has seen all items of.
            generator: Source of randomness.

        Returns:
            `[B, M]` item ids.
        """
        user = user.long().unsqueeze(1)
        start = self.start[cell]
        below = torch.searchsorted(self.pairs.key, user * self.pairs.num_items + start)
        first = start - (below - self.pairs.first[user])
        chance = uniform(cell.shape, torch.double, cell.device, generator)
        nth = first + (chance * self.unseen[user, cell]).long()
        return self.order[self.pairs.nth_other(user, nth, self.gap)]
