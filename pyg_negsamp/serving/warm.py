"""A warm start: what an earlier model learned of the users and items that are still there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid
from pyg_negsamp.nn import Encoder


class New(NamedTuple):
    """How much an earlier model did not know.

    Attributes:
        users: Number of users without a row in it.
        items: Number of items without one.
    """

    users: int
    items: int


@torch.no_grad()
def copy_rows(
    state: dict[str, Tensor], sizes: tuple[int, int], encoder: Encoder, users: Tensor, items: Tensor
) -> New:
    """Copies what is known of each node into a fresh encoder, in place.

    A parameter with a row per node, `[U + I, ...]` with users before items, is copied row by row;
    another one of the same shape whole. What the earlier model does not have stays as it is.

    Args:
        state: State of the earlier encoder.
        sizes: Its numbers of users and items.
        encoder: The fresh encoder.
        users: `[U]` for each of its users the position in the earlier model, or -1.
        items: `[I]` the same for items.

    Raises:
        ValueError: If a parameter has another width, or another shape.
    """
    before = sum(sizes)
    source = torch.cat([users, torch.where(items >= 0, items + sizes[0], items)])
    (into,) = (source >= 0).nonzero(as_tuple=True)
    copies = []
    for name, parameter in encoder.named_parameters():
        if (earlier := state.get(name)) is None:
            continue
        per_node = parameter.dim() and len(parameter) == len(source) and len(earlier) == before
        same = parameter.shape[1:] == earlier.shape[1:] if per_node else False
        if not (same if per_node else parameter.shape == earlier.shape):
            expected = f"an encoder whose {name} is as wide as the earlier {[*earlier.shape]}"
            raise invalid("TrainedModel", "encoder", expected, [*parameter.shape])
        copies.append((parameter, earlier, per_node))
    for parameter, earlier, per_node in copies:  # once it is sure that all fit
        if per_node:
            parameter[into] = earlier[source[into]].to(parameter)
        else:
            parameter.copy_(earlier)
    return New(int((users < 0).sum()), int((items < 0).sum()))
