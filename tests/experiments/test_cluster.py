"""Cells and trials on a dask cluster: a scheduler and workers on loopback, begun as users do.

The workers have no nanny, so that one that is killed stays away.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fresh import Python
from small_table import numbers, until

pytest.importorskip("distributed")
from distributed.comm import CommClosedError

from pyg_negsamp.cli import fill as fill_flags
from pyg_negsamp.cli import main
from pyg_negsamp.experiments import cluster
from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.comparison import product
from pyg_negsamp.experiments.filling import fill
from pyg_negsamp.experiments.search import tune
from pyg_negsamp.experiments.workers import LostError, UnfitError, begin_workers, run_all

DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
SLEEP = "__import__('time').sleep(600)"
TABLE = {"dataset": "tiny", "encoder": "mf", "neg": ["rns", "dns"], "epochs": 15, "device": "cpu"}


class Loopback:
    """A scheduler, and the workers that were asked for."""

    def __init__(self, folder: Path) -> None:
        file = folder / "scheduler.json"
        words = ("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler = Python(*words, "--scheduler-file", str(file), folder=folder)
        self.folder, self.workers = folder, []
        said = until(lambda: file.exists() and file.read_text())  # it is empty for a moment
        self.address = json.loads(said)["address"]

    def with_workers(self, count: int) -> Loopback:
        """As many are there as are asked for; those that were killed are replaced."""
        self.workers = [worker for worker in self.workers if worker.process.is_alive()]
        while len(self.workers) < count:
            self.workers.append(self.worker())
        return self

    def worker(self, threads: int = 1) -> Python:
        words = ("-m", "dask", "worker", self.address, "--nthreads", str(threads), "--no-nanny")
        where = ("--local-directory", str(self.folder), "--no-dashboard", "--memory-limit", "0")
        return Python(*words, *where, folder=self.folder)

    def close(self) -> None:
        for started in (*self.workers, self.scheduler):
            started.process.kill()
            started.process.join()


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
        started = Loopback(tmp_path_factory.mktemp("dask"))
    yield started
    started.close()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kill_at(condition: Callable[[], Any], worker: Python) -> threading.Thread:
    """Kills a worker once something is so."""

    def wait() -> None:
        until(condition)
        worker.process.kill()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_table_is_that_of_one_process_though_a_worker_is_killed(loopback: Loopback) -> None:
    """Paths are relative to where the command was given, and not to where a worker began."""
    table = product(TABLE, references=False)
    fill(table, Path("here"), 1)
    said: list[str] = []
    address, workers = loopback.with_workers(2).address, loopback.workers
    trains = "there/cells/*/checkpoints/last.ckpt"
    killing = kill_at(lambda: [*Path().glob(trains)], workers[0])  # both are at a cell
    done = fill(table, Path("there"), 1, say=said.append, cluster=address)
    killing.join()
    assert (done.missing, done.failed, len(said)) == (0, [], 1 + 2)
    assert numbers(Path("there")) == numbers(Path("here"))
    for cell in Path("here/cells").iterdir():
        assert (Path("there/cells") / cell.name / "users.npz").exists()


def test_a_task_that_is_lost_every_time_is_given_up_and_costs_no_other(
    loopback: Loopback, tmp_path: Path
) -> None:
    todo = [DIE, "1 / 0", *map(str, range(5))]
    with begin_workers(1, loopback.with_workers(3).address, tmp_path) as workers:
        ended = {task: (result, error) for task, result, error in run_all(eval, todo, workers)}
    assert isinstance(ended.pop(DIE)[1], LostError)
    assert isinstance(ended.pop("1 / 0")[1], ZeroDivisionError)
    assert ended == {str(n): (n, None) for n in range(5)}


def test_who_leaves_early_leaves_no_worker_at_a_task(loopback: Loopback, tmp_path: Path) -> None:
    loopback.with_workers(2)

    def interrupted() -> None:
        with begin_workers(1, loopback.address, tmp_path) as workers:
            next(run_all(eval, [SLEEP, "1"], workers))  # the second ends, and the first goes on
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    gone = until(lambda: [w for w in loopback.workers if not w.process.is_alive()])
    assert len(gone) == 1
    with begin_workers(1, loopback.address, tmp_path) as workers:
        assert [result for _, result, _ in run_all(eval, ["2"], workers)] == [2]


def test_a_scheduler_that_ends_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that there is no worker left, of one that goes on."""
    other = Loopback(tmp_path).with_workers(1)
    words = ["--dataset", "tiny", "--encoder", "mf", "--epochs", "1000000", "--out", "out"]
    words += ["--patience", "1000000", "--no-references"]
    said: list[str] = []
    monkeypatch.setattr(fill_flags, "say", said.append)
    kill_at(lambda: [*Path().glob("out/cells/*/checkpoints/last.ckpt")], other.workers[0])
    killing = kill_at(lambda: "no worker is left: waits for one" in said, other.scheduler)
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *words, "--cluster", other.address])
    killing.join()
    other.close()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error == "pyg-negsamp compare: error: the cluster's scheduler is gone\n"


def test_trials_go_to_the_workers_and_that_of_a_killed_one_is_tried_again(
    loopback: Loopback,
) -> None:
    optuna = pytest.importorskip("optuna")
    from pyg_negsamp.experiments import studies

    loopback.with_workers(2)
    journal = Path("studies/mf-dns-bpr-tiny.log")
    given = {**TABLE, "neg": "dns"}
    both = lambda: journal.exists() and journal.read_text().count('"alive"') >= 2  # noqa: E731
    killing = kill_at(both, loopback.workers[0])
    said: list[str] = []
    found = tune(given, 4, cluster=loopback.address, say=said.append)
    killing.join()
    study = optuna.load_study(
        study_name=journal.stem, storage=studies.make_storage(f"journal:///{journal}")
    )
    states = Counter(trial.state.name for trial in study.get_trials(deepcopy=False))
    assert states == {"COMPLETE": 4, "FAIL": 1}
    tried = [t.params["num_candidates"] for t in study.trials if t.state.name == "COMPLETE"]
    assert sorted(tried) == [8, 16, 32, 64]
    assert found is not None
    assert found.value == max(t.value for t in study.trials if t.state.name == "COMPLETE")
    assert sum("/4 done" in line for line in said) == 4


def refused(capsys: pytest.CaptureFixture[str], address: str, *more: str) -> str:
    words = ["compare", "--dataset", "tiny", "--encoder", "mf", "--out", "new/out", *more]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--cluster", address])
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.err.count("\n") == 1, said.err
    assert not Path("new").exists()
    return said.err


def test_what_is_no_cluster_is_refused_in_one_line(
    loopback: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "TIMEOUT", 0.5)
    for address in ("", "nonsense", "foo://x:1", "tcp://127.0.0.1:1"):
        assert "--cluster must be the address of a dask scheduler" in refused(capsys, address)
    assert "not allowed with argument" in refused(capsys, loopback.address, "--jobs", "2")
    loopback.with_workers(0)
    for worker in loopback.workers:
        worker.process.kill()
        worker.process.join()
    said = refused(capsys, loopback.address)
    assert f"a scheduler with workers: dask worker {loopback.address} --nthreads 1" in said
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert 'pip install "pyg_negsamp[cluster]"' in refused(capsys, loopback.address)


def test_workers_that_are_of_no_use_are_refused_in_one_line(
    loopback: Loopback, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.with_workers(1)

    def said() -> str:
        return refused(capsys, loopback.address)

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "code_version", lambda: "another")
        assert "it has another version of pyg_negsamp" in said()
    with monkeypatch.context() as patch:
        patch.setattr(cluster.Path, "cwd", lambda: Path("/nowhere"))
        assert "it does not see the folder /nowhere" in said()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "NamedTemporaryFile", lambda **_: Elsewhere())
        assert "it does not see the same folder /elsewhere" in said()
    with monkeypatch.context() as patch:  # the scheduler ends as they are asked
        patch.setattr("distributed.Client.run", Mock(side_effect=CommClosedError("TCP")))
        assert said().endswith(": error: the cluster's scheduler is gone\n")


def test_a_worker_that_dies_as_it_is_asked_ends_nothing_while_another_is_left(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loopback.with_workers(2)
    monkeypatch.setattr(cluster, "TIMEOUT", 3.0)
    monkeypatch.setattr(cluster, "check_worker", dying(tmp_path / "first"))
    with begin_workers(1, loopback.address, tmp_path) as workers:
        assert [result for _, result, _ in run_all(eval, ["2"], workers)] == [2]
    monkeypatch.setattr(cluster, "check_worker", dying(tmp_path / "second"))
    with (
        pytest.raises(ConfigError, match="a scheduler with workers"),
        begin_workers(1, loopback.address, tmp_path),
    ):
        pass


def dying(mark: Path) -> Callable[..., None]:
    """A check of workers in which whoever first makes a file dies."""

    def die(asked: object, seen: Path, dask_worker: object) -> None:
        with suppress(FileExistsError):
            mark.touch(exist_ok=False)
            os._exit(1)

    return die


def test_a_worker_that_comes_later_and_is_of_no_use_ends_it_in_one_line(
    loopback: Loopback, tmp_path: Path
) -> None:
    loopback.with_workers(1)
    several = None
    try:
        with begin_workers(1, loopback.address, tmp_path) as workers:
            several = loopback.worker(threads=2)
            with pytest.raises(UnfitError, match="several threads; begin it with --nthreads 1"):
                list(run_all(eval, [SLEEP, "1"], workers))
    finally:
        assert several is not None
        several.process.kill()
        several.process.join()


class Elsewhere:
    """A file on another disk."""

    name = "/elsewhere/mark"

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass
