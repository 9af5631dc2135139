"""Optimisers and schedulers of the caller's own, and limits of a run; resumed bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from power_cut import PowerCut
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    ReduceLROnPlateau,
    StepLR,
)
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.nn import MF, LightGCN
from pyg_negsamp.training import Fitted, NonFiniteLossError, Recommender, fit
from pyg_negsamp.transforms import DNS, IRGAN

adam = partial(torch.optim.Adam, lr=1e-2, fused=True)
sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
plateau = partial(ReduceLROnPlateau, mode="max", factor=0.5, patience=0, threshold=0.5)


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def recommender(data: HeteroData, encoder: type = MF, **arguments: object) -> Recommender:
    torch.manual_seed(0)
    return Recommender(encoder(data, dim=8), DNS(DNS.proposal(data)), **arguments)


def train(
    model: Recommender, splits: list[HeteroData], out: Path | None = None, **options: object
) -> Fitted:
    usual = {"epochs": 6, "batch_size": 128, "device": "cpu", "progress": False}
    options = {**usual, "diagnostics": "none", **options}
    return fit(model, splits[0], splits[1], out, **options)


def last(out: Path) -> dict[str, object]:
    return torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)


def table(out: Path) -> torch.Tensor:
    return last(out)["state_dict"]["encoder.embedding.weight"]  # type: ignore[index, return-value]


class Rates(Callback):
    """Writes down the learning rate that every epoch begins with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_epoch_start(self, trainer: object, pl_module: Recommender) -> None:  # type: ignore[override]
        self.rates.append(pl_module.optimizers().param_groups[0]["lr"])


def same_history(one: Fitted, other: Fitted) -> bool:
    a, b = ([{**epoch, "seconds": 0} for epoch in fitted.history] for fitted in (one, other))
    return a == b


# Optimiser and scheduler ------------------------------------------------------------------------


def test_the_default_is_adam_with_a_thousandth(splits: list[HeteroData], tmp_path: Path) -> None:
    for name, arguments in (
        ("default", {}),
        ("lr", {"lr": 1e-3}),
        ("given", {"optimizer": partial(torch.optim.Adam, lr=1e-3, fused=True)}),
        ("constant", {"scheduler": partial(StepLR, step_size=100)}),
    ):
        train(recommender(splits[0], **arguments), splits, tmp_path / name, epochs=2)
    assert torch.equal(table(tmp_path / "default"), table(tmp_path / "lr"))
    assert torch.equal(table(tmp_path / "default"), table(tmp_path / "given"))
    assert torch.equal(table(tmp_path / "default"), table(tmp_path / "constant"))


def test_an_optimizer_gets_all_parameters_and_is_the_one_used(splits: list[HeteroData]) -> None:
    got: list[torch.nn.Parameter] = []

    def still(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        got.extend(parameters)
        return torch.optim.SGD(parameters, lr=0.0)

    model = Recommender(MF(splits[0], 8), IRGAN(IRGAN.proposal(splits[0])), optimizer=still)
    before = model.encoder.embedding.weight.detach().clone()
    train(model, splits, epochs=1)
    assert torch.equal(before, model.encoder.embedding.weight)
    assert {id(x) for x in got} == {id(x) for x in model.parameters()}
    assert {id(x) for x in got} > {id(x) for x in model.encoder.parameters()}


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        (partial(StepLR, step_size=2, gamma=0.5), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
        (partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)), [1 / n for n in range(1, 7)]),
    ],
)
def test_a_scheduler_is_stepped_once_per_epoch(
    splits: list[HeteroData], scheduler: Callable[..., LRScheduler], rates: list[float]
) -> None:
    seen = Rates()
    model = recommender(splits[0], optimizer=sgd, scheduler=scheduler)
    train(model, splits, callbacks=[seen])
    assert seen.rates == pytest.approx(rates)


@pytest.mark.parametrize("eval_every", [1, 2])
@pytest.mark.filterwarnings("error:ReduceLROnPlateau")
def test_a_plateau_is_one_of_validations(splits: list[HeteroData], eval_every: int) -> None:
    """No validation is better by half than the best so far: every one but the first halves."""
    seen = Rates()
    model = recommender(splits[0], optimizer=sgd, scheduler=plateau)
    fitted = train(model, splits, callbacks=[seen], eval_every=eval_every)
    values = [epoch.get("val/NDCG@20") for epoch in fitted.history]
    rate, best, expected = 1.0, 0.0, [1.0]
    for value in values:
        if value is not None and value > best * 1.5:
            best = value
        elif value is not None:
            rate /= 2
        expected.append(rate)
    assert seen.rates == expected[:-1]
    assert seen.rates[-1] < 1


SCHEDULERS = [
    None,
    partial(StepLR, step_size=2, gamma=0.5),
    partial(CosineAnnealingLR, T_max=6),
    partial(LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    plateau,
]
#: Each with each, and each of them early as well as late.
RESUMED = [
    (optimizer, scheduler, cut)
    for number, scheduler in enumerate(SCHEDULERS)
    for optimizer, cut in zip((adam, sgd), (1, 2) if number % 2 else (2, 1), strict=True)
]


@pytest.mark.parametrize(("optimizer", "scheduler", "cut"), RESUMED)
def test_resume_is_bit_identical(
    splits: list[HeteroData],
    tmp_path: Path,
    optimizer: Callable[..., torch.optim.Optimizer],
    scheduler: Callable[..., LRScheduler] | None,
    cut: int,
) -> None:
    def model() -> Recommender:
        return recommender(splits[0], optimizer=optimizer, scheduler=scheduler)

    rates, before, after = Rates(), Rates(), Rates()
    options, out = {"epochs": 3, "loggers": []}, tmp_path / "parts"
    whole = train(model(), splits, tmp_path / "whole", callbacks=[rates], **options)
    with pytest.raises(RuntimeError, match="power cut"):
        train(model(), splits, out, callbacks=[PowerCut(cut), before], **options)
    parts = train(model(), splits, out, resume=True, callbacks=[after], **options)
    assert before.rates[:cut] + after.rates == rates.rates
    assert torch.equal(table(tmp_path / "whole"), table(tmp_path / "parts"))
    assert same_history(whole, parts)
    one, other = last(tmp_path / "whole"), last(tmp_path / "parts")
    assert one["lr_schedulers"] == other["lr_schedulers"]


def test_refusals(splits: list[HeteroData]) -> None:
    with pytest.raises(ValueError, match=r"^Recommender: 'lr' must be left out.*got 0\.1"):
        recommender(splits[0], lr=0.1, optimizer=sgd)
    for name, wrong, message in (
        ("optimizer", lambda parameters: "Adam", "makes a torch Optimizer"),
        ("scheduler", lambda optimizer: optimizer, "makes a torch LRScheduler"),
        ("scheduler", ReduceLROnPlateau, "mode='max'.*larger.*got mode='min'"),
    ):
        with pytest.raises(ValueError, match=f"^Recommender: '{name}' must be .*{message}"):
            train(recommender(splits[0], **{name: wrong}), splits)
    with pytest.raises(ValueError, match=r"^Recommender: 'scheduler'.*no validation.*val_data"):
        fit(recommender(splits[0], scheduler=plateau), splits[0], None, device="cpu")


def test_divergence_does_not_name_a_rate_that_was_not_given(splits: list[HeteroData]) -> None:
    model = recommender(splits[0], optimizer=partial(torch.optim.SGD, lr=1e30))
    with pytest.raises(NonFiniteLossError, match="with the given optimizer, l2="):
        train(model, splits)


# No folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("validated", [True, False])
def test_a_run_without_a_folder_is_the_same_run(
    splits: list[HeteroData], tmp_path: Path, validated: bool
) -> None:
    runs = []
    for out in (tmp_path / "out", None):
        model = recommender(splits[0], lr=0.1)
        val = splits[1] if validated else None
        fitted = fit(model, splits[0], val, out, epochs=8, batch_size=128, progress=False)
        runs.append((fitted, model.encoder.embedding.weight.detach()))
    (kept, with_folder), (gone, without) = runs
    assert torch.equal(with_folder, without)
    assert same_history(kept, gone)
    assert (gone.best_epoch, gone.monitor) == (kept.best_epoch, kept.monitor)
    assert kept.checkpoint is not None
    assert gone.checkpoint is None


# Precision --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", [MF, LightGCN])
@pytest.mark.parametrize(
    ("precision", "dtype", "product"),
    [
        ("32-true", torch.float32, torch.float32),
        ("64-true", torch.float64, torch.float64),
        ("bf16-mixed", torch.float32, torch.bfloat16),
        ("bf16-true", torch.bfloat16, torch.bfloat16),
    ],
)
def test_precision(
    splits: list[HeteroData],
    encoder: type,
    precision: str,
    dtype: torch.dtype,
    product: torch.dtype,
) -> None:
    model, seen = recommender(splits[0], encoder, lr=0.1), set()
    step = model.training_step

    def looking(*args: object) -> torch.Tensor:
        rows = model.encoder.embedding.weight[:2]
        seen.add((rows.dtype, (rows @ rows.t()).dtype))
        return step(*args)

    model.training_step = looking
    before = evaluate(model.scoring_tables(), splits[1])["NDCG@20"]
    fitted = train(model, splits, epochs=4, precision=precision)
    assert seen == {(dtype, product)}
    assert model.encoder.embedding.weight.dtype == dtype
    assert fitted.best > before + 0.05
    # Whatever training does, what selects is what is measured afterwards.
    after = evaluate(model.scoring_tables(), splits[1])["NDCG@20"]
    assert after == pytest.approx(fitted.best, abs=1e-7)


def test_double_precision_differs_by_rounding_alone(splits: list[HeteroData]) -> None:
    losses = []
    for precision in ("32-true", "64-true"):
        fitted = train(recommender(splits[0]), splits, epochs=2, precision=precision)
        losses.append([epoch["loss"] for epoch in fitted.history])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("precision", ["half", "16-true", "16-mixed"])
def test_other_precisions_are_refused(splits: list[HeteroData], precision: str) -> None:
    """Adam in float16 divides by zero, and lightning has no mixture of it on CPU."""
    expected = rf"^fit: 'precision' must be one of .*bf16-mixed.*'{precision}'"
    with pytest.raises(ValueError, match=expected):
        train(recommender(splits[0]), splits, precision=precision)


# Time -------------------------------------------------------------------------------------------


class Slow(Callback):
    """A clock on which every epoch takes a minute."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 60.0) -> None:
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr("lightning.pytorch.callbacks.timer.time.monotonic", lambda: self.now)

    def on_train_batch_start(self, trainer: object, module: object, batch: object, n: int) -> None:  # type: ignore[override]
        if n == 0:
            self.now += self.seconds


@pytest.mark.parametrize(
    "limit",
    ["00:00:02:30", "2.5m", timedelta(minutes=2, seconds=30), {"minutes": 2, "seconds": 30}],
)
def test_max_time_stops_after_a_whole_epoch_and_goes_on_from_there(
    splits: list[HeteroData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: object
) -> None:
    whole = train(recommender(splits[0]), splits, tmp_path / "whole", epochs=8)
    out, slow = tmp_path / "parts", Slow(monkeypatch)
    options = {"epochs": 8, "max_time": limit, "callbacks": [slow]}
    part = train(recommender(splits[0]), splits, out, **options)
    assert len(part.history) == 3
    assert last(out)["epoch"] == 2
    # Every call has the whole time.
    part = train(recommender(splits[0]), splits, out, resume=True, **options)
    assert len(part.history) == 6
    rest = train(recommender(splits[0]), splits, out, resume=True, epochs=8)
    assert same_history(rest, whole)
    assert torch.equal(table(out), table(tmp_path / "whole"))


def test_max_time_before_the_first_validation_keeps_the_last_weights(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    model = recommender(splits[0])
    fitted = train(model, splits, tmp_path, eval_every=3, max_time=timedelta(microseconds=1))
    assert (len(fitted.history), fitted.best_epoch) == (1, 0)
    assert fitted.best != fitted.best
    assert torch.equal(model.encoder.embedding.weight, table(tmp_path))
    assert fitted.checkpoint == tmp_path / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("limit", ["soon", "00:00:00:00", "0s", timedelta(0), {"parsecs": 1}, 90])
def test_max_time_that_is_none_is_refused(splits: list[HeteroData], limit: object) -> None:
    with pytest.raises(ValueError, match=r"^fit: 'max_time' must be more than 0, a time like 90s"):
        train(recommender(splits[0]), splits, max_time=limit)


# Loggers ----------------------------------------------------------------------------------------


def test_loggers_replace_the_default_ones(splits: list[HeteroData], tmp_path: Path) -> None:
    mine = CSVLogger(tmp_path / "mine", name="", version="")
    train(recommender(splits[0]), splits, tmp_path / "out", epochs=2, loggers=[mine])
    assert "val/NDCG@20" in (tmp_path / "mine" / "metrics.csv").read_text()
    assert not (tmp_path / "out" / "logs").exists()
    train(recommender(splits[0]), splits, tmp_path / "silent", epochs=2, loggers=[])
    assert [file.name for file in (tmp_path / "silent").iterdir()] == ["checkpoints"]
    train(recommender(splits[0]), splits, tmp_path / "default", epochs=2)
    assert (tmp_path / "default" / "logs" / "csv").is_dir()
