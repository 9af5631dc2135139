"""Diagnostics look at training, and training does not notice."""

from __future__ import annotations

import csv
import inspect
import random
import threading
import warnings
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch_geometric.typing
from power_cut import PowerCut
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GCN, GraphSAGE

from pyg_negsamp.candidates import BatchCandidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.diagnostics import (
    DIAGNOSTICS,
    PIECES,
    Look,
    false_negative_share_by_popularity,
)
from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.nn import ENCODERS, MF, FromModule, LightGCN
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.training import (
    Costs,
    Diagnostics,
    NonFiniteLossError,
    Recommender,
    diagnostics,
    fit,
)
from pyg_negsamp.training.looking import MOST_NEGATIVES, Sample, Watched, look_at
from pyg_negsamp.transforms import DNS, RNS, SAMPLERS, InBatch, MixGCF, NSCaching


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def recommender(data: HeteroData, encoder: str, neg: str, **arguments: Any) -> Recommender:
    torch.manual_seed(0)
    network, cls = ENCODERS[encoder](data, dim=8), SAMPLERS[neg]
    values = {"dim": network.width, "warmup": 1}  # the second epoch comes after the warm-up
    own = {n: v for n, v in values.items() if n in inspect.signature(cls.__init__).parameters}
    sampler = cls(cls.proposal(data), pool=network.pool, **own)
    return Recommender(network, sampler, lr=0.02, **arguments)


def train(model: Recommender, splits: list[HeteroData], **arguments: Any) -> list[dict[str, float]]:
    """The history, without what a clock says."""
    given = {"epochs": 2, "batch_size": 300, "progress": False, "device": "cpu", **arguments}
    fit(model, *splits[:2], **given)
    return [
        {name: x for name, x in epoch.items() if name != "seconds" and "cost/" not in name}
        for epoch in model.history
    ]


def tensors(state: Any) -> Iterator[Tensor]:
    """All tensors of a `state_dict`, of extra states too."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict | list | tuple):
        for part in state.values() if isinstance(state, dict) else state:
            yield from tensors(part)


def assert_same_state(one: Recommender, other: Recommender) -> None:
    for a, b in zip(tensors(one.state_dict()), tensors(other.state_dict()), strict=True):
        assert torch.equal(a, b)


# Training does not notice -------------------------------------------------------------------------


CASES = [*zip(cycle(("mf", "lightgcn")), SAMPLERS), *((encoder, "dins") for encoder in ENCODERS)]


@pytest.mark.parametrize(("encoder", "neg"), dict.fromkeys(CASES))
def test_a_run_looked_at_and_resumed_is_the_plain_one_bit_for_bit(
    splits: list[HeteroData], tmp_path: Path, encoder: str, neg: str
) -> None:
    plain, cut, resumed = (recommender(splits[0], encoder, neg) for _ in range(3))
    before = train(plain, splits, diagnostics="none")
    with pytest.raises(RuntimeError, match="power cut"):
        train(cut, splits, diagnostics="all", out=tmp_path, loggers=[], callbacks=[PowerCut(1)])
    assert before[0]["loss"] == cut.history[0]["loss"]  # or it is looking that changes something
    found = train(resumed, splits, diagnostics="all", out=tmp_path, loggers=[], resume=True)
    assert_same_state(plain, resumed)
    for plainly, seen in zip(before, found, strict=True):
        assert plainly.items() <= seen.items()
        assert {"hardness/negative", "false-negatives/chosen", "over-fitting/gap"} <= seen.keys()
        draws = resumed.sampler.takes_candidates and neg != "midx"  # which draws out of its cells
        assert ("ambiguous-trap/max" in seen) == draws


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_training_is_the_same_in_any_precision(splits: list[HeteroData], precision: str) -> None:
    plain, looked = (recommender(splits[0], "lightgcn", "mixgcf") for _ in range(2))
    train(plain, splits, diagnostics="none", precision=precision)
    found = train(looked, splits, diagnostics="all", precision=precision)
    assert_same_state(plain, looked)
    assert "ambiguous-trap/gain" in found[-1]


@pytest.mark.parametrize("neg", ["dns", "nscaching", "srns", "adasir", "cbns"])
def test_a_resumed_run_has_the_same_history(
    splits: list[HeteroData], tmp_path: Path, neg: str
) -> None:
    whole, resumed = (recommender(splits[0], "lightgcn", neg) for _ in range(2))
    expected = train(whole, splits, diagnostics="all", epochs=3)
    train(resumed, splits, diagnostics="all", out=tmp_path, epochs=2, planned=3)
    found = train(resumed, splits, diagnostics="all", out=tmp_path, epochs=3, resume=True)
    assert found == expected
    assert_same_state(whole, resumed)


class Careless(DNS):
    """Draws from every global stream, and counts its choices."""

    choices = 0

    def select(self, *args: Any, **kwargs: Any) -> Any:
        self.choices += 1
        self.weight = torch.rand(3) + float(np.random.rand()) + random.random()
        return super().select(*args, **kwargs)


def test_global_streams_and_own_counts_stay_where_they_were(splits: list[HeteroData]) -> None:
    found = []
    for names in ("none", "all"):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        sampler = Careless(UniformCandidates(splits[0]))
        train(Recommender(MF(splits[0], dim=4), sampler), splits, diagnostics=names)
        found.append((sampler.choices, sampler.weight.tolist(), random.random()))
    assert found[0] == found[1]


class Locked(DNS):
    """Cannot be copied."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = threading.Lock()


def test_a_sampler_that_cannot_be_copied_is_left_alone_with_a_line(
    splits: list[HeteroData],
) -> None:
    model = Recommender(MF(splits[0], dim=4), Locked(UniformCandidates(splits[0])))
    with pytest.warns(UserWarning, match="nothing is looked at, as Locked cannot be copied") as all:
        history = train(model, splits)
    assert len([w for w in all if "diagnostics" in str(w.message)]) == 1
    assert not any("hardness" in name for epoch in history for name in epoch)


@pytest.mark.parametrize("names", ["none", "all"])
@pytest.mark.parametrize("neg", ["rns", "dns"])
def test_training_that_diverges_says_what_it_says_without(
    splits: list[HeteroData], names: str, neg: str
) -> None:
    """Tables are beyond numbers at the end of an epoch whose loss was none yet."""
    model = recommender(splits[0], "mf", neg)
    model.lr = 1e30
    with pytest.raises(NonFiniteLossError, match="loss became nan in epoch 1"):
        fit(model, splits[0], None, batch_size=1000, diagnostics=names, progress=False)
    assert len(model.history) == 1
    assert not any("hardness" in name for name in model.history[0])


# What is seen -------------------------------------------------------------------------------------


def look(model: Recommender, splits: list[HeteroData], num: int = 100) -> Look:
    generator = torch.Generator().manual_seed(0)
    sample = Sample.of(*splits[:2], EDGE_TYPE, num, generator)
    return look_at(model, Watched(model.sampler), sample, generator)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_scores_are_those_of_the_loss(splits: list[HeteroData], similarity: str) -> None:
    loss = SampledSoftmaxLoss(similarity=similarity)
    model = recommender(splits[0], "lightgcn", "dns", loss=loss)
    seen = look(model, splits)
    users, items = model.scoring_tables().values()
    table = users @ items.t()
    assert seen.candidates is not None
    assert seen.chosen is not None

    def of(item: Tensor) -> Tensor:
        return table[seen.user.unsqueeze(1), item]

    for item, score in (
        (seen.pos.unsqueeze(1), seen.pos_score.unsqueeze(1)),
        (seen.chosen, seen.neg_score),
        (seen.chosen, seen.chosen_score),
        (seen.candidates, seen.candidate_score),
        (seen.unseen, seen.unseen_score),
    ):
        torch.testing.assert_close(score, of(item), atol=1e-6, rtol=1e-4)
    hardest = seen.candidates.gather(1, of(seen.candidates).argmax(1, keepdim=True))
    assert torch.equal(seen.chosen, hardest)
    known = set(map(tuple, splits[0][EDGE_TYPE].edge_index.t().tolist()))
    pairs = zip(seen.user.tolist(), seen.unseen.tolist(), strict=True)
    assert not known & {(user, item) for user, row in pairs for item in row}


def test_over_fitting_is_of_what_ranks(splits: list[HeteroData]) -> None:
    """Of vectors of all lengths that do not learn, by cosines and by products."""
    found = []
    for similarity, rank_by in (("cosine", "dot"), ("dot", None), ("cosine", None)):
        torch.manual_seed(0)
        encoder, loss = MF(splits[0], dim=8), SampledSoftmaxLoss(similarity=similarity)
        torch.nn.init.normal_(encoder.embedding.weight, std=2.0)
        model = Recommender(encoder, RNS(splits[0]), loss, lr=0.0, rank_by=rank_by)
        found.append(train(model, splits)[-1]["over-fitting/train"])
    assert found[0] == found[1] != found[2]


def test_draws_by_popularity_leave_out_what_users_have_seen(splits: list[HeteroData]) -> None:
    """As the candidates do: nobody's known item counts, of whatever user the sample has."""
    seen = look(recommender(splits[0], "mf", "pns"), splits)
    links = known_links(splits[0])
    assert seen.liked is not None
    known = Pairs(links.index, links.num_users, links.num_items)
    expected = false_negative_share_by_popularity(seen.user, seen.count, seen.liked, known)
    found = DIAGNOSTICS["false-negatives"](seen)["false-negatives/by-popularity"]
    assert found == expected > 0


class Sum(torch.nn.Module):
    """A decoder: the sum of what both have in common, dropped at random in training."""

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.nn.functional.dropout(user.unsqueeze(1).minimum(item), 0.5, self.training).sum(
            2
        )


def test_a_decoder_scores_without_dropout(splits: list[HeteroData]) -> None:
    torch.manual_seed(0)
    encoder = FromModule(GraphSAGE(8, 6, 2), splits[0], EDGE_TYPE, dim=8, decoder=Sum())
    model = Recommender(encoder, DNS(UniformCandidates(splits[0]))).train()
    seen = look(model, splits)
    users, items = encoder.pooled_tables().values()
    expected = users[seen.user].minimum(items[seen.pos]).sum(1)
    torch.testing.assert_close(seen.pos_score, expected)
    assert torch.equal(seen.neg_score, seen.chosen_score)
    assert encoder.training
    assert encoder.decoder is not None
    assert encoder.decoder.training
    assert "over-fitting/train" in train(model, splits)[-1]


def test_items_chosen_layer_by_layer_score_before_they_are_mixed(
    splits: list[HeteroData],
) -> None:
    torch.manual_seed(0)
    encoder = LightGCN(splits[0], dim=8)
    model = Recommender(encoder, MixGCF(UniformCandidates(splits[0]), num_negatives=2))
    seen, tables = look(model, splits), encoder.settled_tables()
    assert seen.chosen is not None
    assert seen.chosen_score is not None
    assert seen.chosen.shape == (100, 2, 4)
    rows = [x[seen.chosen[7, 1, layer]] for layer, x in enumerate(tables["item"])]
    expected = seen.users[seen.user[7]] @ torch.stack(rows).mean(0)
    assert float(seen.chosen_score[7, 1]) == pytest.approx(float(expected), abs=1e-6)
    assert not torch.allclose(seen.neg_score, seen.chosen_score)


def test_of_many_negatives_some_are_looked_at(splits: list[HeteroData]) -> None:
    seen = look(recommender(splits[0], "lightgcn", "in-batch"), splits)
    assert seen.candidates is None
    assert seen.chosen is not None
    assert seen.weight is not None
    assert seen.chosen.shape == seen.weight.shape == seen.neg_score.shape == (100, MOST_NEGATIVES)
    expected = (seen.users[seen.user].unsqueeze(1) * seen.items[seen.chosen]).sum(2)
    torch.testing.assert_close(seen.neg_score, expected)
    counts = ~InBatch(splits[0])._known.knows(seen.user.unsqueeze(1), seen.chosen)
    assert torch.equal(seen.weight != 0, counts)


@pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates, BatchCandidates])
def test_no_unseen_item_before_it_existed(splits: list[HeteroData], source: Any) -> None:
    train_data = splits[0].clone()
    num_links = train_data[EDGE_TYPE].edge_label_index.size(1)
    since = torch.zeros(train_data["item"].num_nodes)
    since[::2] = num_links / 2
    train_data[EDGE_TYPE].edge_label_time = torch.arange(1.0, num_links + 1)
    candidates = source(train_data, time=since)
    model = Recommender(MF(train_data, dim=4), RNS(candidates, num_candidates=6))
    generator = torch.Generator().manual_seed(0)
    sample = Sample.of(train_data, splits[1], EDGE_TYPE, 100, generator)
    seen = look_at(model, Watched(model.sampler), sample, generator)
    assert sample.time is not None
    for item in (seen.unseen, seen.chosen):
        assert item is not None
        assert bool((since[item] <= sample.time.unsqueeze(1)).all())
        assert not bool(candidates.knows(seen.user.unsqueeze(1), item).any())


# Runs ---------------------------------------------------------------------------------------------


def test_what_is_asked_for_is_noticed(splits: list[HeteroData], tmp_path: Path) -> None:
    def kinds(history: list[dict[str, float]]) -> set[str]:
        return {name.split("/")[0] for name in history[-1] if "/" in name} - {"val"}

    model = recommender(splits[0], "mf", "dns")
    assert kinds(train(model, splits, diagnostics="none")) == set()
    default = {"hardness", "false-negatives", "popularity", "over-fitting"}
    assert kinds(train(model, splits, out=tmp_path)) == default
    assert kinds(train(model, splits, diagnostics=("gradient",))) == {"gradient"}
    # Without validation there are no held-out links, and no gap.
    fit(model, splits[0], None, epochs=1, progress=False)
    assert kinds(model.history) == default - {"false-negatives"}
    assert "over-fitting/gap" not in model.history[0]
    with pytest.raises(ValueError, match=r"fit: 'diagnostics' must be .* mean 'hardness'"):
        train(model, splits, diagnostics=("hardnes",))

    (file,) = tmp_path.glob("logs/csv/*/metrics.csv")
    with file.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("hardness/negative")]
    assert [int(row["epoch"]) for row in rows] == [0, 1]


def test_small_data_is_looked_at_every_few_epochs(
    splits: list[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "FIRST", 2)
    model = recommender(splits[0], "mf", "rns")
    history = train(model, splits, diagnostics="gradient", epochs=12)
    assert [n for n, epoch in enumerate(history) if "gradient/mean" in epoch] == [0, 1, 10]


@pytest.mark.skipif(
    not (torch_geometric.typing.WITH_PYG_LIB or torch_geometric.typing.WITH_TORCH_SPARSE),
    reason="needs torch-sparse or pyg-lib",
)
@pytest.mark.parametrize("module", [GraphSAGE, GCN])
@pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without a 'pyg-lib'")
def test_sampled_neighbourhoods_are_looked_at_where_rows_come_one_by_one(
    splits: list[HeteroData], module: type[torch.nn.Module]
) -> None:
    states, seen = [], []
    for names in ("none", "all"):
        torch.manual_seed(0)
        encoder = FromModule(module(8, 6, 2), splits[0], EDGE_TYPE, dim=8, num_neighbors=[2, 2])
        model = Recommender(encoder, DNS(UniformCandidates(splits[0])))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            seen.append(train(model, splits, diagnostics=names, epochs=1)[0])
        states.append(model)
    assert_same_state(*states)
    looked = "hardness/negative" in seen[1]
    assert looked == (module is GraphSAGE)
    assert looked != any("GCN has no way to all rows" in str(line.message) for line in said)


# Costs --------------------------------------------------------------------------------------------


class Clock:
    """Goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(NSCaching):
    """Takes a second to draw, and two more to choose."""

    def draw(self, *args: Any, **kwargs: Any) -> Tensor:
        self.clock.now += 1
        return super().draw(*args, **kwargs)

    def select(self, *args: Any, **kwargs: Any) -> Any:
        self.clock.now += 2
        return super().select(*args, **kwargs)


def test_costs_are_exclusive_and_sum_to_the_epoch(
    splits: list[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of its own: 9 batches, of which one is measured."""
    clock = Clock()
    sampler = Slow(UniformCandidates(splits[0]))
    sampler.clock = clock
    model = Recommender(MF(splits[0], dim=4), sampler)
    tables, validate = MF.tables, Recommender.validation_step

    def slow(self: MF) -> Any:
        clock.now += 4
        return tables(self)

    def slow_validation(self: Recommender, *args: Any) -> None:
        clock.now += 100
        validate(self, *args)

    monkeypatch.setattr(MF, "tables", slow)
    monkeypatch.setattr(Recommender, "validation_step", slow_validation)
    costs = Costs(clock)
    looked = Diagnostics(*splits[:2], "cost", costs)
    train(model, splits, callbacks=[costs, looked], diagnostics="none", epochs=1, batch_size=70)
    steps = costs.steps
    assert (steps, costs.measured) == (9, 1)
    found = {name: value for name, value in model.history[0].items() if "cost/" in name}
    other = dict.fromkeys({f"cost/{piece}" for piece in PIECES}, 0.0)
    expected = {**other, "cost/draw": steps, "cost/choice": 2 * steps, "cost/propagate": 4 * steps}
    # Settled tables of the beginning, which no step asked for, are the rest.
    assert found == {**expected, "cost/evaluation": 104.0, "cost/rest": 4.0}
    assert "tables" not in vars(model.encoder)
    assert "choose" not in vars(sampler)


def test_costs_of_every_piece_are_found(splits: list[HeteroData]) -> None:
    model = recommender(splits[0], "lightgcn", "dns")
    train(model, splits, diagnostics="cost", epochs=1)
    found = {name: value for name, value in model.history[0].items() if "cost/" in name}
    assert found.keys() == {f"cost/{piece}" for piece in (*PIECES, "evaluation", "rest")}
    assert all(value > 0 for name, value in found.items() if name != "cost/rest")


def test_an_interrupted_step_leaves_methods_their_own(splits: list[HeteroData]) -> None:
    costs, model = Costs(), recommender(splits[0], "mf", "dns")
    costs.on_train_epoch_start(None, model)  # type: ignore[arg-type]
    costs.on_train_batch_start(SimpleNamespace(num_training_batches=1), model, None, 0)  # type: ignore[arg-type]
    assert "choose" in vars(model.sampler)
    costs.on_exception()
    assert not {"choose", "draw"} & vars(model.sampler).keys()
