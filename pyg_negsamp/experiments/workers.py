"""Runs cells one after the other, or several at a time in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import torch

from pyg_negsamp.experiments.cells import Cell, run_cell


def run_all(
    todo: Sequence[Cell], jobs: int = 1, budget: float = float("inf")
) -> Iterator[tuple[Cell, Exception | None]]:
    """Runs cells, and yields those that end, with what went wrong, if anything.

    A cell that fails does not stop the others: they may be a night's work.

    Args:
        todo: Those to run, in order.
        jobs: How many at a time; the cores are shared out.
        budget: Seconds after which none is started.

    Raises:
        OSError: If a process was killed from outside.
        KeyboardInterrupt: On Ctrl-C; every cell keeps its last epoch.
    """
    work = partial(run_cell, deadline=time.time() + budget)
    if jobs == 1:
        for cell in todo:
            try:
                if work(cell):
                    yield cell, None
            except Exception as error:
                yield cell, error
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), start_worker, (threads,)
    ) as pool:
        try:
            running = {pool.submit(work, cell): cell for cell in todo}
            for future in as_completed(running):
                wrong = future.exception()
                if isinstance(wrong, BrokenProcessPool):
                    said = "a worker was killed, perhaps for its memory: go on with fewer --jobs"
                    raise OSError(said) from wrong
                if isinstance(wrong, Exception):
                    yield running[future], wrong
                elif future.result():
                    yield running[future], None
        except BaseException:
            # Those of the pool only: the caller may have children of its own.
            for worker in [*(pool._processes or {}).values()]:
                worker.kill()  # a cell takes hours, and goes on with its last epoch
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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
