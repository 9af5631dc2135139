"""What references owe to ranking, to new persons, and to whoever saves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from pyg_negsamp.csr import csr, dense_rows
from pyg_negsamp.graph import check_taken
from pyg_negsamp.pairs import Pairs


class Reference(ABC):
    """Scores all items for a person from the set of items that the person took.

    A person who took items 3 and 7 is a row of `I` zeros with ones at 3 and 7. A subclass says in
    :meth:`score_rows` what such rows make of the items. So somebody it has never met is scored as
    exactly as somebody it was made from.

    Attributes:
        seen: Sparse CSR `[U, I]` of ones: what each user of the training graph took.
    """

    seen: Tensor

    def __call__(self, user: Tensor) -> Tensor:
        """Scores of all items for users `[b]` of the training graph: `[b, I]`."""
        return self.score_rows(dense_rows(self.seen, user.cpu())).to(user.device)

    def scorer(self) -> Callable[[Tensor], Tensor]:
        """The function that :func:`pyg_negsamp.evaluation.evaluate` ranks by."""
        return self.__call__

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` the reference was made from: `[E]` bool."""
        user, item = links.cpu()
        num_users, num_items = self.seen.shape
        count = self.seen.crow_indices().diff()
        of = torch.arange(num_users).repeat_interleave(count)
        made_from = Pairs(torch.stack([of, self.seen.col_indices()]), num_users, num_items)
        return made_from.hold(user, item).to(links.device)

    def fold_in(self, owner: Tensor, item: Tensor, num: int) -> Tensor:
        """Scores of all items for persons who were not met: exact, as for users who were.

        Args:
            owner: `[E]` which person took an item, in `[0, num)`.
            item: `[E]` the item taken. Repeated ones count once.
            num: Number of persons.

        Returns:
            `[num, I]`.
        """
        check_taken(self, owner, item, num, self.seen.size(1))
        rows = self.seen.values().new_zeros(num, self.seen.size(1))
        rows[owner, item] = 1
        return self.score_rows(rows)

    @abstractmethod
    def score_rows(self, rows: Tensor) -> Tensor:
        """Scores `[b, I]` of all items for sets of items, as rows `[b, I]` of zeros and ones."""

    @abstractmethod
    def similar(self, item: Tensor) -> Tensor:
        """How like each item the others are, for items `[b]`: `[b, I]`; `-inf` if not at all."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that :meth:`restored` needs besides `seen`, as dense tensors on CPU."""

    @classmethod
    def restored(cls, seen: Tensor, tensors: dict[str, Tensor]) -> Reference:
        """The reference that :meth:`tensors` were taken from.

        Args:
            seen: As the attribute.
            tensors: What :meth:`tensors` returned.
        """
        made = cls.__new__(cls)
        made.seen = seen
        made._take(tensors)
        return made

    @abstractmethod
    def _take(self, tensors: dict[str, Tensor]) -> None:
        """Sets what :meth:`tensors` reads."""


class ItemWeights(Reference):
    """A reference whose scores are products with one weight per pair of items.

    The weights of item-based neighbourhoods are sparse, those of EASE dense.

    Attributes:
        weight: `[I, I]`. Dense: row `j` and column `i` hold how much a taken item `j` speaks for
            `i`. Sparse CSR: the same, transposed.
    """

    weight: Tensor

    def score_rows(self, rows: Tensor) -> Tensor:
        """`rows @ weight`."""
        if self.weight.layout == torch.sparse_csr:
            return (self.weight @ rows.t()).t()
        return rows @ self.weight

    def similar(self, item: Tensor) -> Tensor:
        """The weights of an item's neighbours; `-inf` for itself and where a weight is zero."""
        dense = self.weight.layout != torch.sparse_csr
        weight = self.weight[item] if dense else dense_rows(self.weight, item)
        weight = weight.masked_fill(weight == 0, -torch.inf)
        weight[torch.arange(len(item)), item] = -torch.inf
        return weight

    def tensors(self) -> dict[str, Tensor]:
        """`weight`; of a sparse one its three parts."""
        if self.weight.layout != torch.sparse_csr:
            return {"weight": self.weight}
        return {
            "pointer": self.weight.crow_indices(),
            "column": self.weight.col_indices(),
            "value": self.weight.values(),
        }

    def _take(self, tensors: dict[str, Tensor]) -> None:
        if "weight" in tensors:
            self.weight = tensors["weight"]
        else:
            size = (self.seen.size(1), self.seen.size(1))
            self.weight = csr(tensors["pointer"], tensors["column"], tensors["value"], size)
