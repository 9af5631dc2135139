"""InfoNCE between two views of the same nodes: the auxiliary loss of self-supervised encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, pad

from pyg_negsamp.errors import number_in
from pyg_negsamp.numerics import wide

#: Target of rows that are no terms of a mean.
LEFT_OUT = -100


class Distinct(NamedTuple):
    """The nodes of a batch, of which each counts once.

    Attributes:
        ids: `[n]` sorted.
        repeats: `[n]` bool, which of them stood there before; `None` if none did.
    """

    ids: Tensor
    repeats: Tensor | None


def distinct(ids: Tensor) -> Distinct:
    """The nodes among `ids [B]`; on CPU without repeats, elsewhere with.

    How many are distinct, only the device knows, and telling would make the host wait.
    """
    if ids.device.type == "cpu":
        return Distinct(ids.unique(), None)
    ids = ids.sort().values
    return Distinct(ids, pad(ids[1:] == ids[:-1], (1, 0)))


def info_nce(
    first: Tensor, second: Tensor, temperature: float, repeats: Tensor | None = None
) -> Tensor:
    r"""InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) with cosines, averaged over nodes.

    .. math:: -\frac{1}{n} \sum_a \log
        \frac{\exp(\cos(x_a, y_a) / \tau)}{\sum_b \exp(\cos(x_a, y_b) / \tau)}

    Args:
        first: `[n, D]` one view.
        second: `[n, D]` the other view of the same nodes, in the same order.
        temperature: :math:`\tau`.
        repeats: `[n]` bool, which rows to leave out.

    Returns:
        A scalar; 0 for no nodes.
    """
    if not len(first):
        return first.sum()
    first, second = (normalize(wide(x), dim=-1) for x in (first, second))
    similarity = first @ second.t() / temperature
    target = torch.arange(len(first), device=first.device)
    if repeats is not None:
        similarity = similarity.masked_fill(repeats, -torch.inf)
        target = target.masked_fill(repeats, LEFT_OUT)
    return cross_entropy(similarity, target, ignore_index=LEFT_OUT)


def contrast(
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    nodes: Sequence[Distinct],
    temperature: float,
) -> Tensor:
    """InfoNCE over users plus that over items.

    Args:
        first: One view: rows `[n, D]` of users and `[m, D]` of items.
        second: The other.
        nodes: Whose rows they are, `n` users and `m` items.
        temperature: The temperature.
    """
    users, items = (
        info_nce(a, b, temperature, of.repeats)
        for a, b, of in zip(first, second, nodes, strict=True)
    )
    return users + items


def check_contrast(owner: object, weight: float, temperature: float) -> None:
    """Raises `ValueError` unless `weight >= 0` and `temperature > 0`, both finite."""
    number_in(owner, "weight", weight, "[0, inf)")
    number_in(owner, "temperature", temperature, "(0, inf)")
