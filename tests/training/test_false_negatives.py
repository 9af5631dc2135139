"""The rate of false negatives, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.nn import MF
from pyg_negsamp.training import FalseNegatives, Recommender, fit
from pyg_negsamp.transforms import ANS, BIR, CBNS, DNS, InBatch, MixGCF, NegativeSampling


@pytest.mark.parametrize("cls", [DNS, MixGCF, BIR, InBatch, CBNS])
def test_counts_instances_with_a_held_out_negative(
    monkeypatch: pytest.MonkeyPatch, cls: type[NegativeSampling]
) -> None:
    train, val, test = SyntheticInteractions("tiny")
    liked = set(map(tuple, test["user", "item"].edge_label_index.t().tolist()))
    found = total = 0
    step = Recommender.training_step

    def counting(self: Recommender, batch: object, batch_idx: int) -> torch.Tensor:
        nonlocal found, total
        loss = step(self, batch, batch_idx)  # type: ignore[arg-type]
        for b, user in enumerate(batch["user"].src_index.tolist()):  # type: ignore[index]
            negatives = self.chosen[b]
            if self.chosen_weight is not None:  # 0: not drawn, or seen
                negatives = negatives[self.chosen_weight[b] > 0]
            total += 1
            found += any((user, item) in liked for item in negatives.flatten().tolist())
        return loss

    monkeypatch.setattr(Recommender, "training_step", counting)
    results = []
    for callbacks in ([FalseNegatives(test)], []):
        torch.manual_seed(0)
        model = Recommender(MF(train, dim=8), cls(UniformCandidates(train), num_negatives=2))
        fitted = fit(model, train, val, epochs=2, batch_size=200, callbacks=callbacks,
                     diagnostics="none", progress=False)  # fmt: skip
        results.append([epoch["loss"] for epoch in fitted.history])
        if callbacks:
            (rate,) = callbacks
            assert 0 < found < total
            assert (rate.found, rate.total) == (found, total)
            assert rate.rate == found / total
    assert results[0] == results[1]


@pytest.mark.parametrize("shape", [(50, 7), (50, 3, 2), (1, 30), (0, 4)])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weighed", [False, True])
def test_few_searches_find_what_all_find(
    shape: tuple[int, ...], shared: bool, weighed: bool
) -> None:
    train, _, test = SyntheticInteractions("tiny")
    counter = FalseNegatives(test)
    model = Recommender(MF(train, dim=8), DNS(UniformCandidates(train)))
    counter.on_train_start(None, model)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    rows, *rest = shape
    user = torch.randint(counter.liked.num_users, (rows,), generator=generator)
    drawn = (1 if shared else rows, *rest)
    index = torch.randint(counter.liked.num_items, drawn, generator=generator).expand(shape)
    weight = torch.randint(2, shape[:2], generator=generator).float() if weighed else None
    counts = [count(user, index, weight) for count in (counter._count, counter._count_few)]
    assert counts[0] == counts[1]
    assert rows < 50 or counts[1] > 0


def test_nothing_counted_is_no_rate() -> None:
    assert FalseNegatives(SyntheticInteractions("tiny")[2]).rate == 0


def test_a_resumed_run_goes_on_counting(tmp_path: Path) -> None:
    train, val, test = SyntheticInteractions("tiny")
    counts = []
    for name, legs in (("whole", [4]), ("resumed", [2, 4])):
        for epochs in legs:
            torch.manual_seed(0)
            rate = FalseNegatives(test)
            model = Recommender(MF(train, dim=8), DNS(UniformCandidates(train)))
            fit(model, train, val, tmp_path / name, epochs=epochs, resume=epochs > legs[0],
                callbacks=[rate], progress=False)  # fmt: skip
        counts.append((rate.found, rate.total))
    assert counts[0] == counts[1]
    assert counts[0][0] > 0


def test_of_augmented_candidates_only_those_taken_count(tmp_path: Path) -> None:
    train, val, _ = SyntheticInteractions("tiny")
    model = Recommender(MF(train, dim=8), ANS(UniformCandidates(train), dim=8, num_negatives=2))
    fit(model, train, val, tmp_path, epochs=1, progress=False)
    assert model.chosen.size(1) == 2


def test_nothing_held_out_is_no_false_negative(tmp_path: Path) -> None:
    train, val, _ = SyntheticInteractions("tiny")
    model = Recommender(MF(train, dim=8), DNS(UniformCandidates(train)))
    counter = FalseNegatives(train)
    fit(model, train, val, tmp_path, epochs=1, callbacks=[counter], progress=False)
    assert counter.total > 0
    assert counter.rate == 0
