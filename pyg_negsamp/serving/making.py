"""Encoders and losses as plain values, and made again from these. No code is run but our own."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.errors import invalid
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, Encoder

#: What can be made again, by the name of the class.
CLASSES: dict[str, type] = {cls.__name__: cls for cls in (*ENCODERS.values(), *LOSSES.values())}


def described(made: object) -> dict[str, Any]:
    """The class and the constructor's arguments of an encoder or a loss.

    The arguments are read off the object, which has an attribute for each. Of a class that is not
    the library's own there is only the name.

    Args:
        made: The object.

    Returns:
        `{"class": "LightGCN", "arguments": {"dim": 64, ...}}`.
    """
    cls = type(made)
    if CLASSES.get(cls.__name__) is not cls:
        return {"class": class_name(made)}
    parameters = inspect.signature(cls).parameters.values()
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    arguments = {name: getattr(made, name) for name in named if name != "data"}
    return {"class": cls.__name__, "arguments": plain(arguments, cls.__name__)}


def class_name(made: object) -> str:
    """Module and name of an object's class."""
    return class_path(type(made))


def class_path(cls: type) -> str:
    """Module and name of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def check_own(description: dict[str, Any]) -> type:
    """The class of a description.

    Raises:
        ValueError: If it is not the library's own.
    """
    name = description["class"]
    if name not in CLASSES or "arguments" not in description:
        expected = (
            f"of the library's own classes to fold in after loading: {', '.join(CLASSES)}; another "
            "one places new persons in the process that trained it"
        )
        raise invalid("TrainedModel", "encoder and loss", expected, name)
    return CLASSES[name]


def make_loss(description: dict[str, Any]) -> torch.nn.Module:
    """The loss of a description."""
    return check_own(description)(**description["arguments"])


def make_encoder(
    description: dict[str, Any], data: HeteroData, state: dict[str, Tensor]
) -> Encoder:
    """The encoder of a description, over its training graph and with its learned state.

    Torch's random stream is left where it was.
    """
    arguments = dict(description["arguments"])
    arguments["edge_type"] = tuple(arguments["edge_type"])
    with torch.random.fork_rng(devices=[]):
        encoder = check_own(description)(data, **arguments)
    encoder.to(state["embedding.weight"].dtype).load_state_dict(state)
    return encoder.eval().requires_grad_(False)


def plain(value: Any, owner: str) -> Any:
    """A value as YAML and its reader have it: mappings, lists, text, numbers, truth, nothing.

    Args:
        value: What to turn into such values: also tuples, tensors, numpy's numbers and paths.
        owner: What to call it in errors.

    Raises:
        ValueError: If it is anything else.
    """
    if isinstance(value, dict):
        return {str(name): plain(item, f"{owner}.{name}") for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, owner) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), owner)
    if hasattr(value, "__fspath__"):
        return str(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise invalid("TrainedModel", owner, "plain values: numbers, text, lists", repr(value))
