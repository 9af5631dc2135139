"""One shape for every complaint: who, which argument, what was expected, what came."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ArgumentError(ValueError):
    """An argument that cannot be.

    Attributes:
        owner: Who refuses it.
        argument: Its name.
        complaint: What is wrong with it, such as `'must be at least 1 (got 0)'`.
    """

    owner: str
    argument: str
    complaint: str


def invalid(owner: object, argument: str, expected: str, got: object) -> ArgumentError:
    """Builds the `ValueError` that all public checks of the library raise.

    Args:
        owner: The object, class or function name that refuses the argument.
        argument: Name of the argument, field or file that is wrong.
        expected: What would have been accepted, in words.
        got: What came instead.

    Returns:
        The exception, for the caller to `raise`.
    """
    if not isinstance(owner, str):
        owner = owner.__name__ if isinstance(owner, type) else type(owner).__name__
    complaint = f"must be {expected} (got {got})"
    error = ArgumentError(f"{owner}: '{argument}' {complaint}")
    error.owner, error.argument, error.complaint = owner, argument, complaint
    return error


def nearest(name: str, names: Iterable[str]) -> str:
    """`"; did you mean 'x'?"`, or nothing where no name is like it."""
    names = list(names)
    close = get_close_matches(name, names, 1)
    close = close or [longer for longer in names if longer.startswith(f"{name}_")][:1]
    return f"; did you mean '{close[0]}'?" if close else ""
