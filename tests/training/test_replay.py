"""Steps that are replayed are the steps that are taken; what cannot be replayed is refused.

A stand-in takes the place of the CUDA graph: it does the work again, into the same tensors. That
the real one does so too is tested where there is a GPU, see `test_cuda.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.losses import BPRLoss, SampledSoftmaxLoss
from pyg_negsamp.nn import MF, Encoder, LightGCN, SimGCL
from pyg_negsamp.training import Recommender, fit, replay
from pyg_negsamp.training.replay import Found, Replay
from pyg_negsamp.transforms import ANS, CBNS, DINS, DNS, RNS, NegativeSampling


def standing_in(
    work: Callable[[], Found], generators: Sequence[torch.Generator]
) -> tuple[Callable[[], None], Found]:
    """As `recorded`, on any device."""
    states = [generator.get_state() for generator in generators]
    loss, grads = work()
    for generator, state in zip(generators, states, strict=True):  # recording draws nothing
        generator.set_state(state)

    def again() -> None:
        new_loss, new_grads = work()
        for kept, new in zip((loss, *grads), (new_loss, *new_grads), strict=True):
            assert (kept is None) == (new is None)
            if kept is not None and new is not None:
                kept.copy_(new)

    return again, (loss, grads)


@pytest.fixture(scope="module")
def splits() -> Sequence[HeteroData]:
    return SyntheticInteractions("tiny")


def recommender(
    data: HeteroData, encoder: type[Encoder], neg: type[NegativeSampling]
) -> Recommender:
    torch.manual_seed(0)
    loss = SampledSoftmaxLoss() if neg is RNS else BPRLoss()
    own = {"dim": 8} if neg is ANS else {}
    sampler = neg(UniformCandidates(data), num_negatives=4 if neg is RNS else None, **own)
    return Recommender(encoder(data, dim=8), sampler, loss, lr=0.05)


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replays on a CPU; gives what was recorded."""
    made: list[int] = []

    def noting(work: Callable[[], Found], generators: Sequence[torch.Generator]) -> object:
        made.append(len(generators))
        return standing_in(work, generators)

    monkeypatch.setattr(replay, "recorded", noting)
    monkeypatch.setattr(replay, "accelerator_of", lambda device: "gpu")
    return made


@pytest.mark.parametrize(
    ("encoder", "neg"), [(MF, RNS), (LightGCN, DINS), (SimGCL, DNS), (LightGCN, ANS)]
)
def test_replayed_runs_find_the_same(
    splits: Sequence[HeteroData],
    without_gpu: list[int],
    encoder: type[Encoder],
    neg: type[NegativeSampling],
) -> None:
    """Bit by bit; also resting links of an epoch, which are a smaller batch."""
    found = []
    for replayed in (False, True):
        model = recommender(splits[0], encoder, neg)
        fit(model, splits[0], splits[1], epochs=3, batch_size=256, device="cpu", progress=False,
            diagnostics="false-negatives", cuda_graph=replayed)  # fmt: skip
        assert model.replay is None
        for epoch in model.history:
            del epoch["seconds"]
        found.append((model.history, [x.detach() for x in model.parameters()]))
    assert without_gpu == [2, 2, 2]  # once per epoch, with the generators of sampler and encoder
    assert found[0][0] == found[1][0]
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.equal(one, other)


def test_gradients_are_scaled_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with any loss: towards what is made of it, also if it is not used yet."""
    monkeypatch.setattr(replay, "recorded", standing_in)
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
    def refuses(*_: object) -> None:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(replay, "recorded", refuses)
    weight, batch = torch.nn.Parameter(torch.ones(())), HeteroData()
    batch["user"].x = torch.ones(2)
    again = Replay(lambda batch: weight * 2, [weight], [])
    again(batch)
    with pytest.raises(ValueError, match=r"cuda_graph.*recorded \(operation not permitted\)"):
        again(batch)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "bf16-mixed"}, "precision is 'bf16-mixed'"),
        ({"diagnostics": ("cost", "hardness")}, "the diagnostic 'cost'"),
        ({"neg": CBNS}, "CBNS grows"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    splits: Sequence[HeteroData], without_gpu: list[int], options: dict, reason: str
) -> None:
    options = copy.copy(options)
    model = recommender(splits[0], MF, options.pop("neg", DNS))
    with pytest.raises(ValueError, match=f"cuda_graph.*False, as {reason}"):
        fit(model, splits[0], splits[1], device="cpu", cuda_graph=True, **options)
    assert without_gpu == []


def test_a_cpu_is_refused(splits: Sequence[HeteroData]) -> None:
    model = recommender(splits[0], MF, DNS)
    with pytest.raises(ValueError, match="False, as the run is not on a GPU"):
        fit(model, splits[0], splits[1], device="cpu", cuda_graph=True)
