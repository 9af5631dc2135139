"""Where to look for hyper-parameters: plain data beside the classes that have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pyg_negsamp.errors import invalid


@dataclass(frozen=True)
class Choice:
    """One of some values, such as a paper's grid.

    Attributes:
        values: Numbers, strings or booleans.

    Raises:
        ValueError: If there is none, or two are equal: 1 and `True`, too.
    """

    values: tuple[float | str | bool, ...]

    def __post_init__(self) -> None:
        if not self.values or len({*self.values}) < len(self.values):
            raise invalid(self, "values", "some that differ", self.values)
        if any(value != value for value in self.values):
            raise invalid(self, "values", "no nan", self.values)

    def __contains__(self, value: object) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Range:
    """Any number between two.

    Attributes:
        low: The least, itself allowed.
        high: The most, itself allowed.
        log: Whether its logarithm is what to be even in. Default: itself.

    Raises:
        ValueError: If `low` is not below `high`, or not above 0 with `log`.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise invalid(self, "low", f"below high={self.high}", self.low)
        if self.log and self.low <= 0:
            raise invalid(self, "low", "above 0, for a logarithm", self.low)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


#: Constructor arguments of a class, and what to try for them.
Space: TypeAlias = Mapping[str, Choice | Range]
