"""Training hands every loss what it declares, and resumes what it keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch_geometric.typing
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import LOSSES, NEEDS, BPRLoss, RankingLoss, SoftmaxAtKLoss
from pyg_negsamp.nn import MF, FromModule, LightGCN
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import ANS, DINS, RNS, Negatives, NegativeSampling

#: Arguments by which what a loss does later happens within four epochs.
SOON: dict[str, dict[str, int]] = {
    "adap-tau": {"warmup": 1},
    "bc": {"warmup": 1},
    "adv-info-nce": {"every": 2},
    "sl-at-k": {"every": 2},
}
#: What a person took whom nobody knows.
TAKEN = [1, 5, 40]
#: Losses that keep something, or learn.
STATEFUL = (*SOON, "sogclr", "llpauc")


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def recommender(name: str, data: HeteroData) -> Recommender:
    own = {f"loss_{key}": value for key, value in SOON.get(name, {}).items()}
    config = Config.of(
        dataset="tiny", encoder="mf", dim=8, neg="rns", num_negatives=8, loss=name, **own
    )
    return make_recommender(config, data)


def train(model: Recommender, splits: list[HeteroData], out: Path | None, epochs: int, **more: Any):
    options = {"device": "cpu", "progress": False, "loggers": [], "batch_size": 256}
    options = {**options, "diagnostics": "none", **more}
    return fit(model, splits[0], splits[1], out, epochs, **options)


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_trains_and_places_new_users(
    splits: list[HeteroData], name: str, tmp_path: Path
) -> None:
    """The command's way; a saved model places them as the one in memory does."""
    model = recommender(name, splits[0])
    before = model.encoder.embedding.weight.detach().clone()
    fitted = train(model, splits, None, 2)
    assert all(math.isfinite(epoch["loss"]) for epoch in fitted.history)
    assert (model.encoder.embedding.weight - before).abs().mean() > 1e-3
    kept = TrainedModel.from_training(model, SyntheticInteractions("tiny"))
    kept.save(tmp_path / "model")
    found = [x.recommend_for(TAKEN, k=3) for x in (kept, TrainedModel.load(tmp_path / "model"))]
    assert found[0].equals(found[1])


@pytest.mark.parametrize("name", STATEFUL)
def test_resume_is_bit_identical(splits: list[HeteroData], name: str, tmp_path: Path) -> None:
    whole = recommender(name, splits[0])
    train(whole, splits, None, 4, patience=9)
    assert whole.loss.state_dict()
    train(recommender(name, splits[0]), splits, tmp_path, 2, planned=4)
    parts = recommender(name, splits[0])
    train(parts, splits, tmp_path, 4, resume=True, patience=9)
    assert [e["loss"] for e in whole.history] == [e["loss"] for e in parts.history]
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key


class Everything(RankingLoss):
    """Writes down what it is given."""

    needs: ClassVar[tuple[str, ...]] = tuple(NEEDS)
    needs_whole_table = True

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None, **given: Any) -> Tensor:
        self.scores, self.given = (pos, neg), given
        return pos - neg.mean(dim=1)

    def start_epoch(self, epoch: int, max_epochs: int, *tables: Tensor) -> None:  # type: ignore[override]
        self.epoch, self.tables = (epoch, max_epochs), tables


class Proposing(RNS):
    """Knows how it proposes."""

    def make(self, *args: Any) -> Negatives:
        made = super().make(*args)
        made.log_q = torch.full(made.xs.shape[:2], -2.0)
        made.pos_log_q = torch.full(made.xs.shape[:1], -3.0)
        return made


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_all_that_can_be_declared_is_handed_over(splits: list[HeteroData], similarity: str) -> None:
    loss = Everything()
    loss.similarity = similarity
    encoder = LightGCN(splits[0], dim=4)
    model = Recommender(encoder, Proposing(splits[0], num_negatives=3), loss)
    train(model, splits, None, 1, batch_size=10**6, max_time=None)
    assert loss.epoch == (0, 1)
    users, items = loss.tables
    given = loss.given
    assert set(given) == set(NEEDS)
    assert (given["log_q"] == -2).all()
    assert (given["pos_log_q"] == -3).all()
    user, pos = given["user"], given["item"]
    assert sorted(zip(user.tolist(), pos.tolist(), strict=True)) == sorted(
        map(tuple, splits[0][EDGE_TYPE].edge_index.t().tolist())
    )
    # The only step began with the tables of the epoch's start.
    torch.testing.assert_close((users[user] * items[pos]).sum(1), loss.scores[0])
    of_neg = (users[user].unsqueeze(1) * items[given["neg_item"]]).sum(2)
    torch.testing.assert_close(of_neg, loss.scores[1])
    for rows, table, ids in ((given["user_rows"], users, user), (given["pos_rows"], items, pos)):
        if similarity == "cosine":
            rows = rows / rows.norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows, table[ids])


def test_items_per_layer_and_items_behind_mixtures(splits: list[HeteroData]) -> None:
    """DINS has an item per layer, ANS one of those that it augmented."""
    samplers: tuple[tuple[NegativeSampling, tuple[int, ...]], ...] = (
        (DINS(splits[0], num_negatives=2, num_candidates=4), (2, 4)),
        (ANS(splits[0], dim=4, num_negatives=2, num_candidates=4), (2,)),
    )
    for sampler, shape in samplers:
        loss = Everything()
        train(Recommender(LightGCN(splits[0], dim=4), sampler, loss), splits, None, 1)
        assert loss.given["neg_item"].shape[1:] == shape
        assert loss.given["log_q"] is None


@pytest.mark.skipif(
    not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE),
    reason="needs torch-sparse or pyg-lib",
)
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without a 'pyg-lib'")
def test_ids_of_subgraphs_are_those_of_the_graph(splits: list[HeteroData]) -> None:
    encoder = FromModule(GraphSAGE(8, 6, 2), splits[0], EDGE_TYPE, dim=8, num_neighbors=[2, 2])
    loss = Everything()
    loss.needs_whole_table = False  # type: ignore[misc]
    model = Recommender(encoder, Proposing(splits[0], num_negatives=3), loss)
    train(model, splits, None, 1, batch_size=100)
    known = model.sampler.candidates.known
    given = loss.given
    assert loss.tables == ()
    assert known.hold(given["user"], given["item"]).all()
    assert not known.hold(given["user"].unsqueeze(1), given["neg_item"]).any()
    assert (given["log_q"] == -2).all()
    assert (given["pos_log_q"] == -3).all()
    with pytest.raises(ValueError, match="Recommender: 'loss' must be one that knows no more"):
        Recommender(encoder, RNS(splits[0]), SoftmaxAtKLoss(60))


def test_refuses_a_loss_that_needs_what_nobody_has(splits: list[HeteroData]) -> None:
    loss = BPRLoss()
    loss.needs = ("user", "weather")  # type: ignore[misc]
    with pytest.raises(ValueError, match=r"Recommender: 'loss.needs' must be out of .*weather"):
        Recommender(MF(splits[0], dim=4), RNS(splits[0]), loss)
