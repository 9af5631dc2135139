"""Uniform draws over exactly the items that a user has not seen."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.graph import Links


class UniformCandidates(Candidates):
    r"""Draws every unobserved item with the same probability :math:`1 / (I - \deg(u))`.

    Every slice of the line has length one. With a user's seen items `p_0 < p_1 < ...`, the
    draw `r` in `[0, I - deg(u))` thus becomes item `r + #{j : p_j - j <= r}`.

    Memory: 8 bytes per link and per user. Cost: `O(B * M * log E)`.
    10^8 users x 10^8 items fit in int64.

    Args:
        data: Training graph, see :class:`Candidates`.
        edge_type: Edge type to read from `HeteroData`.

    Raises:
        ValueError: If a user has seen every item.
    """

    def _lay_out(self, links: Links) -> int:
        return links.num_items

    def _start(self, item: Tensor) -> Tensor:
        return item

    def _length(self, item: Tensor) -> Tensor:
        return torch.ones_like(item)

    def _cut_before(self, link: Tensor) -> Tensor:
        return link

    def _item_at(self, point: Tensor) -> Tensor:
        return point
