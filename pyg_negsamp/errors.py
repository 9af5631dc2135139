"""One shape for every complaint: who, which argument, what was expected, what came."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from difflib import get_close_matches
from numbers import Integral, Number, Real


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


class TerminatedError(SystemExit):
    """The process was told to end by SIGTERM, in the middle of a training: exit code 143.

    Args:
        *said: How to go on.
    """

    def __init__(self, *said: str) -> None:
        super().__init__(*said)
        self.code = 143


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


def whole_number(
    owner: object, argument: str, value: object, least: int = 0, most: int = 2**31 - 1
) -> int:
    """Gives back a whole number, and refuses anything else.

    Args:
        owner: Who asks, see :func:`invalid`.
        argument: Name of the argument.
        value: What came; any integer type of Python or numpy will do, a bool will not.
        least: The least that is allowed. Default 0.
        most: The most. Default: what fits in 32 bits.

    Raises:
        ValueError: If it is no whole number, too small or too large.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    large = isinstance(value, Integral) and int(value) > most
    expected = f"a whole number, at {f'most {most}' if large else f'least {least}'}"
    raise invalid(owner, argument, expected, short(value))


def number_in(owner: object, argument: str, value: object, interval: str) -> float:
    """Gives back a number of an interval, and refuses anything else.

    Args:
        owner: Who asks, see :func:`invalid`.
        argument: Name of the argument.
        value: What came; any number type of Python or numpy will do, a bool will not.
        interval: Such as `'[0, 1)'`, from 0 to below 1; `'(0, inf)'`, finite and above 0.

    Raises:
        ValueError: If it is no number, or outside.
    """
    low, high = map(float, interval[1:-1].split(","))
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        above = number > low or (interval[0] == "[" and number == low)
        below = number < high or (interval[-1] == "]" and number == high)
        if above and below:
            return number
    raise invalid(owner, argument, f"a number in {interval}", short(value))


def one_of(owner: object, argument: str, value: object, options: Collection[str]) -> str:
    """Gives back one of some names, and refuses anything else.

    Raises:
        ValueError: Naming all.
    """
    if not isinstance(value, str) or value not in options:
        raise invalid(owner, argument, f"one of {', '.join(map(repr, options))}", short(value))
    return value


def several_of(
    owner: object, argument: str, value: object, options: Collection[str]
) -> tuple[str, ...]:
    """The names that a caller gave, each once.

    Args:
        owner: As for :func:`invalid`.
        argument: As for :func:`invalid`.
        value: What was given: a list of names, say.
        options: What they may be.

    Raises:
        ValueError: If it is no list, or a name is none of the options: with the nearest one, or
            that names are no text with commas.
    """
    listed = isinstance(value, Sequence | Set) and not isinstance(value, str)
    given: Collection[object] = value if listed else [value]  # type: ignore[assignment]
    for name in given:
        if not listed or not isinstance(name, str) or name not in options:
            near = nearest(name, options) if isinstance(name, str) else ""
            if isinstance(name, str) and "," in name:
                near = "; each by itself, and no comma"
            raise invalid(owner, argument, f"names out of {', '.join(options)}{near}", short(name))
    return tuple(dict.fromkeys(map(str, given)))


def yes_or_no(owner: object, argument: str, value: object) -> bool:
    """Gives back `True` or `False`, and refuses anything else.

    Raises:
        ValueError: If it is neither.
    """
    if not isinstance(value, bool):
        raise invalid(owner, argument, "True or False", short(value))
    return value


def short(value: object) -> str:
    """A value in messages: in one line, and its kind alone where it would fill a screen."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"a {type(value).__name__} {[*value.shape]} {value.dtype}"
    plain = isinstance(value, str | bytes | Number | tuple | list | dict | set | range | slice)
    said = repr(value) if plain or value is None else f"a {type(value).__name__}"
    return said if len(said) <= 60 and "\n" not in said else f"a {type(value).__name__}"
