"""Outside ids, such as customer numbers, and the positions that tables know them by."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.errors import invalid

#: How a whole number is written: `'17'`, not `'017'` or `'+17'`.
INTEGER = re.compile(r"0|-?[1-9]\d{0,18}")
#: Ids that an error names.
NAMED = 5


class Ids:
    """The outside ids of all users, or of all items, in the order of their positions.

    Ids are whole numbers or text. Where they are text, asking for `17` finds `'17'`; where they are
    numbers, asking for `'17'` finds `17`.

    Args:
        ids: Outside id of every position, whole numbers or text. Any other kind becomes the text
            that it is printed as; so do whole numbers if one of them is beyond int64.
        kind: What they are ids of, `'user'` or `'item'`.

    Attributes:
        index: The ids, int64 or text.

    Raises:
        ValueError: If an id comes twice.
    """

    def __init__(self, ids: pd.Index, kind: str) -> None:
        whole = pd.api.types.is_integer_dtype(ids.dtype) and (not len(ids) or fits(ids.max()))
        self.index = ids.astype("int64") if whole else pd.Index([*map(str, ids)], dtype="str")
        self.index.name = kind
        self.kind, self.whole = kind, whole
        if not self.index.is_unique:
            twice = self.index[self.index.duplicated()].tolist()
            raise invalid("TrainedModel", f"{kind} ids", "different from each other", named(twice))

    def __len__(self) -> int:
        return len(self.index)

    def find(self, ids: Iterable[Any], argument: str) -> tuple[list[Any], Tensor]:
        """Looks ids up.

        Args:
            ids: Outside ids, in any order, with repetitions.
            argument: What to call them in errors.

        Returns:
            The ids as a list, and int64 `[n]` their positions, -1 for those that are not known.

        Raises:
            ValueError: If a single id came in place of a sequence, or one in place of an id.
        """
        if (
            isinstance(ids, str | bytes)
            or not isinstance(ids, Iterable)
            or not getattr(ids, "ndim", 1)
        ):
            expected = f"a list of {self.kind} ids, such as [{ids!r}]"
            raise invalid("TrainedModel", argument, expected, repr(ids))
        asked = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        for value in asked:
            if isinstance(value, Collection) and not isinstance(value, str | bytes):
                expected = f"a list of {self.kind} ids, each a number or text"
                raise invalid("TrainedModel", argument, expected, f"{value!r} in it")
        if self.whole:
            whole = [_whole(value) for value in asked]
            found = self.index.get_indexer(pd.Index([value or 0 for value in whole], dtype="int64"))
            found[[value is None for value in whole]] = -1
        else:
            found = self.index.get_indexer(pd.Index([*map(str, asked)], dtype="str"))
        return asked, torch.from_numpy(np.array(found, dtype=np.int64))

    def positions(self, ids: Iterable[Any], argument: str) -> Tensor:
        """Looks up ids that all have to be known: int64 `[n]`.

        Raises:
            ValueError: If some are not, listing up to five.
        """
        asked, position = self.find(ids, argument)
        if bool((position < 0).any()):
            unknown = [asked[at] for at in (position < 0).nonzero().flatten().tolist()]
            raise invalid("TrainedModel", argument, f"{self.kind}s of the model", named(unknown))
        return position

    def at(self, position: Tensor) -> pd.Index:
        """The ids at positions `[n]`."""
        return self.index.take(position.numpy())


def fits(value: int) -> bool:
    """Whether a whole number is one of int64."""
    return -(2**63) <= int(value) < 2**63


def _whole(value: Any) -> int | None:
    """The whole number that an id is, or is written as; `None` for anything else."""
    if isinstance(value, str):
        value = int(value) if INTEGER.fullmatch(value) else None
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if is_whole and fits(value) else None


def ids_of(index: pd.Index | None, size: int, kind: str) -> Ids:
    """The ids that a dataset states; where it has none, its users or items count from zero.

    Raises:
        ValueError: If there are not as many as users or items.
    """
    if index is not None and len(index) != size:
        raise invalid("TrainedModel", f"{kind} ids", f"as many as {kind}s, {size}", len(index))
    return Ids(pd.RangeIndex(size) if index is None else index, kind)


def named(ids: Sequence[Any]) -> str:
    """Up to five ids for an error, and how many there are if not one."""
    number = len({*map(repr, ids)})
    if not number:
        return "none"
    return some_of(ids) if number == 1 else f"{number}: {some_of(ids)}"


def some_of(ids: Sequence[Any]) -> str:
    """Up to five ids, each once."""
    different = list(dict.fromkeys(map(repr, ids)))
    return ", ".join(different[:NAMED]) + ", ..." * (len(different) > NAMED)
