"""Is there memory for it? Asked before anything is allocated."""

from __future__ import annotations

import psutil

from pyg_negsamp.errors import invalid


def check_memory(owner: object, argument: str, value: object, needed: int) -> None:
    """Refuses what does not fit into the memory that is free.

    Args:
        owner: Who asks, for the error.
        argument: What makes it large.
        value: Its value.
        needed: Bytes.

    Raises:
        ValueError: Saying how much it takes, and how much is free.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        expected = f"such that it fits into memory: it takes {needed / 2**30:.1f} GiB"
        raise invalid(owner, argument, expected, f"{value}, and {free / 2**30:.1f} GiB are free")
