"""Tasks in processes of their own; those of a cluster are in `test_cluster.py`."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from small_table import numbers, until

from pyg_negsamp.datasets import DownloadError
from pyg_negsamp.errors import invalid
from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.cells import load_all, plan, run_cell
from pyg_negsamp.experiments.comparison import product
from pyg_negsamp.experiments.filling import fill
from pyg_negsamp.experiments.workers import LostError, begin_workers, run_all

#: A task, as `eval` takes it, that kills its process.
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"


@pytest.mark.parametrize(
    "error",
    [
        invalid("DNS", "n", "at least 1", 0),
        ConfigError("lr", "a number", "x"),
        DownloadError("http://x", "gone", Path("y")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_whole_from_another_process(error: Exception) -> None:
    """One that does not is taken for a process that was killed."""
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


@pytest.mark.usefixtures("forked_workers")
def test_an_interruption_ends_no_process_of_the_caller(tmp_path: Path) -> None:
    table = product({"dataset": "tiny", "encoder": ["popularity", "mf"], "epochs": 10**6}, False)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=time.sleep, args=(600,)) for _ in range(2)]

    def interrupted() -> None:
        with begin_workers(2, None, tmp_path) as workers:
            work = partial(run_cell, deadline=float("inf"))
            next(run_all(work, plan(table, load_all(table), tmp_path, 1), workers))
            children[1].start()  # popularity is finished at once, and the other trains
            raise KeyboardInterrupt

    children[0].start()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert {*multiprocessing.active_children()} == {*children}
    finally:
        for child in children:
            child.kill()
            child.join()


@pytest.mark.usefixtures("forked_workers")
def test_a_task_that_is_lost_every_time_is_given_up_and_costs_no_other(tmp_path: Path) -> None:
    seen = repr(str(tmp_path / "seen"))
    once = f"__import__('os').path.exists({seen}) or (open({seen}, 'w').close(), {DIE})"
    todo = [DIE, once, "1 / 0", *map(str, range(5))]
    with begin_workers(2, None, tmp_path) as workers:
        ended = {task: (result, error) for task, result, error in run_all(eval, todo, workers)}
    lost, wrong = ended.pop(DIE)[1], ended.pop("1 / 0")[1]
    assert isinstance(lost, LostError)
    assert "lost its worker every time" in str(lost)
    assert isinstance(wrong, ZeroDivisionError)
    assert ended == {once: (True, None)} | {str(n): (n, None) for n in range(5)}
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("forked_workers")
def test_a_table_is_whole_though_its_workers_are_killed(tmp_path: Path) -> None:
    given = {"dataset": "tiny", "encoder": "mf", "neg": ["rns", "dns"], "epochs": 15}
    table = product({**given, "device": "cpu"}, references=False)
    fill(table, tmp_path / "here", 1)

    def kill() -> None:
        until(lambda: [*tmp_path.glob("there/cells/*/checkpoints/last.ckpt")])
        for process in multiprocessing.active_children():
            process.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    done = fill(table, tmp_path / "there", 1, jobs=2)
    killing.join()
    assert (done.missing, done.failed) == (0, [])
    assert numbers(tmp_path / "there") == numbers(tmp_path / "here")
    assert multiprocessing.active_children() == []


def told_to_end(folder: Path) -> str:
    """The first time, as lightning ends a training on SIGTERM."""
    if not (folder / "once").exists():
        (folder / "once").touch()
        raise SystemExit
    return "done"


@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_is_told_to_end_costs_a_try_and_ends_nobody_else(tmp_path: Path) -> None:
    with begin_workers(2, None, tmp_path) as workers:
        done = list(run_all(told_to_end, [tmp_path], workers))
    assert done == [(tmp_path, "done", None)]
