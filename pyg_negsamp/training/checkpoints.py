"""Checkpoints that are whole, or not there."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pyg_negsamp.errors import invalid


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the target, onto the disk, and renames.

    Lightning's own way is a file in the temporary folder, which is copied where that is on another
    file system: killed meanwhile, the old checkpoint is gone and the new one is not there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Saves all of it or nothing."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """As lightning does.

        Raises:
            ValueError: If the file is damaged.
        """
        try:
            return super().load_checkpoint(path, *args, **options)
        except FileNotFoundError:
            raise
        except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
            expected = "a whole checkpoint (begin the run anew, or put another one there)"
            raise invalid("fit", "out", expected, f"{path}, damaged") from error
