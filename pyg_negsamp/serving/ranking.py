"""What a saved model ranks by: two tables of vectors, with a decoder or without; a reference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import Scorer
from pyg_negsamp.evaluation.full_rank import best_items
from pyg_negsamp.references import Reference
from pyg_negsamp.scoring import all_scores, scores_by, settled, wide_decoder

#: Pairs that are scored at a time.
PAIRS = 2**16
#: Users whose scores by a reference are held at a time, for pairs.
USERS = 64


class Ranking(ABC):
    """Scores of known users, and which items are alike."""

    @abstractmethod
    def scorer(self) -> Scorer:
        """What :func:`pyg_negsamp.evaluation.evaluate` takes, for nodes 'user' and 'item'."""

    @abstractmethod
    def scores_of(self, columns: Tensor | None) -> Callable[[Tensor], Tensor]:
        """A function from users `[b]` to scores that may be written to.

        Args:
            columns: `[A]` the items to score. Default: all.

        Returns:
            The function; its scores are `[b, A]`.
        """

    @abstractmethod
    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The scores `[n]` of users with items, pair by pair."""

    @abstractmethod
    def similar(self) -> Callable[[Tensor], Tensor]:
        """A function from items `[b]` to how like each all others are: `[b, I]`, fresh."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What to save."""


class Tables(Ranking):
    """Scores are products of rows.

    Args:
        users: `[U, D]`.
        items: `[I, D]`.

    Raises:
        ValueError: If a number is not finite.
    """

    def __init__(self, users: Tensor, items: Tensor) -> None:
        for name, table in (("users", users), ("items", items)):
            if not bool(table.isfinite().all()):
                raise invalid("TrainedModel", "trained", f"finite vectors of {name}", "NaN or inf")
        self.users, self.items = users, items

    def scorer(self) -> Scorer:
        """Both tables."""
        return {"user": self.users, "item": self.items}

    def of_rows(self, rows: Tensor) -> Tensor:
        """Scores `[n, I]` of all items with rows `[n, D]` of persons."""
        return all_scores(rows, self.items)

    def scores_of(self, columns: Tensor | None) -> Callable[[Tensor], Tensor]:
        """Products with the rows of `columns`."""
        items = self.items if columns is None else self.items[columns]
        return lambda user: all_scores(self.users[user], items)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Products of the pairs' rows."""
        parts = zip(user.split(PAIRS), item.split(PAIRS), strict=True)
        return torch.cat([(self.users[u] * self.items[i]).sum(dim=1) for u, i in parts])

    def similar(self) -> Callable[[Tensor], Tensor]:
        """Cosines."""
        items = normalize(self.items, dim=1)
        return lambda item: all_scores(items[item], items)

    def tensors(self) -> dict[str, Tensor]:
        """Both tables."""
        return {"user": self.users, "item": self.items}


class ByDecoder(Tables):
    """Scores are those of a decoder on rows.

    Args:
        users: `[U, D]`.
        items: `[I, D]`.
        decoder: From rows `[B, D]` and `[B, K, D]` to `[B, K]`.
    """

    def __init__(self, users: Tensor, items: Tensor, decoder: torch.nn.Module) -> None:
        super().__init__(users, items)
        self.decoder = wide_decoder(decoder)

    def scorer(self) -> Scorer:
        """The decoder's scores."""
        return scores_by(self.decoder, self.users, self.items)

    def of_rows(self, rows: Tensor) -> Tensor:
        """The decoder's scores."""
        return scores_by(self.decoder, rows, self.items)(torch.arange(len(rows)))

    def scores_of(self, columns: Tensor | None) -> Callable[[Tensor], Tensor]:
        """The decoder's scores with the rows of `columns`."""
        items = self.items if columns is None else self.items[columns]
        return scores_by(self.decoder, self.users, items)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """The decoder's scores of the pairs' rows."""
        with torch.no_grad(), settled(self.decoder):
            return torch.cat(
                [
                    self.decoder(self.users[u], self.items[i].unsqueeze(1)).squeeze(1)
                    for u, i in zip(user.split(PAIRS), item.split(PAIRS), strict=True)
                ]
            )


class ByReference(Ranking):
    """Scores are those of a reference.

    Args:
        reference: Popularity, ItemKNN, EASE.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def scorer(self) -> Scorer:
        """Its scores."""
        return self.reference.scorer()

    def scores_of(self, columns: Tensor | None) -> Callable[[Tensor], Tensor]:
        """All its scores, and of these `columns`."""
        if columns is None:
            return lambda user: self.reference(user).clone()
        return lambda user: self.reference(user)[:, columns]

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """All scores of each user, and of these the pairs'."""
        different, row = user.unique(return_inverse=True)
        value: Tensor | None = None
        for start in range(0, len(different), USERS):
            scores = self.reference(different[start : start + USERS])
            value = scores.new_zeros(len(user)) if value is None else value
            here = ((row >= start) & (row < start + USERS)).nonzero().flatten()
            value[here] = scores[row[here] - start, item[here]]
        return torch.zeros(0) if value is None else value

    def similar(self) -> Callable[[Tensor], Tensor]:
        """By its weights."""
        return self.reference.similar

    def tensors(self) -> dict[str, Tensor]:
        """Those that it is restored from."""
        return self.reference.tensors()


class Seen(Protocol):
    """From positions `[n]` of rows to pairs to leave out: positions in these, ascending, items."""

    def __call__(self, row: Tensor, /) -> tuple[Tensor, Tensor]: ...


def best_of(
    score: Callable[[Tensor], Tensor],
    row: Tensor,
    seen: Seen,
    columns: Tensor | None,
    num_items: int,
    k: int,
) -> tuple[Tensor, Tensor]:
    """The best of the allowed items for some rows, without what is left out.

    Args:
        score: From rows `[b]` to scores `[b, A]` of the allowed items, which are written to.
        row: `[n]` users, or items.
        seen: What to leave out.
        columns: `[A]` the allowed items, ascending. Default: all.
        num_items: Number of items, `I`.
        k: Length of the lists.

    Returns:
        Scores `[n, min(k, A)]`, best first and `-inf` where nothing is left; and item positions.
    """
    owner, item = seen(row)
    allowed = num_items if columns is None else len(columns)
    if columns is not None:
        column = item.new_full((num_items,), -1)
        column[columns] = torch.arange(allowed)
        item = column[item]
        owner, item = owner[item >= 0], item[item >= 0]
    blocks: Iterator[tuple[Tensor, Tensor]]
    blocks = best_items(score, row, torch.stack([owner, item]), allowed, k)
    value, top = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    if columns is not None:
        top = columns[top.clamp(max=allowed - 1)]
    return value, top
