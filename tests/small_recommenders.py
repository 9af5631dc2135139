"""Recommenders by the names of their parts, and which of them can be replayed."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.losses import LOSSES, graph_arguments
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import SAMPLERS

#: Encoder, sampler and loss: each sampler with layers, each encoder, each loss.
REPLAYED = [
    case
    for case in dict.fromkeys(
        [
            *(("lightgcn", neg, "bpr") for neg in SAMPLERS),
            *((encoder, "dins", "bpr") for encoder in ENCODERS),
            *(("mf", "rns", loss) for loss in LOSSES),
        ]
    )
    if SAMPLERS[case[1]].replayable
]


def recommender(
    data: HeteroData, encoder: str, neg: str, loss: str = "bpr", **given: Any
) -> Recommender:
    """Always with the same parameters.

    Args:
        data: Training graph.
        encoder: Name of the encoder.
        neg: Name of the sampler.
        loss: Name of the loss.
        **given: Arguments for sampler and loss, whichever has them.
    """
    torch.manual_seed(0)
    network, sampler, minimised = ENCODERS[encoder](data, dim=8), SAMPLERS[neg], LOSSES[loss]

    def own(cls: type, offered: dict[str, Any]) -> dict[str, Any]:
        known = inspect.signature(cls).parameters
        return {name: value for name, value in offered.items() if name in known}

    return Recommender(
        network,
        sampler(
            sampler.proposal(data),
            pool=network.pool,
            **own(sampler, {"dim": network.width, **given}),
        ),
        minimised(**{**graph_arguments(minimised, data, network.width), **own(minimised, given)}),
        lr=0.05,
    )
