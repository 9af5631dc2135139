"""Checkpoints that are whole, or not there."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pyg_negsamp.errors import invalid
from pyg_negsamp.files import whole, writing


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
        with writing(path, RuntimeError), whole(path, part) as part, part.open("wb") as file:
            torch.save(checkpoint, file)

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
