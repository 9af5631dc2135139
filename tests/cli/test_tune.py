"""`pyg-negsamp tune` as its users call it; what a search does is in tests/experiments."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytest.importorskip("optuna")

from pyg_negsamp.cli import main
from pyg_negsamp.experiments import trials
from pyg_negsamp.nn import LightGCN
from pyg_negsamp.training import Recommender

QUICK = ["tune", "--dataset", "tiny", "--epochs", "2", "--dim", "8", "--device", "cpu"]
DNS = [*QUICK, "--encoder", "mf", "--neg", "dns"]


@pytest.fixture(autouse=True)
def fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Recommender]:
    """The models of the trials, which are not trained; in a folder of the test's own."""
    made: list[Recommender] = []

    def fit(model: Recommender, *_: Any, **__: Any) -> Any:
        made.append(model)
        return SimpleNamespace(best=0.1 + model.sampler.num_candidates / 1000, best_epoch=0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trials, "fit", fit)
    return made


def error(capsys: pytest.CaptureFixture[str], argv: list[str], code: int = 2) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    said = capsys.readouterr().err
    assert stopped.value.code == code
    assert said.strip("\n").count("\n") == 0, said
    return said


def test_the_last_line_trains_with_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    main([*DNS, "--trials", "4"])
    *_, best, command = capsys.readouterr().out.splitlines()
    assert best == "best validation NDCG@20 0.1640 with {'num_candidates': 64}"
    assert command == "pyg-negsamp train --config studies/mf-dns-bpr-tiny.yaml"
    assert Path("studies/mf-dns-bpr-tiny.db").exists()
    main([*command.split()[1:], "--epochs", "1", "--out", "run"])
    assert yaml.safe_load(Path("run/config.yaml").read_text())["num_candidates"] == 64


def test_flags_say_what_how_and_where(
    capsys: pytest.CaptureFixture[str], fits: list[Recommender]
) -> None:
    """What a flag or the config file gives is not searched."""
    Path("some.yaml").write_text("lr: 0.01\nneg: dns\nencoder: lightgcn\n")
    flags = "--search training sampler --num-candidates 4 --trials 1 --least-epochs 1 --top-k 5"
    where = "--config some.yaml --storage journal:///a.log --to b.yaml"
    main([*QUICK, *flags.split(), *where.split()])
    said = capsys.readouterr().out
    (model,) = fits
    assert isinstance(model.encoder, LightGCN)
    assert (model.lr, model.sampler.num_candidates) == (0.01, 4)
    assert "trial 1: {'l2': " in said
    assert "best validation NDCG@5 0.1040" in said
    assert said.endswith("pyg-negsamp train --config b.yaml\n")
    assert Path("a.log").exists()
    assert not Path("studies").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--protocol paper", "--protocol must be clean, because hyper-parameters are searched"),
        ("--trials 0", "--trials must be at least 1 (got 0)"),
        ("--trials many", "invalid int value"),
        ("--search everything", "invalid choice: 'everything'"),
        ("--num-candidates 4", "--search must be parts with something left to search"),
        ("--neg nope", "--neg must be one of"),
        ("--storage x.db", "--storage must be a URL such as"),
        ("--to .", "--to must be a file to write"),
        ("--beta 1", "--beta must be left out"),
        ("--lr -1", "--lr must be a finite number"),
        ("--out x", "unrecognized arguments"),
        ("--dataset nothing", "--dataset must be"),
        ("--config nothing.yaml", "nothing.yaml"),
        ("--unknown 1", "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], fits: list[Recommender], flags: str, message: str
) -> None:
    assert message in error(capsys, [*DNS, *flags.split()])
    assert not fits


def test_a_missing_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert 'pip install "pyg_negsamp[tune]"' in error(capsys, DNS)
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "--help"])
    assert stopped.value.code == 0


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "fit", interrupted)
    assert error(capsys, DNS, 130).endswith("interrupted; the same command goes on\n")


def test_help_says_what_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "--encoder", "sgl", "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert "Needs the extra 'tune'" in said
    assert "\nsearch:" in said
    assert "--encoder-weight" in said
