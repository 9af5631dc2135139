"""A run as Python starts it: what it refuses, before what, and what it leaves of the process."""

from __future__ import annotations

import datetime
import fcntl
import importlib
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import pyg_negsamp
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments import Config, ConfigError, load_data, protocols, run
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.experiments.protocols import still_improving

FRAME = pd.DataFrame(
    [(f"u{u}", f"i{(u * 7 + j * j) % 23}", 1 + j % 5) for u in range(30) for j in range(12)],
    columns=["user", "item", "stars"],
)
ANYTHING = [
    object(), b"x", float("nan"), float("inf"), -1, 0, 2.5, True, 1j, [], [1], [1, 2], ["a"], {},
    {"a": 1}, set(), (1, 2, 3), len, int, np.arange(10**4), torch.ones(3), Path("x"),
    datetime.date(2020, 1, 1), 10**400, -(10**30), 10**12, "", "\0", "é", "x" * 300, "1e400", "nan",
    pd.NaT, FRAME, "2020-01-01",
]  # fmt: skip


class Reached(Exception):  # noqa: N818
    """Training would begin."""


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise Reached

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(protocols, "fit", fit)


@pytest.mark.parametrize("name", [*FIELDS, "beta", "encoder_alpha", "source", "out", "arguments"])
@pytest.mark.usefixtures("untrained")
def test_anything_wrong_is_a_line_of_ours(name: str) -> None:
    """With a data set or a data frame in turns, as what they are is seen by few fields."""
    for source, value in zip(cycle(["tiny", FRAME]), ANYTHING, strict=False):
        given = {"source": source, "device": "cpu", name: value}
        try:
            pyg_negsamp.train(**given)
        except Reached:
            assert name != "source" or value is FRAME
        except (ValueError, OSError) as error:
            said = str(error)
            assert len(said) < 400 or value == "x" * 300, said
            assert "\n" not in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": 3}, "'source' must be a file, a name or a pandas DataFrame (got 3)"),
        ({"out": 3}, "'out' must be a folder, as text or a path (got 3)"),
        ({"dataset": "x"}, "'dataset' must be left out: the source says it (got 'x')"),
        ({"user": "customer"}, "did you mean 'user_column'?"),
        ({"sep": ";"}, "'sep' must be left out: it is for a file, not for frame"),
        ({"dim": 99999999999}, "'dim' must be less: it needs"),
        ({"num_candidates": 99999999999}, "'num_candidates' must be less: it needs"),
        ({"num_negatives": 99999999999}, "'num_negatives' must be less: it needs"),
        ({"neg": "mns", "num_uniform": 2000000000}, "'num_uniform' must be less: it needs"),
    ],
)
@pytest.mark.usefixtures("untrained")
def test_mistakes_in_python(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pyg_negsamp.train(**{"source": FRAME, "device": "cpu", **given})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("best", "trained", "every", "improving"),
    [(8, 8, 1, True), (7, 8, 1, False), (8, 8, 2, True), (6, 8, 2, False), (6, 8, 3, True),
     (5, 8, 3, False), (6, 6, 1, False)],
)  # fmt: skip
def test_what_is_still_improving(best: int, trained: int, every: int, improving: bool) -> None:
    """The last validation of all epochs that were asked for, eight, was the best."""
    config = Config.of(epochs=8, eval_every=every)
    assert still_improving(config, {"best_epoch": best, "epochs": trained}) == improving


@pytest.mark.usefixtures("untrained")
def test_a_batch_is_no_larger_than_the_links() -> None:
    with pytest.raises(Reached):
        pyg_negsamp.train(FRAME, batch_size=2**31 - 1, device="cpu")


def test_fields_of_a_frame_reach_its_reading(tmp_path: Path) -> None:
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("item\nnew-ü\n", encoding="latin-1")
    frame = FRAME.assign(stars="3,5")
    config = Config.of(items_file=str(catalogue), encoding="latin-1", decimal=",",
                       rating_column="stars", min_rating=3)  # fmt: skip
    assert "new-ü" in load_data(config, frame).item_ids


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "tiny", "k_core": (2, 2)}, "'k_core' must be left out"),
        ({"dataset": "tiny", "duplicates": "keep"}, "'duplicates' must be left out"),
        ({"dataset": "tiny", "time_column": "t"}, "'time_column' must be left out"),
        ({"dataset": "gowalla", "test_share": 0.3}, "the source is divided already (got 0.3)"),
        ({"dataset": "gowalla", "test_time": "3"}, "the source is divided already"),
        ({"dataset": "alibaba", "val_share": 0.3}, "the source has validation links"),
        ({"dataset": "alibaba", "split_seed": 1}, "the source has validation links"),
        ({"dataset": "a.csv", "split": "temporal", "split_seed": 1}, "draws nothing"),
        (
            {"dataset": "a.csv", "split": "temporal", "val_time": "1", "test_time": "2",
             "test_share": 0.3},
            "the times divide the links",
        ),
        ({"dataset": "a.csv", "split": "leave-one-out", "val_share": 0.3}, "one link per user"),
        ({"dataset": "gowala"}, "did you mean 'gowalla'?"),
    ],
)  # fmt: skip
def test_fields_without_effect_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_data(Config.of(**fields))
    assert message in str(refused.value)


def test_a_model_is_made_without_touching_the_process() -> None:
    data, _, _ = SyntheticInteractions("tiny")
    config = Config.of(dataset="tiny", neg="irgan", dim=8)
    before = torch.random.get_rng_state()
    model, again = make_recommender(config, data), make_recommender(config, data)
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_folder_is_looked_at_before_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early(*_: Any) -> None:
        raise AssertionError("loads data")

    module = importlib.import_module("pyg_negsamp.experiments.run")
    monkeypatch.setattr(module, "load_data", too_early)
    config, busy, done, file = (Config.of(dataset="tiny"), *map(tmp_path.joinpath, "abc"))
    (done / "checkpoints").mkdir(parents=True)
    (done / "checkpoints" / "last.ckpt").touch()
    file.touch()
    busy.mkdir()
    with (busy / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for out, message in (
            (busy, "in use by another process"), (done, "already holds a run"), (file, "is a file"),
        ):  # fmt: skip
            with pytest.raises(FileExistsError, match=message):
                run(config, out)
    assert not (done / "lock").exists()
