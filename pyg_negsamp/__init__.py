"""Every published way to choose or synthesise a negative sample, as PyG transforms."""

__version__ = "0.1.0"
