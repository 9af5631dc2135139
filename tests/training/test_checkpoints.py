"""Checkpoints: whole or not there, checked when read, and of the model that goes on."""

from __future__ import annotations

import pickle
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.nn import MF
from pyg_negsamp.training import Fitted, Recommender, fit
from pyg_negsamp.training.checkpoints import WholeCheckpoints, read_checkpoint
from pyg_negsamp.transforms import RNS


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    return list(SyntheticInteractions("tiny"))


def model(splits: list[HeteroData], dim: int = 8) -> Recommender:
    torch.manual_seed(0)
    return Recommender(MF(splits[0], dim=dim), RNS(UniformCandidates(splits[0])), lr=0.1)


def train(splits: list[HeteroData], out: Path, epochs: int = 2, **options: Any) -> Fitted:
    made = options.pop("model", None) or model(splits)
    usual = {"patience": 3, "progress": False, "loggers": (), "device": "cpu"}
    options = {**usual, "diagnostics": "none", **options}
    return fit(made, splits[0], splits[1], out, epochs, **options)


@pytest.fixture(scope="module")
def done(splits: list[HeteroData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("done")
    train(splits, out)
    return out


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def one_line(error: BaseException, file: Path) -> str:
    said = str(error)
    assert "\n" not in said
    assert str(file) in said
    assert "weights_only" not in said
    assert "begin the run anew" in said
    return said


def test_every_flipped_bit_is_seen(run: Path) -> None:
    file, draw = run / "checkpoints" / "last.ckpt", random.Random(0)
    whole = file.read_bytes()
    at = [*draw.sample(range(len(whole)), 197), len(whole) - 1, len(whole) - 40, len(whole) - 70]
    for position in at:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        with pytest.raises(ValueError, match="a whole checkpoint") as refused:
            read_checkpoint(file)
        one_line(refused.value, file)
    for length in (0, 1, 50, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="a whole checkpoint"):
            read_checkpoint(file)
    file.write_bytes(whole)
    assert read_checkpoint(file)["epoch"] == torch.load(file, weights_only=True)["epoch"] == 1


def saved(content: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Puts content made of the checkpoint's own in its place, with a right checksum."""
    return lambda file: WholeCheckpoints().save_checkpoint(content(read_checkpoint(file)), file)


def pickled(file: Path) -> None:
    file.write_bytes(pickle.dumps({"epoch": 1}))


def plain(file: Path) -> None:
    torch.save({"epoch": 1}, file)


def without_history(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "history"}


def of_another(state: dict[str, Any]) -> dict[str, Any]:
    weights = {name + "s": value for name, value in state["state_dict"].items()}
    return {**state, "state_dict": weights}


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (saved(lambda state: [1, 2]), "something else"),
        (saved(without_history), "something else"),
        (saved(lambda state: {**state, "path": Path("a")}), "something else"),
        (saved(of_another), "weight none instead of"),
        (pickled, "damaged, or is none"),
        (plain, "damaged, or is none"),
        (Path.unlink, "no file"),
    ],
)
def test_wrong_content_is_refused_before_an_epoch_is_spent(
    splits: list[HeteroData], run: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    file = run / "checkpoints" / name
    damage(file)
    if not file.exists() and name == "last.ckpt":
        with pytest.raises(FileNotFoundError, match="there is no run to resume"):
            train(splits, run, 4, resume=True)
        return
    with pytest.raises(ValueError, match=message) as refused:
        train(splits, run, 4, resume=True)
    said = one_line(refused.value, file)
    assert ("copy best.ckpt over it" in said) == (name == "last.ckpt")


def test_a_run_goes_on_with_its_own_model_and_at_least_its_epochs(
    splits: list[HeteroData], run: Path
) -> None:
    with pytest.raises(ValueError, match=r"embedding.weight \[140, 8\] instead of \[140, 4\]"):
        train(splits, run, 4, resume=True, model=model(splits, dim=4))
    with pytest.raises(ValueError, match=r"'epochs' must be at least 2, as many as .* \(got 1\)"):
        train(splits, run, 1, resume=True)


def test_a_run_that_was_moved_goes_on_from_either_checkpoint(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    """Its best epoch so far counts, though the path is another."""
    whole = train(splits, tmp_path / "whole", 30)
    assert len(whole.history) == whole.best_epoch + 1 + 3
    shutil.copytree(tmp_path / "whole", tmp_path / "moved")
    folder = tmp_path / "moved" / "checkpoints"
    shutil.copy(folder / "best.ckpt", folder / "last.ckpt")
    again = train(splits, tmp_path / "moved", 30, resume=True)
    assert again.best_epoch == whole.best_epoch
    assert [{**epoch, "seconds": 0} for epoch in again.history] == [
        {**epoch, "seconds": 0} for epoch in whole.history
    ]


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file can become larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Filling(Callback):
    """The disk is full from an epoch on."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.full = epoch, disk_of(4096)

    def on_train_epoch_start(self, trainer: object, pl_module: Recommender) -> None:  # type: ignore[override]
        if pl_module.current_epoch == self.epoch:
            self.full.__enter__()


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_full_disk_is_one_line_and_what_was_there_stays(
    splits: list[HeteroData], tmp_path: Path, epoch: int
) -> None:
    whole = train(splits, tmp_path / "whole", 5)
    full, out = Filling(epoch), tmp_path / "run"
    try:
        with pytest.raises(OSError, match=r"(best|last).ckpt cannot be written: File too") as said:
            train(splits, out, 5, callbacks=[full])
    finally:
        full.full.__exit__(None, None, None)
    assert "\n" not in str(said.value)
    assert not list(out.rglob("*.part"))
    if epoch == 0:
        with pytest.raises(FileNotFoundError, match="there is no run to resume"):
            train(splits, out, 5, resume=True)
    again = train(splits, out, 5, resume=epoch > 0)
    assert [epoch["loss"] for epoch in again.history] == [e["loss"] for e in whole.history]
    assert again.best_epoch == whole.best_epoch


def test_a_checkpoint_from_within_an_epoch_is_refused_and_not_offered(
    splits: list[HeteroData], tmp_path: Path
) -> None:
    """Lightning writes the best one before its epoch ends, if not all epochs are validated."""
    run = tmp_path / "run"
    fit(model(splits), splits[0], splits[1], run, 4, 64, eval_every=2, progress=False)
    folder = run / "checkpoints"
    last = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(last[:-100])
    with pytest.raises(ValueError, match=r"a whole checkpoint \(begin the run anew"):
        train(splits, run, 6, resume=True)
    shutil.copy(folder / "best.ckpt", folder / "last.ckpt")
    with pytest.raises(ValueError, match="must be a checkpoint from the end of an epoch"):
        train(splits, run, 6, resume=True)


def test_a_run_goes_on_with_its_own_learning_rate(splits: list[HeteroData], run: Path) -> None:
    """That of the checkpoint would be taken, in silence."""
    other = model(splits)
    other.lr = 2 * other.lr
    with pytest.raises(ValueError, match="'recommender' must be one with lr="):
        train(splits, run, 4, resume=True, model=other)
