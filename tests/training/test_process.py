"""The process after a run is what it was before, after an error and Ctrl-C too."""

from __future__ import annotations

import ctypes
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.nn import LightGCN
from pyg_negsamp.training import Recommender, fit, memory
from pyg_negsamp.training.memory import freed_memory_kept
from pyg_negsamp.transforms import DINS


@pytest.fixture(scope="module")
def splits() -> list[HeteroData]:
    found = list(SyntheticInteractions("tiny"))
    LightGCN(found[0], dim=4)  # PyG writes a file of code for the first of a process
    return found


class Raising(Callback):
    """Ends the second epoch with an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_epoch_start(self, trainer: object, pl_module: Recommender) -> None:  # type: ignore[override]
        if pl_module.current_epoch == 1:
            raise self.error


def found() -> dict[str, object]:
    """All that a run might change in the process."""
    loggers = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    return {
        "log levels": {
            name: (x.level, list(x.handlers), list(x.filters), x.disabled)
            for name, x in loggers.items()
            if isinstance(x, logging.Logger) and (not name or name.startswith("lightning"))
        },
        "warning filters": list(warnings.filters),
        "how warnings are shown": (warnings.showwarning, warnings.formatwarning),
        "signal handlers": {
            number: signal.getsignal(number)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        },
        "random": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.random.get_rng_state().tolist(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
        ),
        "precision": (torch.get_default_dtype(), torch.get_float32_matmul_precision()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()),
        "threads of torch": torch.get_num_threads(),
        "environment": dict(os.environ),
        "hooks": (sys.excepthook, threading.excepthook),
        "here": (os.getcwd(), sorted(os.listdir())),
    }


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that runs take for the system's temporary one; the test stands in another."""
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield tmp_path / "temporary"
    assert not list((tmp_path / "temporary").iterdir())


ENDS: dict[str, Callable[[], BaseException | None]] = {
    "well": lambda: None,
    "an error": lambda: RuntimeError("the end"),
    "Ctrl-C": KeyboardInterrupt,
    "an exit": lambda: SystemExit(3),
}


@pytest.mark.filterwarnings("ignore:.*deterministic implementation")
@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("end", list(ENDS))
@pytest.mark.parametrize("with_out", [True, False])
def test_nothing_is_left_behind(
    splits: list[HeteroData], temporary: Path, end: str, precision: str, with_out: bool
) -> None:
    out = temporary.parent / "out" if with_out else None
    model = Recommender(LightGCN(splits[0], dim=4), DINS(DINS.proposal(splits[0])))
    options = {"epochs": 2, "device": "cpu", "progress": False, "precision": precision}
    error = ENDS[end]()
    # Not the defaults, which somebody might put back by chance.
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="a filter of the caller")
            before = found()
            if error is None:
                fit(model, splits[0], splits[1], out, **options)
            else:
                with pytest.raises(type(error)):
                    fit(model, splits[0], splits[1], out, **options, callbacks=[Raising(error)])
            after = found()
    finally:
        torch.use_deterministic_algorithms(False)
        logger.setLevel(level)
    assert after.keys() == before.keys()
    for name, state in before.items():
        assert after[name] == state, name


def test_refusals_leave_nothing_behind_either(splits: list[HeteroData], temporary: Path) -> None:
    model = Recommender(LightGCN(splits[0], dim=4), DINS(DINS.proposal(splits[0])))
    before = found()
    for options in ({"precision": "8-true"}, {"max_time": "soon"}, {"resume": True}):
        with pytest.raises(ValueError, match="fit: '"):
            fit(model, splits[0], splits[1], **options)
    assert found() == before


def test_an_exit_of_somebody_else_stays_an_exit(splits: list[HeteroData]) -> None:
    model = Recommender(LightGCN(splits[0], dim=4), DINS(DINS.proposal(splits[0])))
    with pytest.raises(SystemExit) as raised:
        fit(model, splits[0], splits[1], epochs=2, progress=False,
            callbacks=[Raising(SystemExit(3))])  # fmt: skip
    assert raised.value.code == 3


# Memory of the C library ------------------------------------------------------------------------


class Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library, 2.33 and later."""

    _fields_ = [
        ("not_asked_for", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),  # bytes in blocks that are mapped on their own
        ("nor_that", ctypes.c_size_t * 5),
    ]


def mapped(megabytes: int) -> bool:
    """Whether the C library maps a block of this size on its own, if none of it is free."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Mallinfo
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    before = library.mallinfo2().hblkhd
    block = library.malloc(ctypes.c_size_t(megabytes * 2**20))
    grown = library.mallinfo2().hblkhd - before
    library.free(block)
    return bool(grown >= megabytes * 2**20)


needs_glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="needs the GNU C library",
)


@needs_glibc
def test_large_blocks_are_reused_inside_and_mapped_afterwards() -> None:
    with freed_memory_kept() as kept:
        if not kept:
            pytest.skip("this C library refuses large thresholds")
        assert not mapped(200)
        with freed_memory_kept():
            assert not mapped(200)
        assert not mapped(200)
    assert mapped(600)


def test_thresholds_are_those_that_the_c_library_reaches_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, int, int]] = []
    library = SimpleNamespace(
        mallopt=lambda name, value: told.append(("mallopt", name, value)) or 1,
        malloc_trim=lambda pad: told.append(("malloc_trim", 0, pad.value)),
    )
    monkeypatch.setattr(memory, "_c_library", lambda: library)
    mmap, trim = memory.M_MMAP_THRESHOLD, memory.M_TRIM_THRESHOLD
    high = [("mallopt", mmap, 2**30), ("mallopt", trim, 2**31 - 1)]
    own = [("mallopt", mmap, 2**25), ("mallopt", trim, 2**26), ("malloc_trim", 0, 0)]

    def inside() -> None:
        with freed_memory_kept() as kept:
            assert kept
            with freed_memory_kept():
                pass
            assert told == high * 2
            raise RuntimeError("the end")

    with pytest.raises(RuntimeError, match="the end"):
        inside()
    assert told == high * 2 + own

    told.clear()
    library.mallopt = lambda name, value: told.append(("mallopt", name, value)) or 0
    with freed_memory_kept() as kept:
        assert not kept
    assert told == high[:1]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with freed_memory_kept() as kept:
        assert not kept


@needs_glibc
def test_freed_blocks_go_back_at_the_end() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with freed_memory_kept() as kept:
        if not kept:
            pytest.skip("this C library refuses large thresholds")
        block = torch.ones(2**26)  # 256 MiB
        del block
        inside = resident()
    assert inside - resident() > 200 * 2**20


@needs_glibc
@pytest.mark.parametrize("error", [None, RuntimeError("the end")])
def test_a_run_puts_the_thresholds_back(
    splits: list[HeteroData], error: RuntimeError | None
) -> None:
    inside: list[bool] = []

    class Looking(Callback):
        def on_train_start(self, *_: object) -> None:
            inside.append(mapped(200))

    callbacks = [Looking(), *([] if error is None else [Raising(error)])]
    model = Recommender(LightGCN(splits[0], dim=4), DINS(DINS.proposal(splits[0])))
    if error is None:
        fit(model, splits[0], splits[1], epochs=2, progress=False, callbacks=callbacks)
    else:
        with pytest.raises(RuntimeError, match="the end"):
            fit(model, splits[0], splits[1], epochs=2, progress=False, callbacks=callbacks)
    assert inside == [False]
    assert mapped(600)
