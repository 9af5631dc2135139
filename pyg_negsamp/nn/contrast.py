"""InfoNCE between two views of the same nodes: the auxiliary loss of self-supervised encoders."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from pyg_negsamp.errors import number_in
from pyg_negsamp.numerics import wide


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    r"""InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) with cosines, averaged over nodes.

    .. math:: -\frac{1}{n} \sum_a \log
        \frac{\exp(\cos(x_a, y_a) / \tau)}{\sum_b \exp(\cos(x_a, y_b) / \tau)}

    Args:
        first: `[n, D]` one view.
        second: `[n, D]` the other view of the same nodes, in the same order.
        temperature: :math:`\tau`.

    Returns:
        A scalar; 0 for no nodes.
    """
    if not len(first):
        return first.sum()
    first, second = (normalize(wide(x), dim=-1) for x in (first, second))
    similarity = first @ second.t() / temperature
    return cross_entropy(similarity, torch.arange(len(first), device=first.device))


def contrast(first: Sequence[Tensor], second: Sequence[Tensor], temperature: float) -> Tensor:
    """InfoNCE over users plus that over items; a view is their rows, `[n, D]` and `[m, D]`."""
    losses = [info_nce(a, b, temperature) for a, b in zip(first, second, strict=True)]
    return losses[0] + losses[1]


def check_contrast(owner: object, weight: float, temperature: float) -> None:
    """Raises `ValueError` unless `weight >= 0` and `temperature > 0`, both finite."""
    number_in(owner, "weight", weight, "[0, inf)")
    number_in(owner, "temperature", temperature, "(0, inf)")
