"""In-batch negatives: what others in the same batch took."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.candidates.numbers import integers_below
from pyg_negsamp.candidates.uniform import UniformCandidates


class BatchCandidates(UniformCandidates):
    r"""Draws out of the positives of the batch, less what the row's user has seen.

    Every row of the batch counts, so an item is drawn in proportion to how often it is a positive
    there: over many batches, in proportion to its popularity. In a sampled subgraph the positives
    are there already, so that no nodes are sampled for negatives.

    What the user has seen is cut out of the sorted positives without rejection, as in
    :class:`PopularityCandidates`. A row for which nothing is left, such as the only row of a batch,
    draws out of all items that exist, as :class:`UniformCandidates`; in a sampled subgraph it gets
    weight 0.

    Memory: as :class:`UniformCandidates`. Cost: `O(S + B * M * log)`, with `S` the number of links
    of the users in the batch.

    Args:
        data: Training graph, see :class:`Candidates`.
        edge_type: Edge type to read from `HeteroData`.
        also: More links that users have seen, see :class:`Candidates`.
        items: The only items that may be drawn, see :class:`Candidates`.
        relation, num_relations, time: Of a knowledge graph, or where items begin to exist, see
            :class:`Candidates`.

    Raises:
        ValueError: As :class:`UniformCandidates`; when drawing, if there are no positives.
    """

    #: What all rows share here are the positives themselves, see :class:`~.InBatch`.
    draws_shared = False
    draws_wait = True

    def _draw(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        if pos is None:
            return super()._draw(user, num, generator, pos, existing)
        row, left = self.rows(user, pos, num, generator, existing)
        drawn = self._places(pos)[row]
        empty = left <= 0
        others = super()._draw(user, num, generator, None, existing)
        return torch.where(empty.unsqueeze(1), others, drawn)

    def rows(
        self,
        user: Tensor,
        pos: Tensor,
        num: int,
        generator: torch.Generator | None = None,
        existing: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draws rows of the batch, whose positives the users have not seen.

        Args:
            user: `[B]` users, as :meth:`known_as` numbers them.
            pos: `[B]` item ids of the positives.
            num: Rows per row, `M`.
            generator: Source of randomness.
            existing: `[B]` how many items existed, see :meth:`existing`.

        Returns:
            `[B, M]` positions in the batch, and `[B]` how many there are to draw from; where there
            are none, the positions mean nothing.
        """
        place, order = self._places(pos).sort(stable=True)
        # Items that may not be drawn stand first, at -1.
        barred = torch.searchsorted(place, place.new_zeros(1))
        of, item = self.drawn.of(user)
        start, end = (torch.searchsorted(place, item, right=right) for right in (False, True))
        length, size = end - start, len(pos)
        last: Tensor | int = size
        if existing is not None:
            length = length.where(item < existing[of], 0)
            last = torch.searchsorted(place, existing)
        cut = torch.nn.functional.pad(length.cumsum(0), (1, 0))
        first = torch.searchsorted(of, torch.arange(len(user) + 1, device=user.device))
        before = cut[first[:-1]]
        left = last - barred - (cut[first[1:]] - before)
        # Where each seen item's rows would start on its user's line, less those cut before it.
        line = of * (size + 1) + start - barred - (cut[:-1] - before[of])
        point = integers_below(left.clamp(min=1).unsqueeze(1), num, generator)
        own = torch.arange(len(user), device=user.device).unsqueeze(1)
        below = torch.searchsorted(line, own * (size + 1) + point, right=True)
        at = barred + point + cut[below] - before.unsqueeze(1)
        return order[at.clamp(max=size - 1)], left

    def log_mass_in(self, item: Tensor, pos: Tensor) -> Tensor:
        """By how often an item is in the batch; where nothing was left to draw there, all alike."""
        ordered = pos.long().sort().values
        first, last = (
            torch.searchsorted(ordered, item.long().contiguous(), right=right)
            for right in (False, True)
        )
        return (last - first).clamp(min=1).double().log()

    def _places(self, pos: Tensor) -> Tensor:
        """The positives in the numbering of `drawn`; -1 where an item may not be drawn."""
        return pos.long() if self.position is None else self.position[pos]
