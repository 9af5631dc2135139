"""Every encoder and every sampler train with another.

MF and LightGCN do in `test_training.py`, where they learn, and in `test_ranks.py`; single steps of
every pair are held to an oracle in `test_step.py`.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Mapping
from itertools import cycle

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.training import LinkLoader, Recommender
from pyg_negsamp.transforms import SAMPLERS

EPOCHS = 2
OTHERS = [name for name in ENCODERS if name not in ("mf", "lightgcn")]


@pytest.fixture(scope="module")
def data() -> HeteroData:
    return SyntheticInteractions("tiny")[0]


@pytest.fixture(scope="module")
def triples(data: HeteroData) -> tuple[Tensor, Tensor, Tensor]:
    """Every training link with five random negatives, the same for all cells."""
    user, pos = data[EDGE_TYPE].edge_index
    return user, pos, UniformCandidates(data)(user, 5, torch.Generator().manual_seed(7))


def arguments(cls: type) -> Mapping[str, object]:
    return inspect.signature(cls.__init__).parameters


def build(data: HeteroData, encoder: str, neg: str) -> Recommender:
    torch.manual_seed(0)
    # Two epochs on sixty users with the papers' weights would be contrast and nothing else.
    contrast = {"weight": 0.005} if "weight" in arguments(ENCODERS[encoder]) else {}
    network = ENCODERS[encoder](data, dim=8, **contrast)
    cls = SAMPLERS[neg]
    # The second epoch is to come after the warmup, where there is one.
    values = {"dim": network.width, "warmup": 1}
    own = {name: value for name, value in values.items() if name in arguments(cls)}
    return Recommender(network, cls(cls.proposal(data), pool=network.pool, **own), lr=0.1)


def ranking_loss(model: Recommender, triples: tuple[Tensor, Tensor, Tensor]) -> float:
    """BPR on fixed negatives. The sampler's own get harder as training goes on."""
    user, pos, neg = triples
    users, items = model.scoring_tables().values()
    scores = users @ items.t()
    return float(softplus(scores[user].gather(1, neg) - scores[user, pos].unsqueeze(1)).mean())


@pytest.mark.parametrize(("neg", "encoder"), [*zip(SAMPLERS, cycle(OTHERS))])
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated")  # lightning's own
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_trains(
    data: HeteroData, triples: tuple[Tensor, Tensor, Tensor], encoder: str, neg: str
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    model = build(data, encoder, neg)
    before, start = ranking_loss(model, triples), model.encoder.embedding.weight.detach().clone()
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, LinkLoader(data, batch_size=128))
    losses = [epoch["loss"] for epoch in model.history]
    assert len(losses) == EPOCHS
    assert all(map(math.isfinite, losses))
    moved = (model.encoder.embedding.weight.detach() - start).abs()
    for part in moved.split([model.encoder.num_users, model.encoder.num_items]):
        assert float(part.mean()) > 1e-3
    after = ranking_loss(model, triples)
    assert after < 0.99 * before
