"""What `model.yaml` says of a model, and what is no such record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyg_negsamp.datasets.checks import describe, is_number
from pyg_negsamp.errors import invalid
from pyg_negsamp.references import EASE, ItemKNN, Popularity, Reference

REFERENCES: dict[str, type[Reference]] = {cls.__name__: cls for cls in (EASE, ItemKNN, Popularity)}


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_made(value: Any) -> bool:
    named = isinstance(value, dict) and isinstance(value.get("class"), str)
    return named and isinstance(value.get("arguments", {}), dict)


def _is_edge_type(value: Any) -> bool:
    names = value if isinstance(value, list) else []
    return len(names) == 3 and all(isinstance(name, str) for name in names)


MADE = "a class, and its arguments by name"
#: Fields of a record: whether a value is one, and what is expected.
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "config": (_is_mapping, "a mapping"),
    "metrics": (_is_mapping, "a mapping"),
    "method": (_is_made, MADE),
    "edge_type": (_is_edge_type, "three names"),
}
#: Further ones, where the method is an encoder.
OF_ENCODER: dict[str, tuple[Callable[[Any], bool], str]] = {
    "loss": (_is_made, MADE),
    "similarity": (lambda value: value in ("dot", "cosine"), "'dot' or 'cosine'"),
    "decoder": (lambda value: value is None or isinstance(value, str), "the name of a class"),
    "l2": (lambda value: is_number(value) and value >= 0, "a number of at least 0"),
}
#: What a model keeps of its record; `edge_type` goes to its links.
KEPT = ("config", "metrics", "method", *OF_ENCODER)


def check_record(record: dict[str, Any], file: Path) -> None:
    """Refuses a record without a field that its model needs, or with something else in it.

    Raises:
        ValueError: In one line that names the file and the field.
    """
    fields = dict(FIELDS)
    if _is_made(record.get("method")) and record["method"]["class"] not in REFERENCES:
        fields |= OF_ENCODER
    for name, (is_right, expected) in fields.items():
        if not is_right(record.get(name)):
            raise invalid(f"TrainedModel: {file}", name, expected, describe(record.get(name)))
