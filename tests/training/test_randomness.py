"""The seed decides everything that is drawn, and the epoch draws anew; nothing else does."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import MF, Encoder, LightGCN
from pyg_negsamp.training import Fitted, Recommender, fit
from pyg_negsamp.training.randomness import ENCODER, NEGATIVES, ORDER, epoch_generator
from pyg_negsamp.transforms import RNS

EPOCHS = 4


class Case(NamedTuple):
    """A graph and an encoder that leave one thing alone to be drawn."""

    links: Tensor
    num_items: int
    encoder: type[Encoder]
    arguments: dict[str, float]


CASES = {
    # A single link has one order; 40 items are unobserved.
    "negatives": Case(torch.zeros(2, 1).long(), 41, MF, {}),
    # Every user has taken all items but one, which is always the negative.
    "order": Case((1 - torch.eye(8)).nonzero().t(), 8, MF, {}),
    # A single link, a single negative, and an encoder that drops.
    "dropout": Case(torch.zeros(2, 1).long(), 2, LightGCN, {"message_dropout": 0.5}),
}


class Seen(Callback):
    """Writes down the order of the positives, and the negatives, of every epoch."""

    def __init__(self) -> None:
        self.order: list[list[int]] = [[] for _ in range(EPOCHS)]
        self.negatives: list[list[int]] = [[] for _ in range(EPOCHS)]

    def on_train_batch_end(
        self, trainer: object, model: Recommender, outputs: object, batch: HeteroData, number: int
    ) -> None:  # type: ignore[override]
        self.order[model.current_epoch] += batch["user"].src_index.tolist()
        self.negatives[model.current_epoch] += model.chosen.flatten().tolist()


def train(drawn: str, seed: int, lr: float = 0.1) -> tuple[Tensor, Fitted, Seen]:
    """Embeddings, history and draws of a run from always the same start."""
    case = CASES[drawn]
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = int(case.links[0].max()) + 1, case.num_items
    data[EDGE_TYPE].edge_index = case.links
    torch.manual_seed(0)
    encoder = case.encoder(data, dim=8, **case.arguments)
    model = Recommender(encoder, RNS(UniformCandidates(data)), lr=lr, seed=seed)
    seen, options = Seen(), {"epochs": EPOCHS, "batch_size": 5, "progress": False}
    fitted = fit(model, data, None, device="cpu", callbacks=[seen], **options)
    return encoder.embedding.weight.detach(), fitted, seen


@pytest.mark.parametrize("drawn", list(CASES))
def test_the_seed_decides(drawn: str) -> None:
    first, again, other = (train(drawn, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_epoch_draws_anew() -> None:
    assert len({*map(tuple, train("order", 1)[2].order)}) == EPOCHS
    assert len({*map(tuple, train("negatives", 1)[2].negatives)}) > 1
    still = train("dropout", 1, lr=0.0)[1]
    assert len({epoch["loss"] for epoch in still.history}) == EPOCHS


def test_streams_are_independent() -> None:
    """Of each other, of the epoch before, and of the seed before."""
    drawn = {
        (seed, epoch, stream): int(
            torch.randint(2**62, (), generator=epoch_generator(seed, epoch, stream))
        )
        for seed in range(3)
        for epoch in range(3)
        for stream in (ORDER, NEGATIVES, ENCODER)
    }
    assert len({*drawn.values()}) == 27
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 1, 2
    data[EDGE_TYPE].edge_index = torch.zeros(2, 1).long()
    model = Recommender(MF(data), RNS(UniformCandidates(data)), seed=1)
    model.planned_epochs = 1
    model.on_train_epoch_start()
    first, second = model.generator, model.encoder.generator
    assert first is not None
    assert second is not None
    assert first.initial_seed() != second.initial_seed()
