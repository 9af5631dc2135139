"""Loader, step and run, on a synthetic graph of sixty users."""

from __future__ import annotations

import csv
import inspect
import io
import math
import os
import re
import runpy
import signal
import sys
import textwrap
import time
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fresh import Python
from power_cut import PowerCut
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import BPRLoss, SampledSoftmaxLoss
from pyg_negsamp.nn import MF, Encoder, LightGCN
from pyg_negsamp.training import (
    Fitted,
    LinkLoader,
    NonFiniteLossError,
    Progress,
    Recommender,
    fit,
)
from pyg_negsamp.training.checkpoints import WholeCheckpoints
from pyg_negsamp.transforms import DNS, RNS, SAMPLERS


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def recommender(
    data: HeteroData, neg: str = "dins", encoder: type[Encoder] = LightGCN, **arguments: float
) -> Recommender:
    torch.manual_seed(0)
    cls = SAMPLERS[neg]
    arguments = {"lr": 1e-2, **arguments}
    own = {"dim": 8} if "dim" in inspect.signature(cls.__init__).parameters else {}
    return Recommender(encoder(data, dim=8), cls(cls.proposal(data), **own), **arguments)


def train(
    model: Recommender,
    splits: list[HeteroData],
    out: Path | None,
    epochs: int = 3,
    **arguments: object,
) -> Fitted:
    usual = {"batch_size": 128, "patience": 50, "device": "cpu", "diagnostics": "none"}
    arguments = {**usual, **arguments}
    return fit(model, splits[0], splits[1], out, epochs=epochs, **arguments)


def weights(model: Recommender) -> torch.Tensor:
    return model.encoder.embedding.weight.detach().clone()


def last_weights(out: Path) -> torch.Tensor:
    state = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    return state["state_dict"]["encoder.embedding.weight"]


# Loader -----------------------------------------------------------------------------------------


def positives(loader: DataLoader) -> list[tuple[int, int]]:
    return [
        pair
        for batch in loader
        for pair in zip(
            batch["user"].src_index.tolist(), batch["item"].dst_pos_index.tolist(), strict=True
        )
    ]


def test_loader_gives_every_link_once_in_an_order_of_seed_and_epoch(
    splits: list[HeteroData],
) -> None:
    links = list(map(tuple, splits[0][EDGE_TYPE].edge_index.t().tolist()))
    loader = LinkLoader(splits[0], batch_size=100, seed=3)
    assert len(loader) == -(-len(links) // 100)
    first = positives(loader)
    assert first != links
    assert sorted(first) == sorted(links)
    assert positives(loader) == first
    loader.sampler.set_epoch(1)
    assert positives(loader) != first
    assert positives(LinkLoader(splits[0], 100, seed=4)) != first
    assert positives(LinkLoader(splits[0], 100, shuffle=False)) == links


def test_loader_order_does_not_depend_on_workers(splits: list[HeteroData]) -> None:
    loader = LinkLoader(splits[0], batch_size=100, seed=3)
    workers = DataLoader(loader.dataset, batch_size=None, sampler=loader.sampler, num_workers=2)
    assert positives(workers) == positives(loader)


def test_loader_refuses_nothing(splits: list[HeteroData]) -> None:
    with pytest.raises(ValueError, match="'batch_size'"):
        LinkLoader(splits[0], 0)
    empty = splits[0].clone()
    empty[EDGE_TYPE].edge_label_index = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(ValueError, match="at least one training link"):
        LinkLoader(empty)


# Step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("neg", "encoder"), [*zip(SAMPLERS, cycle([MF, LightGCN]))])
def test_every_sampler_learns(splits: list[HeteroData], neg: str, encoder: type[Encoder]) -> None:
    model = recommender(splits[0], neg, encoder, lr=0.03)
    before = evaluate(model.encoder.tables(), splits[1])["NDCG@20"]
    fitted = train(model, splits, None, epochs=5, eval_every=5, progress=False)
    assert fitted.best > before + 0.05
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


def test_step_equals_sample_on_differentiable_embeddings(splits: list[HeteroData]) -> None:
    """The steps one by one, with the fused gather, against `sample` and autograd."""
    model = recommender(splits[0], "dins", l2=0.0).double()
    model.generator = torch.Generator().manual_seed(1)
    model.loss_sum, model.num_positives = torch.zeros((), dtype=torch.double), 0
    batch = next(iter(LinkLoader(splits[0], 64)))
    loss = model.training_step(batch, batch_idx=0)
    loss.backward()
    fast = model.encoder.embedding.weight.grad.clone()

    model.encoder.zero_grad()
    x_dict = model.encoder()
    user, pos = batch["user"].src_index, batch["item"].dst_pos_index
    negatives = model.sampler.sample(
        user, pos, x_dict["user"], x_dict["item"], generator=torch.Generator().manual_seed(1)
    )
    u, p = (sum(x_dict[name])[ids] / 4 for name, ids in (("user", user), ("item", pos)))
    n = negatives.xs.mean(dim=2)
    slow = torch.nn.functional.softplus((u.unsqueeze(1) * n).sum(-1) - (u * p).sum(-1, True)).mean()
    slow.backward()
    torch.testing.assert_close(loss, slow)
    torch.testing.assert_close(fast, model.encoder.embedding.weight.grad)


def test_an_encoder_without_shortcuts_trains_alike(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    class Plain(LightGCN):
        tables, rows = Encoder.tables, Encoder.rows

    runs = []
    for encoder in (Plain, LightGCN):
        model = recommender(splits[0], "dins", encoder)
        train(model, splits, tmp_path / encoder.__name__, epochs=2)
        runs.append(weights(model))
    torch.testing.assert_close(*runs, atol=1e-5, rtol=1e-4)


def test_refuses_parts_that_do_not_fit(splits: list[HeteroData]) -> None:
    encoder, candidates = MF(splits[0], dim=4), UniformCandidates(splits[0])
    for sampler, message in (
        (RNS(candidates, pool="concat"), "pool"),
        (RNS(candidates, edge_type=("a", "b", "c")), "edge_type"),
        (DNS(), "candidates"),
    ):
        with pytest.raises(ValueError, match=f"Recommender: 'sampler' .*{message}"):
            Recommender(encoder, sampler)
    with pytest.raises(ValueError, match="width 64"):
        Recommender(encoder, SAMPLERS["dens"](candidates))
    for name, value in (("lr", -1.0), ("lr", math.inf), ("l2", math.nan), ("seed", -1)):
        with pytest.raises(ValueError, match=f"'{name}'"):
            Recommender(encoder, RNS(candidates), **{name: value})


# Run --------------------------------------------------------------------------------------------


def test_refuses_candidates_of_another_graph(splits: list[HeteroData]) -> None:
    for users, items in ((60, 70), (50, 80)):
        other = SyntheticInteractions("tiny", num_users=users, num_items=items, num_links=500)[0]
        sampler = RNS(UniformCandidates(other))
        with pytest.raises(ValueError, match=rf"^Recommender: 'sampler' .*{users} users"):
            Recommender(MF(splits[0], dim=8), sampler)
    sampler = DNS(UniformCandidates(splits[0]))
    row = splits[0][EDGE_TYPE].edge_index[:, :1]
    with pytest.raises(ValueError, match=r"^DNS: 'user_xs, item_xs' must be .* \[80, D\]"):
        sampler.sample(row[0], row[1], torch.randn(60, 4), torch.randn(79, 4))


def test_refuses_a_similarity_that_it_does_not_know(splits: list[HeteroData]) -> None:
    loss = torch.nn.Identity()
    loss.similarity = "cos"
    with pytest.raises(ValueError, match=r"^Recommender: 'loss.similarity'"):
        Recommender(MF(splits[0], dim=8), RNS(UniformCandidates(splits[0])), loss)


def test_leaves_embeddings_without_dropout(splits: list[HeteroData], tmp_path: Path) -> None:
    encoder = LightGCN(splits[0], dim=8, edge_dropout=0.5)
    model = Recommender(encoder, RNS(UniformCandidates(splits[0])))
    train(model, splits, tmp_path, epochs=1)
    first, second = ([x.clone() for x in model.encoder()["item"]] for _ in range(2))
    assert all(map(torch.equal, first, second))


@pytest.mark.parametrize("training", [True, False])
def test_tables_that_rank_are_without_dropout_and_leave_the_mode(
    splits: list[HeteroData], training: bool
) -> None:
    encoder = LightGCN(splits[0], dim=8, edge_dropout=0.5, message_dropout=0.5)
    model = Recommender(encoder, RNS(UniformCandidates(splits[0])))
    expected = [sum(xs) / 4 for xs in encoder.eval()().values()]
    encoder.train(training)
    found = model.scoring_tables()
    assert encoder.training == training
    torch.testing.assert_close([*found.values()], [x.detach() for x in expected])


@pytest.mark.parametrize("rank_by", [None, "dot", "cosine"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_validation_ranks_by_the_scores_of_the_loss_or_as_it_is_told(
    splits: list[HeteroData], similarity: str, rank_by: str | None
) -> None:
    """Vectors of all lengths, and no learning: ranking is by products, or by cosines."""
    encoder = MF(splits[0], dim=8)
    torch.nn.init.normal_(encoder.embedding.weight, std=2.0)
    x_dict = {"dot": encoder.tables(), "cosine": {}}
    x_dict["cosine"] = {name: normalize(xs[0]) for name, xs in encoder.tables().items()}
    loss = SampledSoftmaxLoss(similarity=similarity)
    model = Recommender(encoder, RNS(UniformCandidates(splits[0])), loss, lr=0.0, rank_by=rank_by)
    assert model.sampler.score == similarity
    by = {name: evaluate(x, splits[1])["NDCG@20"] for name, x in x_dict.items()}
    assert abs(by["dot"] - by["cosine"]) > 1e-3
    fitted = fit(model, splits[0], splits[1], epochs=1, device="cpu", progress=False)
    assert fitted.best == pytest.approx(by[rank_by or similarity], abs=1e-6)


def test_refuses_to_rank_otherwise_than_it_can(splits: list[HeteroData]) -> None:
    sampler = RNS(UniformCandidates(splits[0]))
    with pytest.raises(ValueError, match=r"^Recommender: 'rank_by'.*'dot', 'cosine'.*got 'cos'"):
        Recommender(MF(splits[0], dim=8), sampler, rank_by="cos")


@pytest.mark.parametrize("k", [(20, 5), (5, 20)])
def test_selects_by_the_first_length_of_lists(splits: list[HeteroData], k: tuple[int, int]) -> None:
    model = Recommender(MF(splits[0], dim=8), RNS(UniformCandidates(splits[0])), lr=0.0, k=k)
    expected = evaluate(model.scoring_tables(), splits[1], (k[0],))[f"NDCG@{k[0]}"]
    fitted = fit(model, splits[0], splits[1], epochs=1, device="cpu", progress=False)
    assert fitted.monitor == f"val/NDCG@{k[0]}"
    assert fitted.best == pytest.approx(expected, abs=1e-6)


def test_samplers_hear_of_every_epoch_with_clean_tables(splits: list[HeteroData]) -> None:
    """First which epoch it is, of how many, and then the tables of all, as they rank."""
    encoder = LightGCN(splits[0], dim=8, message_dropout=0.5)
    model, heard = Recommender(encoder, RNS(UniformCandidates(splits[0])), lr=0.0), []
    tables = encoder.eval().tables()
    model.sampler.set_epoch = lambda *told: heard.append(told)
    model.sampler.refresh = heard.append
    fit(model, splits[0], None, epochs=2, planned=3, device="cpu", progress=False)
    assert heard[::2] == [(0, 3), (1, 3)]
    for shown in heard[1::2]:
        torch.testing.assert_close(shown, tables)


def test_a_second_run_trains_with_dropout_too(splits: list[HeteroData], tmp_path: Path) -> None:
    encoder = LightGCN(splits[0], dim=8, edge_dropout=0.5)
    model, modes = Recommender(encoder, RNS(UniformCandidates(splits[0]))), []
    encoder.register_forward_hook(lambda module, *_: modes.append(module.training))
    step = model.training_step
    model.training_step = lambda *args: (modes.append(encoder.training), step(*args))[1]
    for name in ("one", "two"):
        train(model, splits, tmp_path / name, epochs=1)
        assert modes
        assert all(modes)
        modes.clear()


def test_embeddings_too_long_to_score_stop_with_an_explanation(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    model = recommender(splits[0], "rns", MF, lr=1e30, l2=0.0)
    with pytest.raises(NonFiniteLossError, match="scores overflowed"):
        train(model, splits, tmp_path)


def test_a_checkpoint_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there stays until the new one is on the disk, beside it."""
    checkpoints, file = WholeCheckpoints(), tmp_path / "deep" / "last.ckpt"
    checkpoints.save_checkpoint({"epoch": 1}, file)

    def full(value: object, target: io.BufferedWriter) -> None:
        target.write(b"half of it")
        assert Path(target.name).parent == file.parent
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="no space left"):
            checkpoints.save_checkpoint({"epoch": 2}, file)
    assert list(file.parent.iterdir()) == [file]
    assert torch.load(file, weights_only=True) == {"epoch": 1}
    checkpoints.save_checkpoint({"epoch": 3}, file)
    assert torch.load(file, weights_only=True) == {"epoch": 3}


def test_run_selects_on_validation_and_leaves_the_best(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    model = recommender(splits[0], "rns", lr=0.1)
    fitted = train(model, splits, tmp_path, epochs=30, patience=4)
    validated = [epoch["val/NDCG@20"] for epoch in fitted.history]
    assert fitted.best == max(validated)
    assert fitted.best_epoch == validated.index(max(validated))
    assert len(validated) == fitted.best_epoch + 1 + 4  # stopped early
    again = evaluate(model.encoder.tables(), splits[1])["NDCG@20"]
    assert again == pytest.approx(fitted.best, abs=1e-6)
    with open(next((tmp_path / "logs" / "csv").glob("*/metrics.csv"))) as file:
        logged = [float(row["val/NDCG@20"]) for row in csv.DictReader(file) if row["val/NDCG@20"]]
    assert logged == pytest.approx(validated)


def test_validates_every_so_often(splits: list[HeteroData], tmp_path: Path) -> None:
    fitted = train(recommender(splits[0]), splits, tmp_path, epochs=5, eval_every=2)
    assert ["val/NDCG@20" in epoch for epoch in fitted.history] == [False, True] * 2 + [False]


def test_without_validation_trains_to_the_end(splits: list[HeteroData], tmp_path: Path) -> None:
    """As long as was planned, or shorter with the planned schedule; test links play no part."""
    selected = train(recommender(splits[0], "cuco"), splits, tmp_path / "a", epochs=4)
    options = {"batch_size": 128, "device": "cpu", "patience": 1}
    model = recommender(splits[0], "cuco")
    fitted = fit(model, splits[0], None, tmp_path / "b", epochs=4, **options)
    assert [epoch["loss"] for epoch in fitted.history] == [e["loss"] for e in selected.history]
    assert fitted.best_epoch == 3
    assert math.isnan(fitted.best)
    assert not any("val/NDCG@20" in epoch for epoch in fitted.history)
    assert torch.equal(weights(model), last_weights(tmp_path / "a"))
    short = fit(
        recommender(splits[0], "cuco"), splits[0], None, tmp_path / "c", 2, planned=4, **options
    )
    other = fit(recommender(splits[0], "cuco"), splits[0], None, tmp_path / "d", 2, **options)
    assert [epoch["loss"] for epoch in short.history] == [e["loss"] for e in fitted.history[:2]]
    assert short.history[1]["loss"] != other.history[1]["loss"]
    model = recommender(splits[0], "cuco")  # one after the other, each has its own schedule
    fit(model, splits[0], None, tmp_path / "e", 2, planned=4, **options)
    fit(model, splits[0], None, tmp_path / "f", 2, **options)
    assert (model.sampler.epoch, model.sampler.max_epochs) == (1, 2)
    whole = fit(
        recommender(splits[0], "cuco"), splits[0], None, tmp_path / "c", 4, resume=True, **options
    )
    assert torch.equal(last_weights(tmp_path / "a"), last_weights(tmp_path / "c"))
    assert whole.best_epoch == 3


def test_resuming_a_finished_run_changes_nothing(splits: list[HeteroData], tmp_path: Path) -> None:
    for name, epochs, patience in (("epochs over", 3, 50), ("stopped early", 30, 2)):
        out = tmp_path / name
        limits = {"epochs": epochs, "patience": patience}
        first = train(recommender(splits[0], lr=0.1), splits, out, **limits)
        before = last_weights(out)
        again = train(recommender(splits[0], lr=0.1), splits, out, resume=True, **limits)
        assert again == first
        assert torch.equal(last_weights(out), before)


def test_patience_goes_on_counting_where_a_run_resumes(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    """Nothing is learned: no validation is better than the first. Patience is today's."""
    cut = recommender(splits[0], lr=0.0)
    with pytest.raises(RuntimeError, match="power cut"):
        train(cut, splits, tmp_path, epochs=20, patience=3, callbacks=[PowerCut(2)])
    for patience, epochs in ((3, 4), (1, 4), (5, 6), (5, 6)):
        again = recommender(splits[0], lr=0.0)
        fitted = train(again, splits, tmp_path, epochs=20, patience=patience, resume=True)
        assert len(fitted.history) == epochs
        assert fitted.best_epoch == 0


def test_loss_that_is_not_a_number_stops_with_an_explanation(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    class Broken(torch.nn.Module):
        def forward(self, pos: torch.Tensor, *_: object) -> torch.Tensor:
            return pos.sum() * torch.nan

    model = recommender(splits[0])
    model.loss = Broken()
    with pytest.raises(NonFiniteLossError, match=r"nan in epoch 0 with lr=0\.01.*learning rate"):
        train(model, splits, tmp_path)


def test_checks_before_training(splits: list[HeteroData], tmp_path: Path) -> None:
    model = recommender(splits[0])
    with pytest.raises(FileNotFoundError, match="there is no run to resume"):
        train(model, splits, tmp_path, resume=True)
    unheld = splits[1].clone()
    unheld[EDGE_TYPE].edge_label_index = torch.zeros(2, 0, dtype=torch.long)
    with pytest.raises(ValueError, match="'val_data'"):
        fit(model, splits[0], unheld, tmp_path)
    for name in ("epochs", "patience", "eval_every"):
        with pytest.raises(ValueError, match=f"'{name}'"):
            fit(model, splits[0], splits[1], tmp_path, **{name: 0})
    with pytest.raises(ValueError, match=r"'eval_every' must be at most epochs = 3.*got 4"):
        fit(model, splits[0], splits[1], tmp_path, epochs=3, eval_every=4)
    with pytest.raises(ValueError, match="'eval_every'"):
        fit(model, splits[0], None, tmp_path, eval_every=0)
    with pytest.raises(ValueError, match=r"'planned' must be at least epochs = 3.*got 2"):
        fit(model, splits[0], None, tmp_path, epochs=3, planned=2)
    assert not list(tmp_path.iterdir())
    train(model, splits, tmp_path)
    with pytest.raises(FileExistsError, match="already holds a run"):
        train(recommender(splits[0]), splits, tmp_path)


def test_progress_is_a_few_plain_lines(
    splits: list[HeteroData], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(recommender(splits[0]), splits, tmp_path, epochs=10)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("epoch 1/10  loss 0.")
    assert lines[-1].startswith("epoch 10/10")
    assert all("val/NDCG@20" in line and line.endswith("s left") for line in lines)
    assert err == ""


def test_one_run_of_several_says_which_it_is_and_draws_no_bar(
    splits: list[HeteroData],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    named = Progress(every=60.0, name="DINS, seed 3")
    train(recommender(splits[0]), splits, tmp_path, epochs=5, progress=False, callbacks=[named])
    out, err = capfd.readouterr()
    first, last = out.splitlines()
    assert first.startswith("DINS, seed 3: epoch 1/5  loss 0.")
    assert last.startswith("DINS, seed 3: epoch 5/5")
    assert err == ""


@pytest.mark.parametrize(("seconds", "said"), [(100, "at most 300 s"), (400, "at most 20 min")])
def test_progress_says_long_times_in_minutes(
    seconds: float, said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress()
    progress.started, progress.printed, progress.first = 0.0, 0.0, 0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    trainer = SimpleNamespace(current_epoch=0, max_epochs=4)
    model = SimpleNamespace(mean_loss=lambda: 0.5, validated={}, monitor="val/NDCG@20")
    progress.on_train_epoch_end(trainer, model)  # type: ignore[arg-type]
    assert f"epoch 1/4  loss 0.5000  {said} left" in capfd.readouterr().out


RUN = """
    import sys
    from pathlib import Path
    import torch
    from pyg_negsamp.candidates import UniformCandidates
    from pyg_negsamp.datasets import SyntheticInteractions
    from pyg_negsamp.nn import LightGCN
    from pyg_negsamp.training import Recommender, fit
    from pyg_negsamp.transforms import DINS

    train_data, val_data, _ = SyntheticInteractions("tiny")
    torch.manual_seed(0)
    model = Recommender(
        LightGCN(train_data, dim=8), DINS(UniformCandidates(train_data)), lr=1e-2
    )
    fit(model, train_data, val_data, sys.argv[1], epochs=int(sys.argv[2]), batch_size=128,
        patience=10**6, device="cpu", resume="resume" in sys.argv)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_survives_a_kill_and_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(RUN))
    out = tmp_path / "out"
    last = out / "checkpoints" / "last.ckpt"
    process = Python(str(script), str(out), "100000")
    for _ in range(600):
        if last.exists() and torch.load(last, weights_only=True)["epoch"] >= 3:
            break
        time.sleep(0.1)
    os.kill(process.pid, how)
    done = process.wait()
    assert done.returncode != 0
    if how == signal.SIGINT:
        assert "KeyboardInterrupt" in done.stderr
    reached = torch.load(last, weights_only=True)["epoch"]
    assert reached >= 3
    left = {file.suffix for file in last.parent.iterdir()}
    if how == signal.SIGKILL:
        left -= {".part"}  # nobody is left to remove what was being written
    assert left == {".ckpt"}, "half-written files"

    # Going on needs no process of its own, which takes its time to start.
    for words in (
        [str(out), str(reached + 3), "resume"],
        [str(tmp_path / "whole"), str(reached + 3)],
    ):
        monkeypatch.setattr(sys, "argv", [str(script), *words])
        runpy.run_path(str(script))
    assert torch.equal(last_weights(out), last_weights(tmp_path / "whole"))


def test_a_run_does_not_go_on_by_another_metric(splits: list[HeteroData], tmp_path: Path) -> None:
    """Its best epoch and its patience are kept by the metric's name."""
    train(recommender(splits[0]), splits, tmp_path, epochs=3)
    other = recommender(splits[0])
    other.selects_on = "test"
    where = re.escape(str(tmp_path))
    expected = rf"selects by val/NDCG@20, as {where} does \(got test/NDCG@20\)"
    with pytest.raises(ValueError, match=expected):
        train(other, splits, tmp_path, epochs=6, resume=True)


def test_a_second_run_of_a_model_has_a_history_of_its_own(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    model = recommender(splits[0])
    train(model, splits, tmp_path / "first", epochs=3)
    again = train(model, splits, tmp_path / "second", epochs=2)
    assert len(again.history) == 2
    assert again.best == again.history[again.best_epoch][again.monitor]
    assert again.best == pytest.approx(
        evaluate(model.scoring_tables(), splits[1])[again.monitor.removeprefix("val/")]
    )


def test_what_is_no_recommender_or_number_is_refused(splits: list[HeteroData]) -> None:
    for wrong in (None, recommender(splits[0]).encoder):
        with pytest.raises(ValueError, match="fit: 'recommender' must be a Recommender"):
            fit(wrong, splits[0], splits[1])
    for name in ("epochs", "patience", "eval_every"):
        with pytest.raises(ValueError, match=f"fit: '{name}' must be a whole number.*'3'"):
            fit(recommender(splits[0]), splits[0], splits[1], **{name: "3"})


class NoSlope(BPRLoss):
    """A finite value whose gradient is not."""

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        return (pos - pos.detach()).square().sum().sqrt().expand(len(pos)) + 1


def test_weights_that_are_no_numbers_end_a_run_before_they_are_kept(tmp_path: Path) -> None:
    train_data = SyntheticInteractions("tiny")[0]
    model = Recommender(MF(train_data, dim=4), RNS(train_data), NoSlope())
    with pytest.raises(NonFiniteLossError, match="weights became NaN or infinite in epoch 0"):
        fit(model, train_data, None, tmp_path, 3, 10_000, device="cpu", progress=False)
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()
