"""Draws in proportion to popularity, over exactly the items that a user has not seen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE, Links

LINE_LENGTH = 2**40


class PopularityCandidates(Candidates):
    r"""Draws an unobserved item with probability proportional to :math:`\deg(i)^{power}`.

    The power 3/4 is word2vec's (Mikolov et al., arXiv:1310.4546) and the usual choice of the
    popularity baseline in recommendation (Chen et al., KDD 2017, doi:10.1145/3097983.3098202).
    `power=1` is plain popularity, `power=0` uniform. Items without training links are never
    drawn, unless `power=0`.

    Lengths on the line are integers, so cutting a user's own items out is exact. The line is
    about 2**40 long (shorter where 2**40 x users would not fit in int64), which keeps every
    probability within `I / 2**40` of its real value.

    Memory: 16 bytes per link, 8 per item. Cost: `O(B * M * (log E + log I))`.

    Args:
        data: Training graph, see :class:`Candidates`. Repeated links count repeatedly.
        power: Exponent of the degree, at least 0.
        edge_type: Edge type to read from `HeteroData`.

    Raises:
        ValueError: If `power` is negative or not finite, if there are no links, or if a user has
            seen every item that could be drawn.
    """

    start: Tensor
    cut: Tensor

    def __init__(
        self,
        data: HeteroData | Data,
        power: float = 0.75,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        if not 0 <= power < float("inf"):
            raise invalid(self, "power", "a finite number >= 0", power)
        self.power = power
        self.homogeneous = isinstance(data, Data)
        super().__init__(data, edge_type)

    def _lay_out(self, links: Links) -> int:
        if self.power > 0 and links.index.numel() == 0:
            raise invalid(self, "data", "a graph with links to tell what is popular", "0 links")
        degree = torch.bincount(links.index[1], minlength=links.num_items)
        weight = degree.double().pow(self.power)  # 0 ** 0 is 1
        goal = min(LINE_LENGTH, 2**62 // max(links.num_users, 1))
        length = (weight * (goal / weight.sum())).round().long()
        length = torch.where(weight > 0, length.clamp(min=1), 0)
        start = torch.nn.functional.pad(length.cumsum(0), (1, 0))
        self.register_buffer("start", start, persistent=False)
        return int(start[-1])

    def _start(self, item: Tensor) -> Tensor:
        return self.start[item]

    def _length(self, item: Tensor) -> Tensor:
        return self.start[item + 1] - self.start[item]

    def _keep(self, cut: Tensor) -> None:
        self.register_buffer("cut", cut, persistent=False)

    def _cut_before(self, link: Tensor) -> Tensor:
        return self.cut[link]

    def _item_at(self, point: Tensor) -> Tensor:
        return torch.searchsorted(self.start[1:], point, right=True)

    def seen(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """As in the base class, with own ids that are not on the line because nobody links there.

        Args:
            user: `[B]` user ids.

        Returns:
            Positions in `user` and item ids, two int64 `[E]`, in that order.
        """
        row, item = super().seen(user)
        if self.homogeneous:
            alone = (self._length(user) == 0).nonzero().flatten()
            key = torch.cat([row, alone]) * self.num_items + torch.cat([item, user[alone]])
            key = key.sort().values
            row, item = key // self.num_items, key % self.num_items
        return row, item

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, power={self.power}"
