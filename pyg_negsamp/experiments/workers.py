"""Hands tasks to workers: this process, processes of its own, or those of a dask cluster.

A task is a cell of a table, or a trial of a study. All three are a `concurrent.futures.Executor`,
and what is asked of one is the same: a worker that is lost, killed for its memory or with its
machine, is a task tried again, and costs no other task anything; a task that loses its worker
every time is given up.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch

from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.protocols import Say

Task = TypeVar("Task")
Result = TypeVar("Result")
#: How often a task may lose its process, before it is given up; as by dask's default.
TRIES = 4
#: Seconds after which workers are counted again.
POLL = 2.0
#: What is said of a cluster that has ended.
GONE = "the cluster's scheduler is gone"


class LostError(OSError):
    """A task lost its worker every time."""


class UnfitError(ValueError):
    """A worker is of no use, and would spoil one task after the other."""


@dataclass(frozen=True)
class Workers:
    """Whom tasks are handed to.

    Attributes:
        executor: Takes them.
        count: How many there are at this moment.
        lost: What the executor raises if a worker was lost every time.
    """

    executor: Executor
    count: Callable[[], int]
    lost: tuple[type[BaseException], ...] = ()


@contextmanager
def begin_workers(
    jobs: int, cluster: str | None, shared: Path, say: Say = lambda text: None
) -> Iterator[Workers]:
    """Workers for a while; on Ctrl-C, or any error, none of them stays at a task.

    Args:
        jobs: How many processes. One: this process itself.
        cluster: Address of a dask scheduler, whose workers it then is; `None` for processes here.
        shared: Folder that has to be the same for all of them.
        say: Is told what happens.

    Raises:
        ValueError: If a number is less than 1, both are given, or the cluster is of no use.
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be at least 1 (got {jobs})")
    if cluster is not None:
        if jobs != 1:
            expected = "left out beside --cluster, which runs a task per worker"
            raise ConfigError("jobs", expected, jobs)
        from pyg_negsamp.experiments.cluster import connected

        with connected(cluster, shared, say) as workers:
            yield workers
    elif jobs == 1:
        yield Workers(Here(), lambda: 1)
    else:
        with Processes(jobs) as executor:
            yield Workers(executor, lambda: jobs, (BrokenProcessPool,))


def run_all(
    work: Callable[[Task], Result], todo: Sequence[Task], workers: Workers
) -> Iterator[tuple[Task, Result | None, Exception | None]]:
    """Does tasks, and yields those that end, with what came out, or what went wrong.

    A task that fails does not stop the others: they may be a night's work. No worker has a second
    one waiting, which would be lost with the first.

    Args:
        work: What to do.
        todo: With what, in order.
        workers: Who does it.

    Raises:
        OSError: If the cluster is gone.
        ValueError: If one of its workers is of no use.
        KeyboardInterrupt: On Ctrl-C.
    """
    left = deque(todo)
    running: dict[Future[Result], Task] = {}
    while left or running:
        for _ in range(min(len(left), workers.count() - len(running))):
            task = left.popleft()
            running[workers.executor.submit(work, task)] = task
        if not running:
            time.sleep(POLL)
        for future in wait(running, POLL, FIRST_COMPLETED).done:
            task = running.pop(future)
            try:
                wrong = future.exception()
            except CancelledError:
                raise OSError(GONE) from None
            if wrong is None:
                yield task, future.result(), None
            elif isinstance(wrong, workers.lost):
                said = "lost its worker every time, perhaps for its memory; given up"
                yield task, None, LostError(said)
            elif isinstance(wrong, Exception) and not isinstance(wrong, UnfitError):
                yield task, None, wrong
            else:
                raise wrong


class Here(Executor):
    """Does a task at once, in this process."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Does it."""
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Processes(Executor):
    """Pools of one process each: one that breaks is begun anew, and no other loses its task.

    Args:
        jobs: How many; the cores are shared out.
    """

    def __init__(self, jobs: int) -> None:
        self.threads = max(1, (os.cpu_count() or 1) // jobs)
        self.hands = ThreadPoolExecutor(jobs)  # each waits for a process
        self.lock, self.over = threading.Lock(), False
        self.pools: list[ProcessPoolExecutor] = []
        self.idle: list[ProcessPoolExecutor] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Does a task in a process that has no other."""
        return self.hands.submit(self._try, work, *args, **kwargs)

    def _try(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        for left in reversed(range(TRIES)):
            pool, future = self._begin(work, *args, **kwargs)
            try:
                result = future.result()
            except BrokenProcessPool:
                if not left:
                    raise
                continue
            except Exception:
                self.idle.append(pool)
                raise
            self.idle.append(pool)
            return result

    def _begin(
        self, work: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> tuple[ProcessPoolExecutor, Future[Any]]:
        with self.lock:
            if self.over:
                raise CancelledError
            while self.idle:
                pool = self.idle.pop()
                try:
                    return pool, pool.submit(or_end, work, *args, **kwargs)
                except BrokenProcessPool:  # killed while it had nothing to do
                    continue
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, context, start_worker, (self.threads,))
            self.pools.append(pool)
            return pool, pool.submit(or_end, work, *args, **kwargs)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits for the processes to end; those that are at a task are killed."""
        with self.lock:
            self.over = True
            for pool in self.pools:
                # Those of the pools only: the caller may have children of its own.
                for worker in [*(pool._processes or {}).values()]:
                    worker.kill()  # a task takes hours, and goes on with its last epoch
        self.hands.shutdown(wait=True, cancel_futures=True)
        for pool in self.pools:
            pool.shutdown(wait=True, cancel_futures=True)


def or_end(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Does a task; a process that is told to end ends, and not the one that asked it."""
    try:
        return work(*args, **kwargs)
    except SystemExit:
        os._exit(1)


def start_worker(threads: int) -> None:
    """Makes a process of the pool one that ends with its parent, and only with it."""
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to all; the parent sees to it
    threading.Thread(target=leave_with_parent, daemon=True).start()


def leave_with_parent() -> None:
    """Ends this process once its parent is gone, which may have had no time to say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
