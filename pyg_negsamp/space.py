"""Where to look for hyper-parameters: plain data beside the classes that have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Choice:
    """One of some values, such as a paper's grid.

    Attributes:
        values: Numbers, strings or booleans.
    """

    values: tuple[float | str | bool, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Range:
    """Any number between two.

    Attributes:
        low: The least, itself allowed.
        high: The most, itself allowed.
        log: Whether its logarithm is what to be even in. Default: itself.
    """

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


#: Constructor arguments of a class, and what to try for them.
Space: TypeAlias = Mapping[str, Choice | Range]
