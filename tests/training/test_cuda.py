"""On a GPU everything is what it is on a CPU, and no step waits for a number.

These tests are skipped where torch sees no GPU.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from given import made, needed
from small_recommenders import REPLAYED, recommender
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import PopularityCandidates, UniformCandidates
from pyg_negsamp.cli import main
from pyg_negsamp.datasets import InteractionDataset, SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import known_links
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, MF
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import LinkLoader, fit
from pyg_negsamp.transforms import SAMPLERS

GPU = torch.device("cuda")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@pytest.fixture(scope="module")
def splits() -> InteractionDataset:
    return SyntheticInteractions("tiny")


@pytest.fixture(scope="module")
def data(splits: InteractionDataset) -> HeteroData:
    return splits[0]


def take_steps(data: HeteroData, encoder: str, neg: str, loss: str = "bpr") -> None:
    """Two steps, the second of which may not wait for the GPU."""
    model = recommender(data, encoder, neg, loss).to(GPU)
    generator = torch.Generator(GPU).manual_seed(1)
    model.encoder.start_epoch(generator)
    model.sampler.start_epoch(0, 9, model.encoder.settled_tables())
    model.generator, model.num_positives = generator, 0
    model.loss_sum = torch.zeros((), dtype=torch.double, device=GPU)
    batch = next(iter(LinkLoader(data, 64))).to(GPU)
    model.training_step(batch, 1).backward()  # what is made once is made here
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss_found = model.training_step(batch, 1)
        loss_found.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert bool(loss_found.isfinite())
    assert all(x.device.type == "cuda" for x in model.parameters())


CASES = [(encoder, neg) for encoder in ("mf", "lightgcn", "ngcf") for neg in SAMPLERS]
CASES += [(encoder, neg) for encoder in ENCODERS for neg in ("rns", "dins")]


@pytest.mark.parametrize(("encoder", "neg"), dict.fromkeys(CASES))
def test_no_step_waits(data: HeteroData, encoder: str, neg: str) -> None:
    take_steps(data, encoder, neg)


@pytest.mark.parametrize("neg", ["rns", "pris"])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_no_loss_waits(data: HeteroData, loss: str, neg: str) -> None:
    take_steps(data, "mf", neg, loss)


@pytest.mark.parametrize("candidates", [UniformCandidates, PopularityCandidates])
def test_draws_are_of_unseen_items(data: HeteroData, candidates: type[UniformCandidates]) -> None:
    source = candidates(data).to(GPU)
    user = known_links(data).index[0].to(GPU)
    drawn = source(user, 200, torch.Generator(GPU).manual_seed(2))
    links = known_links(data)
    seen = Pairs(links.index.to(GPU), links.num_users, links.num_items)
    assert not bool(seen.hold(user.unsqueeze(1), drawn).any())
    if candidates is UniformCandidates:  # of one user: as often as chance has it
        mine = drawn[user == user[0]].flatten().bincount(minlength=links.num_items).double()
        free = mine[mine > 0]
        unseen = links.num_items - int((links.index[0] == links.index[0, 0]).sum())
        expected = mine.sum() / unseen
        assert len(free) == unseen
        assert float(((free - expected) ** 2 / expected).sum()) < unseen + 6 * (2 * unseen) ** 0.5


@pytest.mark.parametrize("loss", list(LOSSES))
def test_losses_are_the_same(data: HeteroData, loss: str) -> None:
    generator = torch.Generator().manual_seed(3)
    pos = torch.rand(40, generator=generator, dtype=torch.double) * 2 - 1
    neg = torch.rand(40, 9, generator=generator, dtype=torch.double) * 2 - 1
    weight = torch.rand(40, 9, generator=generator, dtype=torch.double)
    rows = needed(made(loss, data), data, neg)
    found = {}
    for device in ("cpu", "cuda"):
        given = {"pos": pos, "neg": neg, "weight": weight, **rows}
        given = {name: None if x is None else x.detach().to(device) for name, x in given.items()}
        learned = [x for x in given.values() if x is not None and x.is_floating_point()]
        for x in learned:
            x.requires_grad_(True)
        scores = [given.pop(name) for name in ("pos", "neg", "weight")]
        value = made(loss, data).to(device)(*scores, **given)
        value.backward()
        grads = [torch.zeros(0) if x.grad is None else x.grad.cpu().clone() for x in learned]
        found[device] = [value.detach().cpu(), *grads]
    torch.testing.assert_close(found["cuda"], found["cpu"])


@pytest.mark.parametrize("neg", list(SAMPLERS))
@pytest.mark.parametrize("encoder", ["mf", "lightgcn"])
def test_training_and_resuming(
    splits: InteractionDataset, encoder: str, neg: str, tmp_path: Path
) -> None:
    train, val, _ = splits
    runs = {}
    for name, epochs in (("whole", 3), ("cut", 1)):
        model = recommender(train, encoder, neg)
        fit(model, train, val, tmp_path / name, epochs, 256, device="cuda", progress=False,
            loggers=(), planned=3)  # fmt: skip
        runs[name] = model
    model = recommender(train, encoder, neg)
    fit(model, train, val, tmp_path / "cut", 3, 256, device="cuda", progress=False,
        loggers=(), planned=3, resume=True)  # fmt: skip
    assert [epoch["epoch"] for epoch in model.history] == [0, 1, 2]
    for one, other in zip(model.history, runs["whole"].history, strict=True):
        # Sums of gradients come in any order on a GPU.
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert model.history[-1]["loss"] < 1e3


@pytest.mark.parametrize(("encoder", "neg", "loss"), REPLAYED)
def test_a_graph_takes_the_same_steps(data: HeteroData, encoder: str, neg: str, loss: str) -> None:
    runs = []
    for replayed in (False, True):
        model = recommender(data, encoder, neg, loss)
        # Ten steps an epoch. In double precision, as sums of gradients come in any order on a GPU.
        fit(model, data, None, epochs=3, batch_size=64, device="cuda", progress=False,
            precision="64-true", cuda_graph=replayed)  # fmt: skip
        runs.append(model)
    for one, other in zip(*(model.history for model in runs), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
    for one, other in zip(*(model.parameters() for model in runs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("where", ["train", "val", "both"])
def test_graphs_may_be_on_the_gpu_and_stay_where_they_are(
    splits: InteractionDataset, where: str
) -> None:
    on = {name: "cuda" if where in (name, "both") else "cpu" for name in ("train", "val")}
    train, val = splits[0].clone().to(on["train"]), splits[1].clone().to(on["val"])
    model = recommender(train, "lightgcn", "dins")
    for _ in range(2):
        fit(model, train, val, epochs=1, device="cuda", progress=False)
    for split, device in ((train, on["train"]), (val, on["val"])):
        tensors = [x for store in split.stores for x in store.values() if torch.is_tensor(x)]
        assert tensors
        assert {x.device.type for x in tensors} == {device}


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_precisions(splits: InteractionDataset, precision: str) -> None:
    train, val, _ = splits
    model = recommender(train, "lightgcn", "dins")
    fit(model, train, val, epochs=2, device="cuda", precision=precision, progress=False)
    assert len(model.history) == 2


def test_ranking_is_the_same(splits: InteractionDataset) -> None:
    model = MF(splits[0], dim=8)
    expected = evaluate(model, splits[2])
    on_gpu = [split.clone().to("cuda") for split in splits]
    assert evaluate(model.to(GPU), on_gpu[2]) == pytest.approx(expected)


def test_the_command_and_the_saved_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dataset", "tiny", "--epochs", "2", "--device", "cuda", "--out", str(tmp_path)]
    main(["train", *flags])
    assert "NDCG@20" in capsys.readouterr().out
    model = TrainedModel.load(tmp_path)
    assert len(model.recommend([0], k=5)) == 5


def test_references(splits: InteractionDataset) -> None:
    from pyg_negsamp.references import REFERENCES

    on_gpu = [split.clone().to("cuda") for split in splits]
    for cls in REFERENCES.values():
        expected = evaluate(cls(splits[0]), splits[2])
        assert evaluate(cls(on_gpu[0]), on_gpu[2]) == pytest.approx(expected, abs=2e-3)
