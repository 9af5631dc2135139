"""Draws in proportion to popularity, over exactly the items that a user has not seen.

Every item owns a slice of an integer number line, as long as it is popular. For one user, the
slices of the items already seen are cut out and the rest pushed together. A draw picks an integer
on the shortened line and pushes it back to where it was before the cuts:

    item line      |  0  |  1  |  2  |  3  |  4  |      the user has seen 1 and 3
    cut line       |  0  |  2  |  4  |                  a draw in slice 1  ->  one cut below  ->  2

How much was cut below a draw is one `searchsorted` over all users' links at once, so a whole batch
costs one pass: no loop, no retry, and no copy from the device to the host.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates.base import Candidates
from pyg_negsamp.candidates.numbers import integers_below
from pyg_negsamp.candidates.reading import Also, Items, check_fits
from pyg_negsamp.errors import invalid, number_in

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

    Memory: 24 bytes per link, 8 per item and user. Cost: `O(B * M * (log E + log I))`.

    Args:
        data: Training graph, see :class:`Candidates`. Repeated links count repeatedly.
        power: Exponent of the degree, at least 0.
        edge_type: Edge type to read from `HeteroData`.
        also: More links that users have seen, see :class:`Candidates`; popularity does not count
            them.
        items: The only items that may be drawn, see :class:`Candidates`.
        relation, num_relations, time: Of a knowledge graph, or where items begin to exist, see
            :class:`Candidates`.

    Raises:
        ValueError: If `power` is negative or not finite, if there are no links, or if a user has
            seen every item that could be drawn.
    """

    draws_shared = True

    start: Tensor
    line: Tensor
    cut: Tensor

    def __init__(
        self,
        data: HeteroData | Data,
        power: float = 0.75,
        edge_type: EdgeType | None = None,
        *,
        also: Also | None = None,
        items: Items | None = None,
        relation: Tensor | None = None,
        num_relations: int | None = None,
        time: Tensor | None = None,
    ) -> None:
        super().__init__(
            data,
            edge_type,
            also=also,
            items=items,
            relation=relation,
            num_relations=num_relations,
            time=time,
        )
        self.power = number_in(self, "power", power, "[0, inf)")
        self.register_buffer("start", self._lay_out(), persistent=False)
        self.total = int(self.start[-1])
        check_fits(self, self.num_users, self.total)
        user, item = self.drawn.user, self.drawn.item
        # `cut[e]` is how much links 0..e-1 cut, over all users.
        cut = pad(self._length(item).cumsum(0), (1, 0))
        self.register_buffer("cut", cut, persistent=False)
        cut_by_user = cut[self.drawn.first]
        self._check_all_can_draw(self.total - cut_by_user.diff())
        # Where each seen item's slice would start on its user's cut line: where it starts, less
        # the user's slices below it.
        below = cut[:-1] - cut_by_user[user]
        self.register_buffer("line", user * self.total + self.start[item] - below, persistent=False)

    def _lay_out(self) -> Tensor:
        """`[n + 1]` where each item's slice starts, and where the last one ends."""
        degree = self.degree()
        if self.power > 0 and not bool(degree.any()):
            raise invalid(self, "data", "a graph with links to tell what is popular", "0 links")
        degree = degree if self.items is None else degree[self.items]
        if self.power > 0 and not bool(degree.any()):
            raise invalid(self, "items", "of items with links, to tell what is popular", "none")
        # Relative to the most popular, so that no power is too large; 0 ** 0 is 1.
        weight = (degree.double() / degree.max().clamp(min=1)).pow(self.power)
        drawn = (degree > 0) | (self.power == 0)
        goal = min(LINE_LENGTH, 2**62 // max(self.num_users, 1))
        length = (weight * (goal / weight.sum())).round().long()
        length = torch.where(drawn, length.clamp(min=1), 0)
        return pad(length.cumsum(0), (1, 0))

    def _length(self, item: Tensor) -> Tensor:
        """How long the slices of `item` are."""
        return self.start[item + 1] - self.start[item]

    def _left(self, user: Tensor, existing: Tensor | None) -> Tensor:
        if existing is None:
            end, total = self.drawn.first[user + 1], self.start[-1]
        else:
            end = torch.searchsorted(self.drawn.key, user * self.drawn.num_items + existing)
            total = self.start[existing]
        return total - (self.cut[end] - self.cut[self.drawn.first[user]])

    def _draw(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        cut_before = self.cut[self.drawn.first[user]].unsqueeze(1)
        point = integers_below(self._left(user, existing).unsqueeze(1), num, generator)
        below = torch.searchsorted(self.line, user.unsqueeze(1) * self.total + point, right=True)
        point += self.cut[below] - cut_before
        return torch.searchsorted(self.start[1:], point, right=True)

    def shared(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws items that all users share, in proportion to their popularity."""
        point = integers_below(self.start[-1].view(1, 1), num, generator)[0]
        item = torch.searchsorted(self.start[1:], point, right=True)
        return item if self.items is None else self.items[item]

    def log_shared(self, item: Tensor) -> Tensor:
        """Logarithms of the probabilities of :meth:`shared`; at least that of a single point.

        That is what items have that are never drawn.
        """
        place = item if self.position is None else self.position[item]
        length = self._length(place.clamp(min=0)).masked_fill_(place < 0, 0).clamp_(min=1)
        return (length.double() / self.start[-1]).log()

    def log_mass(self, item: Tensor) -> Tensor:
        """Logarithm of the probability of drawing `item`, up to a constant of the user.

        Args:
            item: Item ids of any shape.

        Returns:
            Float64 of the same shape; `-inf` for items that are never drawn.
        """
        if self.position is None:
            return self._length(item).double().log()
        place = self.position[item]
        return self._length(place.clamp(min=0)).double().log().masked_fill(place < 0, -torch.inf)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, power={self.power}"
