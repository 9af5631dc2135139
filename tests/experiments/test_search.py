"""The search for hyper-parameters: what is searched, which trials run, and who shares a study."""

from __future__ import annotations

import multiprocessing
import sqlite3
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from fresh import Python
from small_table import until
from torch_geometric.data import HeteroData

optuna = pytest.importorskip("optuna")
from optuna.storages._rdb.storage import _VersionManager  # noqa: E402
from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine import Engine  # noqa: E402

from pyg_negsamp.experiments import Config, run, search, studies, trials  # noqa: E402
from pyg_negsamp.experiments.arguments import METHODS, ConfigError  # noqa: E402
from pyg_negsamp.experiments.data import load_data  # noqa: E402
from pyg_negsamp.experiments.search import SEARCHED, Found, search_space, tune  # noqa: E402
from pyg_negsamp.experiments.workers import Here, Workers  # noqa: E402
from pyg_negsamp.graph import EDGE_TYPE  # noqa: E402
from pyg_negsamp.losses import LOSSES  # noqa: E402
from pyg_negsamp.nn import ENCODERS  # noqa: E402
from pyg_negsamp.references import ItemKNN  # noqa: E402
from pyg_negsamp.space import Choice, Range  # noqa: E402
from pyg_negsamp.training import NonFiniteLossError, Recommender, recommender  # noqa: E402
from pyg_negsamp.transforms import DNSMN, SAMPLERS  # noqa: E402

QUICK = {"dataset": "tiny", "epochs": 2, "dim": 8, "device": "cpu", "encoder": "mf"}
NAME = "mf-dns-bpr-tiny"
POINTS = (8, 16, 32, 64)  # what DNS tries
ONCE = Counter(POINTS)
OPTIONS = ("first", "search", "storage", "to", "say", "jobs", "cluster")
SQLITE, JOURNAL = "sqlite:///one.db", "journal:///one.log"

pytestmark = pytest.mark.usefixtures("own_folder")


@event.listens_for(Engine, "connect")
def _no_disk_is_waited_for(connection: object, _: object) -> None:
    """As for all tests (conftest.py): what SQLite writes need not outlast a power cut."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True, scope="module")
def _migrations_are_read_once() -> Iterator[None]:
    """Of each new database Optuna asks what the newest form is, and reads all older ones for it."""
    script = _VersionManager._create_alembic_script
    read: list[Any] = []

    def once(manager: Any) -> Any:
        if not read:
            read.append(script(manager))
        return read[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_VersionManager, "_create_alembic_script", once)
        yield


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Recommender]:
    """The models of the trials, which are not trained: their value is made up."""
    made: list[Recommender] = []

    def fit(model: Recommender, *_: Any, **__: Any) -> Any:
        made.append(model)
        return SimpleNamespace(best=0.1 + model.sampler.num_candidates / 1000, best_epoch=0)

    monkeypatch.setattr(trials, "fit", fit)
    return made


def study_of(url: str = f"sqlite:///studies/{NAME}.db", name: str = NAME) -> Any:
    return optuna.load_study(study_name=name, storage=studies.make_storage(url))


def all_of(study: Any) -> list[Any]:
    return study.get_trials(deepcopy=False)


def complete(study: Any) -> list[Any]:
    return [trial for trial in all_of(study) if trial.state.name == "COMPLETE"]


def candidates(study: Any) -> Counter:
    """How often each number of candidates was tried to the end."""
    return Counter(trial.params["num_candidates"] for trial in complete(study))


def begin(count: int = 4, neg: str = "dns", **more: Any) -> Found | None:
    options = {k: more.pop(k) for k in list(more) if k in OPTIONS}
    least = more.pop("least_epochs", 10)
    return tune({**QUICK, "neg": neg, **more}, count, least_epochs=least, **options)


# What is searched


def space(*given: str, search: Any = None, **fields: Any) -> set[str]:
    config = Config.of(**{"encoder": "mf", **fields})
    return set(search_space(config, {*given, *fields}, search))


def test_what_is_given_is_not_searched() -> None:
    assert space(neg="dins") == {"num_candidates", "beta"}
    assert space(neg="dins", beta=1.0) == {"num_candidates"}
    assert space(neg="dins", num_candidates=4, loss="ssm") == {"beta", "loss_temperature"}
    assert space(search=["training"]) == {"lr", "l2"}
    assert space(search=["training"], l2=1e-4) == {"lr"}, "although it is the default"
    assert space(search=["encoder"], encoder="sgl") == {
        "layers", "encoder_dropout", "encoder_weight", "encoder_temperature",
    }  # fmt: skip
    assert "layers" not in space(search=["encoder"], encoder="sgl", layers=3)
    with pytest.raises(ConfigError, match="'search' must be parts with something left to search"):
        begin(num_candidates=4)
    assert not Path("studies").exists()


def test_references_are_searched_by_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ItemKNN, "search_space", {"k": Choice((2, 20))}, raising=False)
    name = next(n for n, cls in METHODS["encoder"].items() if cls is ItemKNN)
    mine = {"dataset": "tiny", "encoder": name}
    assert set(search_space(Config.of(**mine), mine)) == {"encoder_k"}
    found = tune(mine, trials=9)
    assert found is not None
    assert found.trials == 2
    assert found.file == Path(f"studies/{name}-tiny.yaml")
    assert yaml.safe_load(found.file.read_text()) == found.config.flat()
    with pytest.raises(ConfigError, match="'search' must be out of encoder"):
        search_space(Config.of(**mine), mine, ["sampler"])


@pytest.mark.parametrize("encoder", list(METHODS["encoder"]))
def test_whatever_is_found_can_be_a_configuration(encoder: str) -> None:
    trained = [*((neg, "bpr") for neg in SAMPLERS), *(("dns", loss) for loss in LOSSES)]
    if encoder in ENCODERS:  # each method with one of them, but for the defaults
        trained = trained[list(ENCODERS).index(encoder) :: len(ENCODERS)]
        methods = [{"neg": neg, "loss": loss} for neg, loss in trained]
    else:
        methods = [{}]
    for chosen in methods:
        mine = {"encoder": encoder, **chosen}
        parts = SEARCHED if chosen else ("encoder",)
        try:
            found = search_space(Config.of(**mine), mine, parts)
        except ConfigError:
            assert not chosen, "a reference that says nothing"
            continue
        for name, values in found.items():
            ends = values.values if isinstance(values, Choice) else (values.low, values.high)
            for value in ends:
                assert Config.of(**{**mine, name: value}).flat()[name] == value
                assert Config.of(**{**mine, name: str(value)}).flat()[name] == value, "a flag"


# Which trials run


def test_a_grid_is_tried_point_by_point(tmp_path: Path) -> None:
    """And the best point is written as a configuration that a run takes and repeats."""
    said: list[str] = []
    found = begin(say=said.append)
    study = study_of()
    assert found is not None
    assert candidates(study) == ONCE
    best = max(complete(study), key=lambda trial: trial.value)
    assert found.chosen == best.params
    assert found.value == best.value
    assert "4/4 done, about 0 min left" in said[-1]
    assert f"NDCG@20 {best.value:.4f}, best of 4 trials" in found.file.read_text()
    written = yaml.safe_load(found.file.read_text())
    assert written["num_candidates"] == best.params["num_candidates"]
    assert Config.of(**written).flat() == found.config.flat()
    assert not list(tmp_path.rglob("*.ckpt"))

    notes = run(found.config, Path("run")).selected.notes
    assert notes["validation"] == best.value
    assert notes["best_epoch"] == best.user_attrs["best_epoch"]


def test_a_finished_study_computes_nothing(fits: list[Recommender]) -> None:
    """Also where more trials are allowed than there are points."""
    found = begin(4)
    assert sorted(model.sampler.num_candidates for model in fits) == list(POINTS)
    for more in (4, 9, 2):
        assert begin(more) == found
    assert len(fits) == len(all_of(study_of())) == 4


def test_more_trials_go_on(fits: list[Recommender]) -> None:
    """Two of four at random, then the rest of the grid."""
    begin(2)
    assert len(complete(study_of())) == 2
    begin(4)
    assert set(candidates(study_of())) == set(POINTS)
    assert sorted(model.sampler.num_candidates for model in fits) == list(POINTS)


def test_a_range_is_searched_on_and_not_repeated(fits: list[Recommender]) -> None:
    for count in (2, 3, 3):
        begin(count, neg="dins", storage=SQLITE)
    tried = complete(study_of(SQLITE, "mf-dins-bpr-tiny"))
    assert len(fits) == len(tried) == 3
    assert len({trial.params["beta"] for trial in tried}) == 3


def test_any_seed_will_do(fits: list[Recommender]) -> None:
    """Also one that a generator takes, and those after it not."""
    begin(2, neg="dins", seed=2**32 - 1, storage=SQLITE)
    assert len(fits) == 2


def test_a_point_that_comes_up_again_is_drawn_anew(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the trials of a small space are as many points."""
    stubborn = optuna.samplers.RandomSampler
    monkeypatch.setattr(optuna.samplers, "TPESampler", lambda seed=None: stubborn(seed=0))
    said: list[str] = []
    begin(3, say=said.append)
    assert len(candidates(study_of())) == len(fits) == 3
    assert max(candidates(study_of()).values()) == 1
    assert sum(line.startswith("trial") and "{" in line for line in said) == 3


def test_a_default_that_came_up_before_is_not_tried_again(fits: list[Recommender]) -> None:
    begin(3, first=())
    came_up = [{"num_candidates": model.sampler.num_candidates} for model in fits]
    begin(4, first=came_up)
    begin(2, storage=SQLITE, first=())
    had = [trial.params for trial in complete(study_of(SQLITE))]
    begin(3, storage=SQLITE, first=had)
    assert candidates(study_of()) == ONCE
    assert len(candidates(study_of(SQLITE))) == 3
    assert len(fits) == 7


def tried(neg: str) -> list[dict[str, Any]]:
    return [t.params for t in complete(study_of(SQLITE, f"mf-{neg}-bpr-tiny"))]


def test_the_defaults_are_tried_first(fits: list[Recommender]) -> None:
    """Also by a study that was begun without them, and once."""
    begin(1, neg="dins", storage=SQLITE, first=())
    for count in (2, 4, 4):
        begin(count, neg="dins", storage=SQLITE)
    points = tried("dins")
    assert points.count({"num_candidates": 16, "beta": 1.0}) == 1
    assert points[1] == {"num_candidates": 16, "beta": 1.0}
    assert fits[1].sampler.beta == 1.0
    assert len(points) == len(fits) == 4


def test_layers_and_negatives_have_defaults_too(fits: list[Recommender]) -> None:
    begin(1, neg="pris", encoder="lightgcn", search=["sampler", "encoder", "training"])
    (trial,) = complete(
        study_of("sqlite:///studies/lightgcn-pris-bpr-tiny.db", "lightgcn-pris-bpr-tiny")
    )
    assert trial.params["layers"] == 3
    assert trial.params["num_negatives"] == fits[0].sampler.num_negatives
    assert trial.params["lr"] == fits[0].lr


def test_defaults_that_are_not_searched_hold_in_the_first_trial(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a space that leaves some out, or all."""
    searched = {"num_candidates": Choice((2, 3)), "beta": Range(5.0, 6.0)}
    monkeypatch.setattr(SAMPLERS["dins"], "search_space", searched)
    said: list[str] = []
    found = begin(1, neg="dins", storage=SQLITE, say=said.append)
    assert "trial 1: the defaults" in said
    assert tried("dins") == [{}]
    assert (fits[0].sampler.num_candidates, fits[0].sampler.beta) == (16, 1.0)
    assert found is not None
    assert found.chosen == {}
    assert "num_candidates" not in yaml.safe_load(found.file.read_text())
    begin(2, neg="dins", storage=SQLITE)
    assert set(tried("dins")[1]) == {"num_candidates", "beta"}


def test_points_can_be_tried_first(fits: list[Recommender]) -> None:
    """What they leave out has its default; one that was tried is not tried again."""
    first = [{"beta": 2.0}, {"beta": 3.0}]
    begin(1, neg="dins", storage=SQLITE, first=first)
    begin(4, neg="dins", storage=SQLITE, first=first)
    whole = [{"num_candidates": 16, **point} for point in first]
    assert tried("dins")[:2] == whole
    assert all(point not in whole for point in tried("dins")[2:])
    for wrong, message in (
        ({"gamma": 1.0}, "'first' must be out of the searched num_candidates, beta"),
        ({"beta": -1.0}, "'first' must be beta in Range"),
        ({"num_candidates": 5}, "'first' must be num_candidates in Choice"),
    ):
        with pytest.raises(ValueError, match=message):
            begin(1, neg="dins", storage=SQLITE, first=[wrong])


def test_what_is_given_reaches_every_trial(fits: list[Recommender]) -> None:
    begin(1, neg="dins", num_candidates=3, lr=0.5)
    (model,) = fits
    assert model.sampler.num_candidates == 3
    assert model.lr == 0.5
    (trial,) = complete(study_of("sqlite:///studies/mf-dins-bpr-tiny.db", "mf-dins-bpr-tiny"))
    assert set(trial.params) == {"beta"}


def test_values_that_do_not_go_together_are_left_out(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DNSMN, "search_space", {"n": Choice((2, 4))})
    said: list[str] = []
    begin(neg="dns-mn", num_negatives=3, storage=SQLITE, say=said.append)
    assert any("DNSMN: 'n' must be in [3, 16]" in line for line in said)
    states = {t.params["n"]: t.state.name for t in all_of(study_of(SQLITE, "mf-dns-mn-bpr-tiny"))}
    assert states == {2: "PRUNED", 4: "COMPLETE"}


def test_diverged_trials_do_not_end_the_study() -> None:
    said: list[str] = []
    with pytest.raises(NonFiniteLossError, match="no trial finished"):
        begin(2, lr=1e30, say=said.append)
    assert sum("given up" in line for line in said) == 2
    assert not Path(f"studies/{NAME}.yaml").exists()


def test_hopeless_trials_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(self: Any, study: Any, trial: Any) -> bool:
        return trial.number == 1

    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", hopeless)
    said: list[str] = []
    found = begin(say=said.append)
    assert "trial 2: given up; 2/4 done, about 0 min left" in said
    states = [trial.state.name for trial in all_of(study_of())]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE", "COMPLETE"]
    assert len(all_of(study_of())[1].intermediate_values) == 1
    assert found is not None
    assert "best of 4 trials" in found.file.read_text()


def test_trials_are_judged_by_what_is_maximised() -> None:
    begin(1, epochs=4, eval_every=2)
    (trial,) = complete(study_of())
    assert list(trial.intermediate_values) == [1, 3]
    assert max(trial.intermediate_values.values()) == trial.value


def test_validation_links_decide_and_test_links_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"test split: {name}")

        __getitem__ = __iter__ = __len__ = __getattr__

    class Parts(tuple):
        user_ids = item_ids = None

    evaluate_by = recommender.evaluate_by
    val: list[HeteroData] = []
    seen: list[HeteroData] = []

    def without_test(config: Config) -> tuple:
        train_data, val_data, _ = load_data(config)
        val.append(val_data)
        return Parts((train_data, val_data, Untouchable()))

    def watched(by: Any, model: Any, data: HeteroData, *args: Any, **options: Any) -> dict:
        seen.append(data)
        return evaluate_by(by, model, data, *args, **options)

    monkeypatch.setattr(search, "load_data", without_test)
    monkeypatch.setattr(recommender, "evaluate_by", watched)
    begin(4)
    assert len(seen) == 4 * 2
    for data in seen:
        assert torch.equal(data[EDGE_TYPE].edge_label_index, val[0][EDGE_TYPE].edge_label_index)
        assert torch.equal(data[EDGE_TYPE].edge_index, val[0][EDGE_TYPE].edge_index)


# What is refused


def test_a_study_keeps_to_its_question(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(**fields: Any) -> str:
        with pytest.raises(ConfigError, match="its study mf-dns-bpr-tiny was begun with") as error:
            begin(1, storage=SQLITE, **fields)
        return str(error.value)

    begin(1, storage=SQLITE)
    assert "with other dim" in other(dim=4)
    assert "with other l2, lr" in other(lr=0.1, l2=0.0)
    assert "the links, split_seed" in other(split_seed=1)
    assert "with other l2, lr, values to search" in other(search=["sampler", "training"])
    wider = {"num_candidates": Choice((16, 32, 64, 128))}  # as a later version may have it
    with monkeypatch.context() as later:
        later.setattr(SAMPLERS["dns"], "search_space", wider)
        assert "with other values to search" in other()
    # Where and how long is another matter, and so are other methods.
    begin(2, storage=SQLITE, root="elsewhere", least_epochs=1)
    begin(1, storage=SQLITE, neg="mixgcf")
    assert len(complete(study_of(SQLITE))) == 2
    assert len(complete(study_of(SQLITE, "mf-mixgcf-bpr-tiny"))) == 1


def test_the_process_is_left_as_it_was(fits: list[Recommender]) -> None:
    level = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="a filter of the caller")
        before = list(warnings.filters)
        begin(1, storage="journal:///a.log")
        assert warnings.filters == before
    assert optuna.logging.get_verbosity() == level == optuna.logging.INFO


def test_mistakes_do_not_stand_in_the_way(fits: list[Recommender]) -> None:
    for wrong, said in (({"beta": 1}, "it is for"), ({"lr": -1}, "'lr'"), ({"epochs": 0}, "epoch")):
        with pytest.raises(ValueError, match=said):
            begin(**wrong)
    assert not Path("studies").exists()
    begin(1)
    assert len(complete(study_of())) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocol": "paper"}, "'protocol' must be clean, because hyper-parameters are searched"),
        ({"protocol": "refit"}, "'protocol' must be clean, because hyper-parameters are searched"),
        ({"count": 0}, "'trials' must be at least 1"),
        ({"least_epochs": -1}, "'least_epochs' must be at least 0"),
        ({"search": ["everything"]}, "'search' must be out of sampler, loss, encoder, training"),
        (
            {"neg": "rns"},
            r"something left to search, out of training \(lr, l2\) \(got 'sampler loss'\)",
        ),
        ({"neg": "nope"}, "'neg' must be one of"),
        ({"dataset": "nothing"}, "'dataset' must be"),
        ({"to": "."}, "'to' must be a file to write"),
        ({"storage": "one.db"}, "'storage' must be a URL such as sqlite:///FILE.db"),
        ({"storage": "sqlite:///text.db"}, "an SQLite file: file is not a database"),
        ({"storage": "sqlite:///folder.db"}, "an SQLite file: unable to open database file"),
        ({"storage": "sqlite:///other.db"}, "a database for studies of this version of Optuna's"),
        ({"storage": "nobase://u:secret@host/x"}, "of Optuna's"),
        ({"storage": "journal:///text.db"}, "'storage' must be a URL such as"),
        ({"storage": "journal:///folder.db"}, "'storage' must be a journal file"),
    ],
)
def test_mistakes_say_what_was_expected(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch, wrong: dict, message: str
) -> None:
    monkeypatch.setattr(studies.time, "sleep", lambda seconds: None)
    Path("text.db").write_text("no study, but a text\n" * 100)
    Path("folder.db").mkdir()
    with closing(sqlite3.connect("other.db")) as file:
        file.execute("CREATE TABLE studies (x)")
    with pytest.raises(ValueError, match=message) as error:
        begin(**wrong)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
    assert not fits


def test_folders_two_deep_are_not_made(fits: list[Recommender]) -> None:
    """As of an absolute path that was written with a slash too few."""
    for url in ("journal:///mnt/shared/x.log", "sqlite:///mnt/shared/x.db"):
        with pytest.raises(FileNotFoundError, match="mnt/shared"):
            begin(1, storage=url)
    begin(1, storage="journal:///new/x.log")


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ValueError, match=r'^a search needs Optuna: pip install "pyg_negsamp\[tune]'
    ):
        begin(1)


# Who shares a study


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C in training step number `at`."""
    step, taken = Recommender.training_step, iter(range(1, 1000))

    def interrupted(self: Recommender, *args: Any) -> torch.Tensor:
        if next(taken) == at:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Recommender, "training_step", interrupted)


def test_an_interrupted_study_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And tries the point again in which it was interrupted."""
    begin(storage=SQLITE)
    with monkeypatch.context() as patch:
        interrupt(patch, at=4)  # a step per epoch, two epochs: in the second trial
        with pytest.raises(KeyboardInterrupt):
            begin()
    assert [trial.state.name for trial in all_of(study_of())] == ["COMPLETE", "FAIL"]
    assert not list(tmp_path.rglob("*.ckpt"))
    assert Path(f"studies/{NAME}.yaml").exists()

    begin()
    assert candidates(study_of()) == ONCE
    whole, parts = (
        {trial.params["num_candidates"]: trial.value for trial in complete(study)}
        for study in (study_of(SQLITE), study_of())
    )
    assert parts == whole


@pytest.fixture(params=[SQLITE, JOURNAL])
def storage(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


def elsewhere(storage: str) -> int:
    """A point that another process has begun, one that nobody has tried."""
    study = study_of(storage)
    point = next(p for p in POINTS if p not in candidates(study))
    study.enqueue_trial({"num_candidates": point})
    assert study.ask().suggest_categorical("num_candidates", POINTS) == point
    return point


def test_a_point_that_runs_elsewhere_is_left_alone(fits: list[Recommender], storage: str) -> None:
    begin(1, storage=storage)
    other = elsewhere(storage)
    said: list[str] = []
    begin(4, storage=storage, say=said.append)
    assert "1 more running elsewhere" in said[-1]
    assert set(candidates(study_of(storage))) == set(POINTS) - {other}
    assert len(fits) == 3


def test_a_killed_trial_does_not_count_as_running(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    begin(1, storage=storage)
    elsewhere(storage)
    monkeypatch.setattr(studies, "GRACE", 0.0)
    begin(4, storage=storage)
    assert candidates(study_of(storage)) == ONCE
    assert Counter(trial.state.name for trial in all_of(study_of(storage)))["FAIL"] == 1


def test_a_running_trial_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch, storage: str) -> None:
    monkeypatch.setattr(studies, "BEAT", 0.01)
    monkeypatch.setattr(studies, "GRACE", 2.0)
    storage_of = studies.make_storage(storage)
    study = optuna.create_study(storage=storage_of, study_name=NAME)
    trial = study.ask()

    def alive() -> float:
        return all_of(study_of(storage))[0].user_attrs.get("alive", 0.0)

    def until(condition: Callable[[], bool]) -> None:
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.01)
        pytest.fail("no sign of life")

    with studies.signs_of_life(trial):
        until(lambda: alive() > 0)
        first = alive()
        until(lambda: alive() > first)
        studies.bury(study)
        assert all_of(study)[0].state.name == "RUNNING"
    monkeypatch.setattr(studies, "GRACE", -1.0)
    studies.bury(study)
    assert all_of(study)[0].state.name == "FAIL"


def test_a_sign_that_cannot_be_written_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "BEAT", 0.01)
    locked, written = iter([True, True]), threading.Event()

    def set_user_attr(self: Any, name: str, value: Any) -> None:
        if next(locked, False):
            raise optuna.exceptions.StorageInternalError
        written.set()

    monkeypatch.setattr(optuna.Trial, "set_user_attr", set_user_attr)
    with studies.signs_of_life(optuna.create_study().ask()):
        assert written.wait(10)


def test_a_trial_that_was_taken_for_dead_does_not_end_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by the worker beside it, after the machine was asleep."""
    taken = iter([True])

    def fit(model: Recommender, *_: Any, **__: Any) -> Any:
        if next(taken, False):
            studies.end(study_of(), lambda trial: True)
        return SimpleNamespace(best=0.1, best_epoch=0)

    monkeypatch.setattr(trials, "fit", fit)
    found = begin(4)
    assert found is not None
    assert candidates(study_of()) == ONCE
    assert len(all_of(study_of())) == 5


def test_a_trial_that_has_no_values_yet_has_not_tried_the_defaults(
    fits: list[Recommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose process was killed at once, say."""
    searched = {"num_candidates": Choice((2, 3)), "beta": Range(5.0, 6.0)}
    monkeypatch.setattr(SAMPLERS["dins"], "search_space", searched)
    begin(1, neg="dins", storage=SQLITE, first=())
    study_of(SQLITE, "mf-dins-bpr-tiny").ask()
    begin(3, neg="dins", storage=SQLITE)
    assert {} in tried("dins")


def test_a_process_killed_as_it_writes_keeps_no_journal(fits: list[Recommender]) -> None:
    Path("deep").mkdir()
    url = "journal:///deep/one.log"
    begin(1, storage=url)
    die = f"""
import os
from pyg_negsamp.experiments.studies import make_storage
make_storage({url!r})._backend._lock.acquire()
os.kill(os.getpid(), 9)
"""
    assert Python("-c", die).wait().returncode == -9
    begin(2, storage=url)
    assert len(complete(study_of(url))) == 2


def test_who_finds_all_trials_running_elsewhere_has_found_nothing(fits: list[Recommender]) -> None:
    with pytest.raises(KeyboardInterrupt):
        begin(1, storage=SQLITE, say=interrupted)
    elsewhere(SQLITE)
    assert begin(1, storage=SQLITE) is None
    assert not fits


def interrupted(text: str) -> None:
    raise KeyboardInterrupt


#: Trials that a process has begun and not ended.
AT_A_TRIAL = """
select 1 from trials join trial_user_attributes using (trial_id)
where state = 'RUNNING' and key = 'alive'
"""


@pytest.mark.usefixtures("forked_workers")
def test_processes_take_trials_and_that_of_a_killed_one_is_tried_again() -> None:
    """At once, and not after three minutes: who has handed it out knows who was killed."""

    def kill() -> None:
        until(lambda: Path(SQLITE[10:]).exists() and at_a_trial())
        for process in multiprocessing.active_children():
            process.kill()

    def at_a_trial() -> list[Any]:
        """Asked of the file itself: Optuna would take as long as a trial does."""
        try:
            with closing(sqlite3.connect(SQLITE[10:])) as connection:
                return connection.execute(AT_A_TRIAL).fetchall()
        except sqlite3.OperationalError:  # it has no tables yet
            return []

    killing = threading.Thread(target=kill)
    killing.start()
    found = begin(4, storage=SQLITE, jobs=2, epochs=10)
    killing.join()
    study = study_of(SQLITE)
    assert candidates(study) == ONCE
    assert Counter(trial.state.name for trial in all_of(study))["FAIL"] >= 1
    assert found is not None
    assert found.value == max(trial.value for trial in complete(study))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("deadly", [lambda point: point == 64, lambda point: True])
def test_a_trial_that_is_lost_every_time_is_given_up(deadly: Callable[[int], bool]) -> None:
    """And its point is not tried again, by this command or a later one."""
    said: list[str] = []
    given = {**QUICK, "neg": "dns"}
    space = search_space(Config.of(**given), given)
    made = search.Search(given, space, [], 4, 10, SQLITE, Path("best.yaml")).open(said.append)

    def one(task: str) -> tuple[bool, list[str]]:
        trial = made.study.ask()
        trial.set_user_attr("task", task)
        if deadly(trial.suggest_categorical("num_candidates", POINTS)):
            raise ZeroDivisionError  # as if its process were gone
        made.study.tell(trial, 0.5)
        return True, []

    workers = Workers(Here(), lambda: 1, (ZeroDivisionError,))
    lost = [point for point in POINTS if deadly(point)]
    if len(lost) == len(POINTS):
        with pytest.raises(OSError, match="lost its worker every time"):
            made.run(workers, one)
    else:
        assert made.run(workers, one) is not None
    states = Counter(trial.state.name for trial in all_of(made.study))
    assert states == Counter(COMPLETE=len(POINTS) - len(lost), PRUNED=len(lost))
    assert sum("perhaps for its memory; given up" in line for line in said) == len(lost)
    assert made.left() == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"jobs": 0}, "--jobs must be at least 1"),
        ({"jobs": 2, "storage": "sqlite:///:memory:"}, "'storage' must be a file or a database"),
        ({"jobs": 2, "cluster": "tcp://127.0.0.1:1"}, "'jobs' must be left out beside --cluster"),
        ({"cluster": "tcp://127.0.0.1:1", "storage": SQLITE}, "no SQLite file, beside --cluster"),
    ],
)
def test_what_workers_cannot_share_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        begin(**wrong)
    assert not [*Path().iterdir()]


#: A process that takes part in four studies, without training; both wait for each other.
SHARE = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from pyg_negsamp.experiments import trials
from pyg_negsamp.experiments.search import tune

def fit(model, *_, **__):
    sampler = model.sampler
    print(folder, sampler.num_candidates, getattr(sampler, "beta", None), flush=True)
    time.sleep(0.05)
    return SimpleNamespace(best=0.5, best_epoch=0)

trials.fit = fit
for folder, storage, neg, count in (line.split() for line in sys.argv[1:]):
    Path(folder, str(time.time_ns())).touch()
    while len(list(Path(folder).iterdir())) < 2:
        time.sleep(0.001)
    given = dict(dataset="tiny", dim=8, device="cpu", encoder="mf", neg=neg)
    tune(given, int(count), storage=storage, to=f"{folder}.yaml")
"""


def test_two_processes_share_a_study() -> None:
    """They start at once, in an empty storage; no trial is run twice, and none is too many."""
    tasks = {
        f"{kind}-{neg}": (f"{url}-{neg}", neg, count)
        for kind, url in (("sqlite", SQLITE), ("journal", JOURNAL))
        for neg, count in (("dns", 4), ("dins", 6))
    }
    lines = [" ".join(map(str, (folder, *task))) for folder, task in tasks.items()]
    for folder in tasks:
        Path(folder).mkdir()
    both = [done.wait() for done in [Python("-c", SHARE, *lines) for _ in range(2)]]
    assert [done.returncode for done in both] == [0, 0], both
    trained = "".join(done.stdout for done in both).splitlines()
    assert len(trained) == len(set(trained)), "no point twice"
    by_study = Counter(line.split()[0] for line in trained)
    for folder, (storage, neg, count) in tasks.items():
        assert by_study[folder] == count
        assert len(complete(study_of(storage, f"mf-{neg}-bpr-tiny"))) == count
        assert yaml.safe_load(Path(f"{folder}.yaml").read_text())["neg"] == neg


def test_a_space_without_different_values_is_refused() -> None:
    for values in ((), (8, 8, 16), (1, True), (float("nan"),)):
        with pytest.raises(ValueError, match="Choice: 'values' must be"):
            Choice(values)
    for low, high, log in ((1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True)):
        with pytest.raises(ValueError, match="Range: 'low' must be"):
            Range(low, high, log)


def test_spaces_are_of_choices_and_ranges() -> None:
    for part, methods in METHODS.items():
        for method in methods.values():
            values = getattr(method, "search_space", {}).values()
            assert all(isinstance(value, Choice | Range) for value in values), part
