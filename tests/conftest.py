"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # A process per core: threads besides would wait for each other. Before anything imports torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In a shell's background job, and so in every process that a test would stop by Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
FSYNC = os.fsync


def pytest_collection_finish() -> None:
    """Nobody looks again for garbage among what was imported, least of all as the process ends."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    """The folder of real benchmark splits; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("PYG_NEGSAMP_DATA", ROOT.parent / "shared" / "datasets"))
    if not folder.is_dir():
        pytest.skip("no benchmark data (set PYG_NEGSAMP_DATA)")
    return folder


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Every test draws what it always draws: what is rare should not fail once in a month."""
    import numpy as np
    import torch

    # Where there is no accelerator, `torch.manual_seed` writes down for three kinds of them where
    # it was called: a millisecond in each of thousands of tests.
    (torch if torch.cuda.is_available() else torch.default_generator).manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(autouse=True, scope="session")
def _no_disk_is_waited_for() -> None:
    """What stands on the disk after a power cut is no matter but of those who test just that."""
    os.fsync = os.fstat  # which refuses what is no open file, too


@pytest.fixture
def a_disk_that_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who test just that."""
    monkeypatch.setattr(os, "fsync", FSYNC)


@pytest.fixture(autouse=True, scope="session")
def _no_package_adds_callbacks() -> None:
    """Lightning looks for them in all that is installed, six milliseconds at every training."""
    from lightning.pytorch.trainer.connectors import callback_connector

    callback_connector._load_external_callbacks = lambda _: []


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools of processes have torch and the library from the beginning."""
    from fresh import CONTEXT

    others = multiprocessing.get_context
    monkeypatch.setattr(
        multiprocessing, "get_context", lambda how: CONTEXT if how == "spawn" else others(how)
    )
