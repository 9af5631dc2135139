"""What a method takes: the arguments of its constructor, with type, default and meaning.

An argument is written once, in the class; flags, `config.yaml`, `--help` and Python read it here.
"""

from __future__ import annotations

import copyreg
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union

from docstring_parser.google import parse
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pyg_negsamp.candidates import Candidates
from pyg_negsamp.datasets.checks import describe
from pyg_negsamp.errors import ArgumentError
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.references import REFERENCES
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling

#: The parts of a run that are chosen by name, and the names; each has a prefix for its arguments.
METHODS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "neg": SAMPLERS,
    "loss": LOSSES,
    "encoder": {**ENCODERS, **REFERENCES},
}
PREFIXES = {"neg": "", "loss": "loss_", "encoder": "encoder_"}
#: What plain types are called in messages.
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


class ConfigError(ArgumentError):
    """A field of a configuration that cannot be.

    Args:
        field: Its name, such as `'num_candidates'`.
        expected: What would have been accepted, in words.
        got: What came instead.
    """

    def __init__(self, field: str, expected: str, got: object) -> None:
        self.owner, self.argument = "Config", field
        self.complaint = f"must be {expected} (got {describe(got)})"
        super().__init__(f"Config: '{field}' {self.complaint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """It comes whole from another process, where it is not made of three arguments again."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Argument:
    """An argument that a method has of its own.

    Attributes:
        part: `'neg'`, `'loss'` or `'encoder'`.
        method: Name of the method that takes it, such as `'dins'`.
        name: Its name in the constructor.
        kind: Its type, of plain values only.
        default: Its default.
        meaning: What the docstring says of it.
        target: The class or function that takes it: the method itself, or a sampler's `proposal`.
    """

    part: str
    method: str
    name: str
    kind: Any
    default: Any
    meaning: str
    target: Callable[..., Any]

    @property
    def field(self) -> str:
        """Its name in a flat configuration, such as `'loss_temperature'`."""
        return PREFIXES[self.part] + self.name

    def checked(self, value: Any) -> Any:
        """The value in the argument's type; raises :class:`ConfigError` if it has another."""
        return checked(self.field, self.kind, value)


def checked(field: str, kind: Any, value: Any) -> Any:
    """Reads a value, text or typed, as of a type.

    Args:
        field: What to call it if it is wrong.
        kind: A type, such as `int | None` or `Literal['a', 'b']`.
        value: `'3'`, `3`, `['20', '50']`.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, bool) and bool not in plain_types(kind):
        raise ConfigError(field, type_name(kind), value)
    try:
        found = _reader(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]  # of pydantic: 'Input should be a valid integer'
        expected = first["msg"].removeprefix("Input should be ")
        told = expected != first["msg"] and first["type"] != "tuple_type"
        raise ConfigError(field, expected if told else type_name(kind), value) from None
    for number in found if isinstance(found, tuple | list) else (found,):
        if isinstance(number, float) and not math.isfinite(number):
            raise ConfigError(field, "finite", value)
    return found


@cache
def _reader(kind: Any) -> TypeAdapter:
    """What reads values of a type: to make it takes a hundred times as long as to read one."""
    return TypeAdapter(kind)


def plain_types(kind: Any) -> tuple[Any, ...]:
    """The members of a union without `None` and `Tensor`; of any other type, itself."""
    if typing.get_origin(kind) in (Union, UnionType):
        return tuple(k for k in typing.get_args(kind) if k not in (type(None), Tensor))
    if typing.get_origin(kind) is typing.Annotated:
        return plain_types(typing.get_args(kind)[0])
    return (kind,)


def is_list(kind: Any) -> bool:
    """Whether a type takes several values."""
    return any(typing.get_origin(k) in (tuple, list, Sequence) for k in plain_types(kind))


def choices_of(kind: Any) -> tuple[Any, ...]:
    """The values of a `Literal`, or none."""
    found = [k for k in plain_types(kind) if typing.get_origin(k) is Literal]
    return typing.get_args(found[0]) if found else ()


def type_name(kind: Any) -> str:
    """What a type is called in messages, such as `'a whole number'` or `'two whole numbers'`."""
    if choices := choices_of(kind):
        return f"one of {', '.join(map(str, choices))}"
    return " or ".join(_in_words(k) for each in plain_types(kind) for k in plain_types(each))


def _in_words(kind: Any) -> str:
    if not is_list(kind):
        return WORDS[kind]
    inside = typing.get_args(kind)
    of = WORDS[plain_types(inside[0])[0]].removeprefix("a ") + "s"
    return f"two {of}" if len(inside) == 2 and inside[1] is not ... else f"one or more {of}"


@cache
def arguments_of(part: str, method: str) -> tuple[Argument, ...]:
    """The own arguments of a method, those of a sampler's `proposal` too.

    Args:
        part: `'neg'`, `'loss'` or `'encoder'`.
        method: A name in :data:`METHODS` of that part.
    """
    cls = METHODS[part][method]
    targets = [cls, cls.proposal] if part == "neg" else [cls]  # type: ignore[attr-defined]
    return tuple(found for target in targets for found in _arguments(part, method, target))


@cache
def _shared() -> set[str]:
    """Arguments that all methods of a kind have, and what a run supplies by itself."""
    classes: tuple[type, ...] = (NegativeSampling, Encoder, Candidates)
    common = {name for cls in classes for name in inspect.signature(cls).parameters}
    return {*common, "common", "args", "kwargs", "data", "dim", "edge_type"}


def _arguments(part: str, method: str, target: Callable[..., Any]) -> Iterable[Argument]:
    function = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    hints = typing.get_type_hints(function)
    said = {
        p.arg_name: " ".join((p.description or "").split())
        for p in parse(target.__doc__ or "").params
    }
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in _shared() or parameter.default is parameter.empty:
            continue
        kind = hints[parameter.name]
        if Tensor in typing.get_args(kind):  # plain values only
            kind = Union[*plain_types(kind), None]
        yield Argument(
            part, method, parameter.name, kind, parameter.default,
            said.get(parameter.name, ""), target,
        )  # fmt: skip


@cache
def has_layers(encoder: str) -> bool:
    """Whether an encoder, or a reference, can be told how many layers to have."""
    return "num_layers" in inspect.signature(METHODS["encoder"][encoder]).parameters


@cache
def owners(field: str) -> tuple[Argument, ...]:
    """All arguments, of any method, that a flat name stands for."""
    return tuple(
        argument
        for part, methods in METHODS.items()
        for method in methods
        for argument in arguments_of(part, method)
        if argument.field == field
    )
