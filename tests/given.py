"""Losses with all that they ask for, as training gives it to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.graph import known_links
from pyg_negsamp.losses import LOSSES, RankingLoss, graph_arguments


def made(name: str, data: HeteroData, dim: int = 5, **arguments: Any) -> RankingLoss:
    """A loss by name, always with the same parameters, in double precision."""
    cls = LOSSES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls(**{**graph_arguments(cls, data, dim), **arguments}).double()


def needed(
    loss: RankingLoss, data: HeteroData, neg: Tensor, dim: int = 5, **known: Tensor
) -> dict[str, Any]:
    """What a loss needs besides `[B, K]` scores: links of the graph, random rows, or `known`."""
    generator = torch.Generator().manual_seed(1)
    links = known_links(data)
    user, item = links.index[:, : len(neg)]
    rows = torch.randn(2, len(neg), dim, generator=generator, dtype=torch.double).to(neg.dtype)
    neg_item = torch.randint(links.num_items, neg.shape, generator=generator)
    found = {"user": user, "item": item, "neg_item": neg_item, "log_q": None, "pos_log_q": None}
    found |= {"user_rows": rows[0], "pos_rows": rows[1], **known}
    return {name: found[name] for name in loss.needs}
