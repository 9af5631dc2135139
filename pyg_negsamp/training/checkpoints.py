"""Checkpoints that are whole, or not there; every bit of one is checked when it is read.

A file is what `torch.save` writes, and a last line with its checksum, which `torch.load` skips.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pyg_negsamp.errors import invalid
from pyg_negsamp.files import whole, writing

LAST_LINE = b"\nsha256: "
#: Bytes of the last line.
LENGTH = len(LAST_LINE) + 64 + 1
#: What a run that goes on reads in its checkpoint.
NEEDED = {"epoch", "history", "state_dict", "optimizer_states", "lr_schedulers", "loops",
          "callbacks"}  # fmt: skip


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the target, onto the disk, and renames.

    Lightning's own way is a file in the temporary folder, which is copied where that is on another
    file system: killed meanwhile, the old checkpoint is gone and the new one is not there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Saves all of it or nothing.

        Raises:
            OSError: If it cannot be written, naming the file.
        """
        path = Path(path)
        # A fixed name, so that kills leave one of them; on a full disk torch raises the latter.
        part = path.with_name(path.name + ".part")
        with writing(path, RuntimeError), whole(path, part) as part, part.open("wb+") as file:
            torch.save(checkpoint, file)
            file.seek(0)
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
            file.write(LAST_LINE + checksum.encode() + b"\n")

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Reads onto the CPU, see :func:`read_checkpoint`."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path, model: torch.nn.Module | None = None) -> dict[str, Any]:
    """Reads a checkpoint whose every bit is as it was written, onto the CPU.

    Args:
        path: The file.
        model: Whose checkpoint it should be. Default: anybody's.

    Raises:
        ValueError: If it is missing, has changed, or is of another model, in one line that names
            it.
    """
    other = path.with_name("best.ckpt")
    remedy = "begin the run anew"
    if other != path and other.is_file() and _ends_an_epoch(other):
        remedy = f"copy {other.name} over it to go on from the best epoch, or {remedy}"
    expected = f"a whole checkpoint ({remedy})"
    if not path.is_file():
        raise invalid("fit", str(path), expected, "no file")
    if not _is_whole(path):
        raise invalid("fit", str(path), expected, "one that was damaged, or is none")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise invalid("fit", str(path), expected, "something else") from error
    if not isinstance(state, dict) or not state.keys() >= NEEDED:
        raise invalid("fit", str(path), expected, "something else")
    if model is not None and (odd := _difference(state["state_dict"], model.state_dict())):
        raise invalid("fit", str(path), f"a checkpoint of this model ({remedy})", odd)
    return state


def _ends_an_epoch(path: Path) -> bool:
    """Whether a run can go on from a checkpoint: the history in it has its last epoch."""
    try:
        state = read_checkpoint(path)
    except ValueError:
        return False
    return len(state["history"]) == state["epoch"] + 1


def _is_whole(path: Path) -> bool:
    """Whether the last line holds the checksum of the rest."""
    left = path.stat().st_size - LENGTH
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 2**20))):
            checksum.update(block)
            left -= len(block)
        return left == 0 and file.read() == LAST_LINE + checksum.hexdigest().encode() + b"\n"


def _difference(weights: Any, own: dict[str, Any]) -> str:
    """The first tensor by which weights are not those of a model; nothing if they are."""
    for name in sorted({*weights, *own}):
        theirs, ours = (_size(x[name]) if name in x else "none" for x in (weights, own))
        if theirs != ours:
            return f"{name} {theirs} instead of {ours}"
    return ""


def _size(value: Any) -> list[int]:
    """The size of a tensor; the state of other things has none."""
    return list(value.shape) if isinstance(value, torch.Tensor) else []
