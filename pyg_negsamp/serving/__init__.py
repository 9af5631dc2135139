"""Serving: a trained model with the ids of its users and items, to keep and to ask."""

from pyg_negsamp.serving.model import TrainedModel

__all__ = ["TrainedModel"]
