"""The search for hyper-parameters as its users call it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch_geometric.data import HeteroData

optuna = pytest.importorskip("optuna")

import common  # noqa: E402
import tune  # noqa: E402
from flags import as_typed, make_parser, parse  # noqa: E402

from pyg_negsamp.graph import EDGE_TYPE  # noqa: E402
from pyg_negsamp.losses import LOSSES  # noqa: E402
from pyg_negsamp.nn import ENCODERS, MF  # noqa: E402
from pyg_negsamp.space import Choice  # noqa: E402
from pyg_negsamp.training import Recommender, recommender  # noqa: E402
from pyg_negsamp.transforms import DNSMN, SAMPLERS  # noqa: E402

QUICK = ["--dataset", "tiny", "--epochs", "2", "--dim", "8", "--device", "cpu"]
STUDY = Path("studies/mf-dns-bpr-tiny.db")
POINTS = (8, 16, 32, 64)  # what DNS tries

ONCE = Counter(POINTS)

pytestmark = pytest.mark.usefixtures("own_folder")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Recommender]:
    """The models that were trained."""
    trained: list[Recommender] = []
    fit = tune.fit

    def counted(model: Recommender, *args: Any, **options: Any) -> Any:
        trained.append(model)
        return fit(model, *args, **options)

    monkeypatch.setattr(tune, "fit", counted)
    return trained


def search(*flags: str, encoder: str = "mf", neg: str = "dns") -> None:
    tune.main([encoder, *QUICK, "--neg", neg, *flags])


def error(
    capsys: pytest.CaptureFixture[str], *flags: str, call: Callable = search, **options: str
) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        call(*flags, **options)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    return said


def trials(file: Path = STUDY) -> list:
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{file}")
    return study.get_trials(deepcopy=False)


def complete(file: Path = STUDY) -> list:
    return [trial for trial in trials(file) if trial.state.name == "COMPLETE"]


def candidates(file: Path = STUDY) -> Counter:
    """How often each number of candidates was tried to the end."""
    return Counter(trial.params["num_candidates"] for trial in complete(file))


def test_a_grid_is_tried_point_by_point(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And the best point is written as a configuration that training takes and repeats."""
    search("--trials", "4")
    said = capsys.readouterr().out
    assert candidates() == ONCE
    assert sorted(model.sampler.num_candidates for model in fits) == list(POINTS)
    best = max(complete(), key=lambda trial: trial.value)
    config = STUDY.with_suffix(".yaml")
    assert "4/4 done, about 0 min left" in said
    assert said.endswith(f"python examples/train_mf.py --config {config}\n")
    written = yaml.safe_load(config.read_text())
    assert written["num_candidates"] == best.params["num_candidates"]
    assert f"NDCG@20 {best.value:.4f}, best of 4 trials" in config.read_text()
    assert not list(tmp_path.rglob("*.ckpt"))

    common.main(MF, ["--config", str(config), "--out", "run"])
    result = json.loads(Path("run/metrics.json").read_text())
    assert result["history"][result["best_epoch"] - 1]["val/NDCG@20"] == best.value
    assert result["best_epoch"] == best.user_attrs["best_epoch"]


def test_a_finished_study_computes_nothing(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where more trials are allowed than there are points."""
    search("--trials", "4")
    best = capsys.readouterr().out.splitlines()[-2:]
    for more in ("4", "9", "2"):
        search("--trials", more)
        assert capsys.readouterr().out.splitlines()[-2:] == best
    assert len(fits) == len(trials()) == 4


def test_more_trials_go_on(fits: list[Recommender]) -> None:
    """Two of four at random, then the rest of the grid."""
    search("--trials", "2")
    assert len(complete()) == 2
    search("--trials", "4")
    assert set(candidates()) == set(POINTS)
    assert sorted(model.sampler.num_candidates for model in fits) == list(POINTS)


def test_a_range_is_searched_on_and_not_repeated(fits: list[Recommender]) -> None:
    file = Path("studies/mf-dins-bpr-tiny.db")
    search("--trials", "2", neg="dins")
    search("--trials", "3", neg="dins")
    assert len(fits) == len(complete(file)) == 3
    assert len({trial.params["beta"] for trial in complete(file)}) == 3
    search("--trials", "3", neg="dins")
    assert len(fits) == 3


def test_a_point_that_comes_up_again_is_not_trained_again(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubborn = optuna.samplers.RandomSampler
    monkeypatch.setattr(optuna.samplers, "TPESampler", lambda seed=None: stubborn(seed=0))
    search("--trials", "1")
    search("--trials", "2")
    assert "the same as trial 1" in capsys.readouterr().out
    first, second = complete()
    assert first.params == second.params
    assert first.value == second.value
    assert len(fits) == 1


def test_what_is_given_is_not_searched(capsys: pytest.CaptureFixture[str]) -> None:
    """By a flag or a config file, and also where the flag has a default."""

    def space(*flags: str, encoder: str = "mf") -> set[str]:
        argv, cls = [*QUICK, *flags], ENCODERS[encoder]
        args = parse(tune.make_tuner(cls), argv)
        return set(tune.search_space(cls, args, tune.given_flags(cls, argv)))

    assert space("--neg", "dins") == {"num_candidates", "beta"}
    assert space("--neg", "dins", "--beta", "1.0") == {"num_candidates"}
    assert space("--neg", "dins", "--num-candidates", "4", "--loss", "ssm") == {
        "beta",
        "loss_temperature",
    }
    assert space("--search", "training") == {"lr", "l2"}
    assert space("--search", "training", "--l2", "0.0001") == {"lr"}
    Path("some.yaml").write_text("lr: 0.01\nneg: dns\n")
    assert space("--search", "training", "sampler", "--config", "some.yaml") == {
        "l2",
        "num_candidates",
    }
    assert space("--search", "encoder", encoder="sgl") == {
        "layers",
        "encoder_dropout",
        "encoder_weight",
        "encoder_temperature",
    }
    assert "layers" not in space("--search", "encoder", "--layers", "3", encoder="sgl")

    said = error(capsys, "--num-candidates", "4")
    assert "--search sampler loss: nothing left to search" in said
    assert not Path("studies").exists()


def test_a_given_flag_reaches_every_trial(fits: list[Recommender]) -> None:
    search("--trials", "1", "--num-candidates", "3", "--lr", "0.5", neg="dins")
    (model,) = fits
    assert model.sampler.num_candidates == 3
    assert model.lr == 0.5
    (trial,) = complete(Path("studies/mf-dins-bpr-tiny.db"))
    assert set(trial.params) == {"beta"}


def test_a_study_keeps_to_its_flags(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--study", "one.db", "--trials", "1"]
    search(*file)
    assert "one.db was begun with other values of dim" in error(capsys, *file, "--dim", "4")
    assert "other values of l2, lr" in error(capsys, *file, "--lr", "0.1", "--l2", "0")
    assert "other values of neg" in error(capsys, *file, neg="mixgcf")
    assert "encoder" in error(capsys, *file, encoder="lightgcn")
    # Where and how long is another matter.
    search("--study", "one.db", "--trials", "2", "--root", "elsewhere", "--least-epochs", "1")
    assert len(complete(Path("one.db"))) == 2


def test_mistakes_do_not_stand_in_the_way(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--beta is for" in error(capsys, "--beta", "1")
    assert "'lr'" in error(capsys, "--lr", "-1")
    assert not Path("studies").exists()
    assert "'epochs' must be at least 1" in error(capsys, "--epochs", "0")
    search("--trials", "1")
    assert len(complete()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--protocol paper", "--protocol paper: hyper-parameters are searched on validation links"),
        ("--protocol refit", "--protocol refit: hyper-parameters are searched on validation links"),
        ("--trials 0", "--trials must be at least 1"),
        ("--trials many", "invalid int value"),
        ("--search everything", "invalid choice: 'everything'"),
        ("--neg rns", "nothing left to search"),
        ("--neg nope", "invalid choice: 'nope'"),
        ("--study folder", "--study must be a file named *.db"),
        ("--study best.yaml", "--study must be a file named *.db"),
        ("--study text.db", "file is not a database"),
        ("--study folder.db", "unable to open database file"),
        ("--study other.db", "other.db is not a study of optuna's"),
        ("--out x", "unrecognized arguments"),
        ("--dataset nothing", "'name' must be one of"),
        ("--config nothing.yaml", "nothing.yaml"),
        ("--unknown 1", "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    Path("text.db").write_text("no study, but a text\n" * 100)
    Path("folder.db").mkdir()
    with closing(sqlite3.connect("other.db")) as file:
        file.execute("CREATE TABLE studies (x)")
    assert message in error(capsys, *flags.split())
    assert not fits


def test_unknown_encoders(capsys: pytest.CaptureFixture[str]) -> None:
    assert "invalid choice: 'nope'" in error(capsys, encoder="nope")
    assert "required: encoder" in error(capsys, call=lambda: tune.main([]))


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C in training step number `at`."""
    step, taken = Recommender.training_step, iter(range(1, 1000))

    def interrupted(self: Recommender, *args: Any) -> torch.Tensor:
        if next(taken) == at:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Recommender, "training_step", interrupted)


def test_an_interrupted_study_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And tries the point again in which it was interrupted."""
    search("--trials", "4", "--study", "whole.db")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        interrupt(patch, at=4)  # a step per epoch, two epochs: in the second trial
        with pytest.raises(SystemExit) as stopped:
            search("--trials", "4")
    assert stopped.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted; the same command goes on\n")
    assert [trial.state.name for trial in trials()] == ["COMPLETE", "FAIL"]
    assert not list(tmp_path.rglob("*.ckpt"))
    assert STUDY.with_suffix(".yaml").exists()

    search("--trials", "4")
    assert candidates() == ONCE
    whole, parts = (
        {trial.params["num_candidates"]: trial.value for trial in complete(file)}
        for file in (Path("whole.db"), STUDY)
    )
    assert parts == whole


def test_what_was_about_to_start_is_not_lost(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after a point was chosen for the next trial, and before its start."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "optimize", interrupted)
        with pytest.raises(SystemExit):
            search("--trials", "4")
    assert [trial.state.name for trial in trials()] == ["WAITING"]
    search("--trials", "4")
    assert candidates() == ONCE
    assert len(fits) == len(trials()) == 4


def test_a_point_that_runs_elsewhere_is_left_alone(
    fits: list[Recommender], capsys: pytest.CaptureFixture[str]
) -> None:
    search("--trials", "1")
    (mine,) = candidates()
    other = next(point for point in POINTS if point != mine)
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{STUDY}")
    study.enqueue_trial({"num_candidates": other})
    assert study.ask().suggest_categorical("num_candidates", POINTS) == other
    search("--trials", "4")
    assert "1 more running elsewhere" in capsys.readouterr().out
    assert set(candidates()) == set(POINTS) - {other}
    assert len(fits) == 3


def test_validation_links_decide_and_test_links_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"test split: {name}")

        __getitem__ = __iter__ = __len__ = __getattr__

    load, evaluate = tune.load, recommender.evaluate
    val, seen = [], []

    def without_test(args: Any) -> tuple:
        train_data, val_data, _ = load(args)
        val.append(val_data)
        return train_data, val_data, Untouchable()

    def watched(x_dict: Any, data: HeteroData, *args: Any, **options: Any) -> dict[str, float]:
        seen.append(data)
        return evaluate(x_dict, data, *args, **options)

    monkeypatch.setattr(tune, "load", without_test)
    monkeypatch.setattr(recommender, "evaluate", watched)
    search("--trials", "4")
    assert len(seen) == 4 * 2
    for data in seen:
        assert torch.equal(data[EDGE_TYPE].edge_label_index, val[0][EDGE_TYPE].edge_label_index)
        assert torch.equal(data[EDGE_TYPE].edge_index, val[0][EDGE_TYPE].edge_index)


def test_trials_are_judged_by_what_is_maximised() -> None:
    search("--trials", "1", "--epochs", "4", "--eval-every", "2")
    (trial,) = complete()
    assert list(trial.intermediate_values) == [1, 3]
    assert max(trial.intermediate_values.values()) == trial.value


def test_hopeless_trials_are_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def hopeless(self: Any, study: Any, trial: Any) -> bool:
        return trial.number == 1

    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", hopeless)
    search("--trials", "4")
    said = capsys.readouterr().out
    assert "trial 2: given up; 2/4 done" in said
    states = [trial.state.name for trial in trials()]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
    assert len(trials()[1].intermediate_values) == 1
    assert not list(tmp_path.rglob("*.ckpt"))
    assert "best of 4 trials" in STUDY.with_suffix(".yaml").read_text()


def test_values_that_do_not_go_together_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(DNSMN, "search_space", {"n": Choice((2, 4))})
    search("--num-negatives", "3", neg="dns-mn")
    assert "DNSMN: 'n' must be in [3, 16]" in capsys.readouterr().out
    assert [trial.state.name for trial in trials(Path("studies/mf-dns-mn-bpr-tiny.db"))] == [
        "PRUNED",
        "COMPLETE",
    ]


def test_diverged_trials_do_not_end_the_study(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        search("--trials", "4", "--lr", "1e30")
    said = capsys.readouterr()
    assert stopped.value.code == 1
    assert said.err.endswith("no trial finished\n")
    assert said.out.count("given up") == 4
    assert not STUDY.with_suffix(".yaml").exists()


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_whatever_is_found_can_be_written_as_flags(encoder: str) -> None:
    cls = ENCODERS[encoder]
    parser = make_parser(cls)
    for neg, loss in [*((neg, "bpr") for neg in SAMPLERS), *(("dns", loss) for loss in LOSSES)]:
        args = SimpleNamespace(neg=neg, loss=loss, search=tune.SEARCHED)
        for flag, values in tune.search_space(cls, args).items():
            ends = values.values if isinstance(values, Choice) else (values.low, values.high)
            for value in ends:
                typed = as_typed(flag.replace("_", "-"), value)
                assert getattr(parser.parse_args(typed), flag) == value


@pytest.mark.parametrize(
    ("argv", "said"), [(["--help"], "Needs the extra 'tune'"), (["sgl", "--help"], "\nsearch:")]
)
def test_explains_itself(capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        tune.main(argv)
    assert stopped.value.code == 0
    assert said in capsys.readouterr().out
