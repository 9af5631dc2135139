"""A per-user cache of parsed benchmarks: plain tensors with a checksum, never code."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pyg_negsamp.datasets.log import InteractionLog, Repeats
from pyg_negsamp.files import whole

FORMAT_VERSION = 1  # of the tensors that are cached; a new one outdates all older files

Tensors = dict[str, Tensor]


def cache_folder() -> Path:
    """`$PYG_NEGSAMP_CACHE`, else `$XDG_CACHE_HOME/pyg_negsamp`, else `~/.cache/pyg_negsamp`."""
    if folder := os.environ.get("PYG_NEGSAMP_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or os.path.expanduser("~/.cache")) / "pyg_negsamp"


def cache_file(name: str, sources: Sequence[Path]) -> Path:
    """Where the parsed form of `sources` is kept; changes whenever a source file does."""
    state = [f"format {FORMAT_VERSION}"]
    for path in sources:
        stat = path.stat()
        state.append(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    key = hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
    return cache_folder() / f"{name}-{key}.safetensors"


def load_or_build(
    name: str, sources: Sequence[Path], build: Callable[[], Tensors], rebuild: bool = False
) -> Tensors:
    """The tensors that `build` makes of the source files, from the cache if they are there.

    A cache file that cannot be read is built anew, and a folder that cannot be written to
    only costs the time to build again next time.

    Args:
        name: Start of the file name, and what distinguishes several forms of one source.
        sources: Files that the tensors are made from.
        build: Reads the sources.
        rebuild: Whether to pass over an existing file.
    """
    path = cache_file(name, sources)
    if not rebuild and path.is_file():
        # Truncated, foreign, hostile or damaged files are all the same to us: built anew.
        with contextlib.suppress(OSError, SafetensorError, KeyError, TypeError):
            return _read(path)
    tensors = build()
    _store(tensors, path)
    return tensors


def _read(path: Path) -> Tensors:
    """The tensors of a file; raises `KeyError` if a bit of it has changed."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if file.metadata()["sha256"] != digest(tensors):
            raise KeyError(path)
    return tensors


def digest(tensors: Tensors) -> str:
    """A checksum of names, types, sizes and numbers."""
    found = hashlib.sha256()
    for name, x in sorted(tensors.items()):
        found.update(f"{name} {x.dtype} {[*x.shape]} ".encode())
        found.update(x.contiguous().numpy().tobytes())
    return found.hexdigest()


def _store(tensors: Tensors, path: Path) -> None:
    # An unwritable cache is no reason to stop; on a full disk safetensors raises the latter.
    with contextlib.suppress(OSError, SafetensorError), whole(path) as part:
        plain = {name: x.contiguous() for name, x in tensors.items()}
        save_file(plain, part, metadata={"sha256": digest(tensors)})


def to_tensors(log: InteractionLog, repeats: Repeats) -> Tensors:
    """A clean benchmark log as plain tensors; times, ratings and id maps it does not have."""
    assert log.split is not None
    return {
        "links": torch.stack([log.user, log.item]),
        "split": log.split,
        "sizes": torch.tensor([log.num_users, log.num_items]),
        "repeats": torch.tensor(repeats),
    }


def from_tensors(tensors: Tensors) -> tuple[InteractionLog, Repeats]:
    """The inverse of `to_tensors`."""
    num_users, num_items = tensors["sizes"].tolist()
    user, item = tensors["links"]
    log = InteractionLog(user, item, num_users, num_items, split=tensors["split"])
    return log, Repeats(*tensors["repeats"].tolist())
