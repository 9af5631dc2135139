"""Checks of arguments. Each says what was expected and what came, in one line."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid

LONGEST = 80  # characters of a value in an error


def describe(value: Any) -> str:
    """A value in an error: itself if it is a plain short one, else only its type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, tuple | list) and len(value) <= 4:
        inside = ", ".join(describe(entry) for entry in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if value is None or isinstance(value, str | bytes | complex | Real | os.PathLike):
        text = repr(value)
        return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return type(value).__name__


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_number(owner: object, name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` is a finite number."""
    if not is_number(value):
        raise invalid(owner, name, "a number", describe(value))


def require_whole(owner: object, name: str, value: Any, least: int) -> None:
    """Raises `ValueError` unless `value` is a whole number, `least` or more."""
    if not is_whole(value) or value < least:
        raise invalid(owner, name, f"a whole number, {least} or more", describe(value))


def require_text(owner: object, name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` is a string with at least one character."""
    if not isinstance(value, str) or not value:
        raise invalid(owner, name, "a string", describe(value))


def require_seed(owner: object, seed: Any) -> None:
    """Raises `ValueError` unless `seed` is a whole number that torch takes as a seed."""
    if not is_whole(seed) or not -(2**63) <= seed < 2**64:
        raise invalid(owner, "seed", "a whole number of at most 64 bits", describe(seed))


def require_edge_type(owner: object, edge_type: Any) -> EdgeType:
    """Returns `edge_type`; raises `ValueError` unless it is three names."""
    if (
        not isinstance(edge_type, tuple | list)
        or len(edge_type) != 3
        or not all(isinstance(name, str) for name in edge_type)
    ):
        expected = "three names, such as ('user', 'interacts', 'item')"
        raise invalid(owner, "edge_type", expected, describe(edge_type))
    return (edge_type[0], edge_type[1], edge_type[2])


def require_kind(owner: object, name: str, value: Any, kind: type) -> None:
    """Raises `ValueError` unless `value` is an instance of a class."""
    if not isinstance(value, kind):
        raise invalid(owner, name, f"of the kind {kind.__name__}", describe(value))


def require_path(owner: object, name: str, value: Any) -> Path:
    """Returns `value` as a path; raises `ValueError` unless it is a string or a path."""
    if not isinstance(value, str | Path):
        raise invalid(owner, name, "a file or folder, as a string or a path", describe(value))
    return Path(value).expanduser()
