"""Is there memory for it? Asked before anything is allocated."""

from __future__ import annotations

import psutil

from pyg_negsamp.errors import invalid


def shortage(needed: int) -> tuple[str, str] | None:
    """How much is needed and how much is free, such as `('3.5 GiB', '2.1 GiB')`; `None` if it fits.

    Args:
        needed: Bytes.
    """
    free = psutil.virtual_memory().available
    if needed <= free:
        return None
    return f"{needed / 2**30:,.1f} GiB", f"{free / 2**30:,.1f} GiB"


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
    if (short := shortage(needed)) is not None:
        expected = f"such that it fits into memory: it takes {short[0]}"
        raise invalid(owner, argument, expected, f"{value}, and {short[1]} are free")
