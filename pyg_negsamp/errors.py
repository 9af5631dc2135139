"""One shape for every complaint: who, which argument, what was expected, what came."""

from __future__ import annotations


def invalid(owner: object, argument: str, expected: str, got: object) -> ValueError:
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
    return ValueError(f"{owner}: '{argument}' must be {expected} (got {got})")
