"""Processes of their own for tests, which need not wait for torch: forks of one that has it.

To import torch, PyG and lightning takes six seconds, and this library one besides.
`CONTEXT` has one process import them all; whatever is started in it is a fork of that process.
A command that would find the library elsewhere, in its own folder or in an installed wheel,
imports that one.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pyg_negsamp.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = [
    "lightning.pytorch",
    "torch_geometric",
    "torchmetrics",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "pydantic.dataclasses",
    "docstring_parser",
    "safetensors.torch",
    "filelock",
    "matplotlib.pyplot",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "optuna",
    "sqlalchemy",
    *(f"pyg_negsamp.cli.{command}" for command in COMMANDS),
    "pyg_negsamp.experiments.search",
    "pyg_negsamp.experiments.cluster",
]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(LIBRARIES)


class Python:
    """`python WORDS`, where the words are `-m MODULE`, `-c CODE` or a script, and what follows.

    Args:
        words: The command line.
        folder: Where it runs. Default: the current one.
        first: A folder that is searched for modules before others.
    """

    def __init__(self, *words: str, folder: Path | None = None, first: Path | None = None) -> None:
        self.words = words
        self.said = TemporaryDirectory()
        # Without what pytest has added, so that a script finds only what its users find.
        path = [place for place in sys.path if Path(place).parent != ROOT]
        path = path if first is None else [str(first), *path]
        place = Path.cwd() if folder is None else folder
        task = (words, place, path, Path(self.said.name), dict(os.environ))
        self.process = CONTEXT.Process(target=become, args=task)
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its exit code and what it has said. A process that does not end is killed."""
        self.process.join(300)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"{self.words} did not end in 300 s")
        out, err = ((Path(self.said.name) / name).read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess(self.words, self.process.exitcode, out, err)


def become(
    words: tuple[str, ...], folder: Path, path: list[str], said: Path, environment: Mapping
) -> None:
    """What the interpreter does with its command line, in this process."""
    gc.freeze()  # collecting among all that was imported would take a third of a second
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(said / name, os.O_WRONLY | os.O_CREAT), stream)
    os.fsync = os.fstat  # as in the tests themselves, see conftest.py
    os.environ.clear()
    os.environ.update(environment)
    if (config := sys.modules.get("dask.config")) is not None:
        config.refresh()  # it has read the environment of the process that this one is a fork of
    os.chdir(folder)
    kind, *rest = words
    first = str(folder if kind in ("-m", "-c") else Path(kind).parent)
    sys.path[:] = [first, *path]
    specs = (finder.find_spec("pyg_negsamp", None) for finder in sys.meta_path)
    found = next((spec.origin for spec in specs if spec is not None), None)
    if found != sys.modules["pyg_negsamp"].__file__:
        for name in [name for name in sys.modules if name.split(".")[0] == "pyg_negsamp"]:
            del sys.modules[name]
    if kind == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv[:] = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    else:
        sys.argv[:] = [*words]
        runpy.run_path(kind, run_name="__main__")
