"""Steps that are replayed are the steps that are taken; what cannot be replayed is refused.

An emulation takes the place of the CUDA graph, see `emulated_graph.py`. The real one is tested
where there is a GPU, see `test_cuda.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from emulated_graph import as_on_a_gpu, emulated
from small_recommenders import REPLAYED, recommender
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE

from pyg_negsamp.candidates import BatchCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.nn import FromModule
from pyg_negsamp.training import Costs, Ranks, Recommender, check_replays, fit, replay
from pyg_negsamp.training.replay import Found, Replay
from pyg_negsamp.transforms import DNS, MIDX, SAMPLERS


@pytest.fixture(scope="module")
def splits() -> Sequence[HeteroData]:
    return SyntheticInteractions("tiny")


def trained(splits: Sequence[HeteroData], model: Recommender, replayed: bool) -> list[Any]:
    """All that two epochs of five steps leave behind."""
    looks = type(model.loss) is BPRLoss  # the other cases differ in what nobody looks at
    fit(model, splits[0], splits[1] if looks else None, epochs=2, batch_size=128, device="cpu",
        progress=False, diagnostics="false-negatives" if looks else "none", eval_every=2,
        cuda_graph=replayed)  # fmt: skip
    assert model.replay is None
    assert not model.replays
    history = [{n: x for n, x in epoch.items() if n != "seconds"} for epoch in model.history]
    return [history, *(x.detach() for x in model.parameters())]


@pytest.mark.parametrize(("encoder", "neg", "loss"), REPLAYED)
def test_replayed_runs_find_the_same(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch, encoder: str, neg: str, loss: str
) -> None:
    as_on_a_gpu(monkeypatch)
    given = {"warmup": 1}  # what begins after some epochs begins in the second
    given |= {} if loss == "bpr" else {"num_negatives": 4}
    usual, replayed = (
        trained(splits, recommender(splits[0], encoder, neg, loss, **given), how)
        for how in (False, True)
    )
    assert usual[0] == replayed[0]
    assert all(map(torch.equal, usual[1:], replayed[1:]))


@pytest.mark.parametrize("kind", ["a memory that grows", "numbers that stay"])
def test_the_emulation_sees_what_a_gpu_would_miss(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    as_on_a_gpu(monkeypatch)
    neg = "cbns" if kind == "a memory that grows" else "rns"
    usual = trained(splits, recommender(splits[0], "mf", neg), replayed=False)
    if neg == "cbns":
        monkeypatch.setattr(SAMPLERS["cbns"], "replayable", True)
    else:

        def always_the_same(work: Any, generators: Sequence[torch.Generator]) -> Any:
            states = [x.get_state() for x in generators]
            again, found = emulated(work, generators)

            def replays() -> None:
                for generator, state in zip(generators, states, strict=True):
                    generator.set_state(state)
                again()

            return replays, found

        monkeypatch.setattr(replay, "recorded", always_the_same)
    assert usual[0] != trained(splits, recommender(splits[0], "mf", neg), replayed=True)[0]


def test_each_epoch_is_recorded_with_its_generators(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_a_gpu(monkeypatch)
    made: list[list[torch.Generator]] = []

    def noting(work: Callable[[], Found], generators: Sequence[torch.Generator]) -> object:
        made.append(list(generators))
        return emulated(work, generators)

    monkeypatch.setattr(replay, "recorded", noting)
    model = recommender(splits[0], "mf", "rns")
    trained(splits, model, replayed=True)
    assert [len(generators) for generators in made] == [2, 2]
    assert made[-1] == [model.generator, model.encoder.generator]
    copy.deepcopy(model)


def test_a_run_that_fails_leaves_no_recording(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_a_gpu(monkeypatch)
    model = recommender(splits[0], "mf", "rns")

    def fails(*_: object) -> None:
        raise OSError("disk")

    model.on_train_epoch_end = fails  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk"):
        trained(splits, model, replayed=True)
    assert model.replay is None
    assert not model.replays


def test_frozen_parameters_are_left_alone(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_a_gpu(monkeypatch)
    found = []
    for how in (False, True):
        model = recommender(splits[0], "mf", "ans")
        next(model.sampler.parameters()).requires_grad_(False)
        found.append(trained(splits, model, how))
    assert found[0][0] == found[1][0]


def test_gradients_are_scaled_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with any loss: towards what is made of it, also if it is not used yet."""
    monkeypatch.setattr(replay, "recorded", emulated)
    weight, unused = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))

    def step(batch: HeteroData) -> Tensor:
        return (weight * batch["user"].x).sum()

    batches = []
    for value in (1.0, 2.0, 3.0, 4.0):
        batch = HeteroData()
        batch["user"].x = torch.full((3,), value)
        batches.append(batch)
    again = Replay(step, [weight, unused], [])
    losses = []
    for batch in batches:
        loss = again(batch)
        (loss / 2).backward()
        losses.append(loss)
    assert [float(x.detach()) for x in losses] == [3.0, 6.0, 9.0, 12.0]
    assert weight.grad is not None
    assert weight.grad.tolist() == [5.0, 5.0, 5.0]
    assert unused.grad is None
    other = HeteroData()
    other["user"].x = torch.full((2,), 7.0)
    with pytest.raises(RuntimeError, match="size"):
        again(other)  # taken as it is, by a step that does not take it


def test_what_cannot_be_recorded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what went wrong first: where a recording fails, torch fails again as it ends it."""

    def refuses(*_: object) -> None:
        try:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        finally:
            raise RuntimeError("the capture was invalidated")

    monkeypatch.setattr(replay, "recorded", refuses)
    weight, batch = torch.nn.Parameter(torch.ones(())), HeteroData()
    batch["user"].x = torch.ones(2)
    again = Replay(lambda batch: weight * 2, [weight], [])
    again(batch)
    with pytest.raises(ValueError, match=r"cuda_graph.*recorded \(operation not permitted\)"):
        again(batch)

    def runs_out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(replay, "recorded", runs_out)
    with pytest.raises(torch.OutOfMemoryError):
        again(batch)


def hooked(model: Recommender) -> None:
    next(model.parameters()).register_hook(lambda grad: grad * 2)


def sampling(model: Recommender) -> None:
    model.encoder.num_neighbors = [2]


def exact(model: Recommender) -> None:
    model.sampler = MIDX(model.sampler.candidates, exact=True)


def of_the_batch(model: Recommender) -> None:
    model.sampler = DNS(BatchCandidates(SyntheticInteractions("tiny")[0]))


@pytest.mark.parametrize(
    ("options", "change", "reason"),
    [
        ({"precision": "bf16-mixed"}, None, "precision is 'bf16-mixed'"),
        ({"diagnostics": ("cost", "hardness")}, None, "the diagnostic 'cost'"),
        ({"callbacks": [Costs()]}, None, "the diagnostic 'cost'"),
        ({"neg": "cbns"}, None, "CBNS cannot be replayed"),
        ({}, exact, "MIDX cannot be replayed"),
        ({}, of_the_batch, "a draw of BatchCandidates waits"),
        ({}, hooked, "hooks on parameters"),
        ({}, sampling, "the encoder samples neighbourhoods"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    splits: Sequence[HeteroData],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    change: Callable[[Recommender], None] | None,
    reason: str,
) -> None:
    as_on_a_gpu(monkeypatch)
    options = copy.copy(options)
    model = recommender(splits[0], "mf", options.pop("neg", "dns"))
    if change is not None:
        change(model)
    with pytest.raises(ValueError, match=f"cuda_graph.*False, as {reason}"):
        fit(model, splits[0], splits[1], device="cpu", cuda_graph=True, **options)


def test_several_ranks_and_modules_of_ones_own_are_refused(
    splits: Sequence[HeteroData], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_on_a_gpu(monkeypatch)
    model = recommender(splits[0], "mf", "dns")
    model.ranks = Ranks(0, 2)
    with pytest.raises(ValueError, match="several processes"):
        check_replays(model, "cuda", "32-true", "none")
    own = FromModule(GraphSAGE(4, 8, 1), splits[0], dim=4)
    with pytest.raises(ValueError, match="modules of one's own"):
        check_replays(Recommender(own, DNS(splits[0])), "cuda", "32-true", "none")


def test_a_cpu_is_refused(splits: Sequence[HeteroData]) -> None:
    model = recommender(splits[0], "mf", "dns")
    with pytest.raises(ValueError, match="False, as the run is not on CUDA"):
        fit(model, splits[0], splits[1], device="cpu", cuda_graph=True)
