"""A new node in a graph whose other nodes stay as they are (LightGCN eq. 3, NGCF eq. 3-7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oracles.ngcf import leaky_relu, normalize_rows


def _norms(taken: list[int], degree: list[int]) -> list[float]:
    """1 / (sqrt(n) sqrt(deg i)) of every link of the new node; a degree of 0 counts as 1."""
    return [1 / math.sqrt(len(taken)) / math.sqrt(max(degree[i], 1)) for i in taken]


def lightgcn(item_xs: list[Tensor], taken: list[int], degree: list[int]) -> list[Tensor]:
    """The layers 0, ..., L of the new node, `[D]` each, from the items' layers `[I, D]`.

    The node is appended to the dense normalised matrix; its row times the items' table of the
    layer below is its next layer. Its ego embedding is zero.
    """
    row = torch.zeros(item_xs[0].size(0), dtype=torch.double)
    for item, norm in zip(taken, _norms(taken, degree), strict=True):
        row[item] += norm
    return [torch.zeros_like(item_xs[0][0]), *(row @ x for x in item_xs[:-1])]


def ngcf(
    item_xs: list[Tensor],
    taken: list[int],
    degree: list[int],
    W1: list[Tensor],
    W2: list[Tensor],
    negative_slope: float,
) -> list[Tensor]:
    """The layers of the new node; `item_xs` are those that the next layer reads, not normalised."""
    x = torch.zeros_like(item_xs[0][0])
    xs = [x]
    for table, w1, w2 in zip(item_xs[:-1], W1, W2, strict=True):
        total = w1 @ x
        for item, norm in zip(taken, _norms(taken, degree), strict=True):
            total = total + norm * (w1 @ table[item] + w2 @ (table[item] * x))
        x = leaky_relu(total, negative_slope)
        xs.append(normalize_rows(x.unsqueeze(0))[0])
    return xs
