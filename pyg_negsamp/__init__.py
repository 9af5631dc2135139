"""Every published way to choose or synthesise a negative sample, as PyG transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_negsamp.experiments import train
    from pyg_negsamp.serving import TrainedModel

__version__ = "0.1.0"
__all__ = ["TrainedModel", "train"]


def __getattr__(name: str) -> Any:
    """Loads the two names when they are asked for, so that one room can be had without all."""
    if name == "train":
        from pyg_negsamp.experiments import train

        return train
    if name == "TrainedModel":
        from pyg_negsamp.serving import TrainedModel

        return TrainedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
