"""The workers of a dask cluster. Needs the extra 'cluster'.

The cluster is the user's own, and goes on. Its scheduler tries a task again whose worker is lost.
What a worker has to be is checked before anything is run, and again by every task, since workers
come and go: it sees the same folders, has the same code, and does one task at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.code import code_version
from pyg_negsamp.experiments.protocols import Say
from pyg_negsamp.experiments.workers import GONE, UnfitError, Workers

#: Seconds for the scheduler to answer, and for a first worker to be there.
TIMEOUT = 5.0
#: Seconds between two looks whether a task is still wanted.
LOOK = 1.0


@contextmanager
def connected(address: str, shared: Path, say: Say) -> Iterator[Workers]:
    """The workers of a cluster; who leaves early, leaves none of them at a task.

    Args:
        address: That of the scheduler, such as `'tcp://127.0.0.1:8786'`.
        shared: Folder that they have to see; it, or the first above it that is there.
        say: Is told if there are none left.

    Raises:
        ValueError: If there is no scheduler, no worker, or one that is of no use.
        OSError: If the scheduler ends meanwhile.
    """
    if find_spec("distributed") is None:
        raise ValueError('--cluster needs dask: pip install "pyg_negsamp[cluster]"')
    import dask
    from distributed import Client, KilledWorker
    from distributed.comm import CommClosedError

    with quiet(), dask.config.set({"distributed.comm.timeouts.connect": TIMEOUT}):
        find_scheduler(address)
        with Client(address, timeout=TIMEOUT, set_as_default=False, name="pyg-negsamp") as client:
            asked = Asked(Path.cwd(), code_version())
            try:
                check_all(client, address, asked, shared.resolve())
            except CommClosedError:
                raise OSError(GONE) from None
            executor = Cluster(client, asked, say)
            yield Workers(executor, executor.count, (KilledWorker,))


def find_scheduler(address: str) -> None:
    """Refuses what is no scheduler; before there is a client, which would wait for it."""
    from distributed import Security
    from distributed.core import rpc

    async def kind() -> str:
        security = Security().get_connection_args("client")
        async with rpc(address, timeout=TIMEOUT, connection_args=security) as other:
            return (await asyncio.wait_for(other.identity(), TIMEOUT))["type"]

    with ThreadPoolExecutor(1) as thread, suppress(Exception):  # as whatever else it may answer
        if thread.submit(asyncio.run, kind()).result() == "Scheduler":
            return
    expected = "the address of a dask scheduler that answers, such as tcp://127.0.0.1:8786"
    raise ConfigError("cluster", expected, address)


@contextmanager
def quiet() -> Iterator[None]:
    """Dask says nothing inside; what goes wrong is said in our own line."""
    loggers = [logging.getLogger(f"distributed{name}") for name in ("", ".client", ".batched")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@dataclass(frozen=True)
class Asked:
    """What is asked of a worker.

    Attributes:
        folder: Where the command was given; relative paths begin there.
        code: The version of the code.
    """

    folder: Path
    code: str

    def check(self, worker: Any) -> None:
        """Makes a worker one that works in the folder, and refuses what would go wrong.

        Args:
            worker: The one that this process is.

        Raises:
            UnfitError: If it does several tasks at a time, does not see the folder, or has another
                version of the code.
        """
        if worker.state.nthreads > 1:
            raise unfit(worker.address, "it has several threads; begin it with --nthreads 1")
        try:
            os.chdir(self.folder)
        except OSError:
            raise unfit(worker.address, f"it does not see the folder {self.folder}") from None
        if code_version() != self.code:
            raise unfit(worker.address, "it has another version of pyg_negsamp")


def unfit(worker: str, why: str) -> UnfitError:
    """The error of a worker that is of no use."""
    return UnfitError(f"--cluster: its worker {worker} is of no use: {why}")


def check_worker(asked: Asked, mark: Path, dask_worker: Any) -> None:
    """Refuses this worker if it is of no use, or does not see a file that was just made."""
    asked.check(dask_worker)
    if not mark.exists():
        raise unfit(dask_worker.address, f"it does not see the same folder {mark.parent}")


def check_all(client: Any, address: str, asked: Asked, shared: Path) -> None:
    """Refuses a cluster without workers, or with one that is of no use.

    A worker that ends as it is asked is none that is there.

    Args:
        client: Of the cluster.
        address: That of its scheduler.
        asked: What a worker has to be.
        shared: Folder that it has to see; it, or the first above it that is there.
    """
    from distributed import TimeoutError

    with suppress(TimeoutError):  # they may be about to begin
        client.wait_for_workers(1, timeout=TIMEOUT)
    if not client.nthreads():
        expected = f"a scheduler with workers: dask worker {address} --nthreads 1 --memory-limit 0"
        raise ConfigError("cluster", expected, address)
    there = next(folder for folder in (shared, *shared.parents) if folder.is_dir())
    with NamedTemporaryFile(dir=there, prefix=".pyg-negsamp-") as mark:
        errors = client.run(check_worker, asked, Path(mark.name), on_error="return")
    lost = False
    for worker, error in errors.items():
        if error is not None:
            if not is_gone(client, worker, error):
                raise error if isinstance(error, UnfitError) else unfit(worker, str(error))
            lost = True
    if lost:  # asks those that are left, or have come in their place
        check_all(client, address, asked, shared)


def is_gone(client: Any, worker: str, error: Exception) -> bool:
    """Whether a worker did not answer because it has ended, which the scheduler may hear later."""
    until = time.monotonic() + TIMEOUT
    while isinstance(error, OSError) and time.monotonic() < until:
        if worker not in client.nthreads():
            return True
        time.sleep(0.1)
    return False


class Cluster(Executor):
    """Does tasks on the cluster, by an executor of dask's.

    Args:
        client: Of the cluster.
        asked: What a worker has to be.
        say: Is told if there is no worker left.
    """

    def __init__(self, client: Any, asked: Asked, say: Say) -> None:
        self.client, self.asked, self.say = client, asked, say
        self.executor = client.get_executor(pure=False)
        self.deserted = False

    def count(self) -> int:
        """How many workers there are."""
        try:
            count = len(self.client.nthreads())
        except OSError:
            raise OSError(GONE) from None
        if not count and not self.deserted:
            self.say("no worker is left: waits for one")
        self.deserted = not count
        return count

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Does a task."""
        return self.executor.submit(on_worker, self.asked, work, *args, **kwargs)


def on_worker(asked: Asked, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Does a task, on a worker of the cluster; ends the worker if nobody waits for it any more.

    A nanny begins it anew. So Ctrl-C, or the end of who has asked, does not leave it at a task
    for hours; a cell goes on with its last epoch.
    """
    from distributed import get_worker

    worker, over = get_worker(), threading.Event()
    asked.check(worker)
    key = worker.get_current_task()

    def look() -> None:
        while not over.wait(LOOK):
            task = worker.state.tasks.get(key)
            unwanted = task is None or task.state == "cancelled"
            if unwanted and not over.is_set():  # what is done is forgotten, too
                os._exit(1)

    threading.Thread(target=look, daemon=True).start()
    try:
        return work(*args, **kwargs)
    finally:
        over.set()
