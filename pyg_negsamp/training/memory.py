"""Keeping freed memory at hand, instead of returning it to the system at every step."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: `mallopt` parameters of the GNU C library.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Where the GNU C library's own thresholds end up, on 64 bits, once large blocks were freed.
OWN_MMAP_THRESHOLD, OWN_TRIM_THRESHOLD = 32 * 2**20, 64 * 2**20

_lock, _inside = threading.Lock(), 0


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Lets the C library reuse large blocks inside the `with`, up to 1 GiB each.

    A temporary of more than 32 MiB is otherwise mapped anew each time, and every page of it costs
    a fault when it is first written: four times the time of the arithmetic on it. Concerns the
    whole process, and CPU memory only. Peak memory stays what it was.

    At the end, memory that nobody uses goes back to the system (`malloc_trim(0)`), and the
    thresholds get new values. The GNU C library starts with small thresholds and raises them
    while a program frees large blocks, but only until somebody sets one; nothing can turn that
    growth on again, and nothing tells what the thresholds were. So they get the values at which
    the growth ends: 32 MiB for blocks that are mapped on their own, 64 MiB of free memory at the
    end of the heap. A program that had set thresholds of its own has to set them again.

    Contexts may be nested, or open in several threads: the last one to end puts back.

    Yields:
        Whether there was something to tell: only the GNU C library understands.
    """
    global _inside
    with _lock:
        library = _c_library()
        # Older versions (before 2.35) refuse more than 32 MiB, and are then left alone.
        kept = library is not None and bool(library.mallopt(M_MMAP_THRESHOLD, 2**30))
        if library is not None and kept:
            library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        _inside += 1
    try:
        yield kept
    finally:
        with _lock:
            _inside -= 1
            if library is not None and kept and not _inside:
                library.mallopt(M_MMAP_THRESHOLD, OWN_MMAP_THRESHOLD)
                library.mallopt(M_TRIM_THRESHOLD, OWN_TRIM_THRESHOLD)
                library.malloc_trim(ctypes.c_size_t(0))


def _c_library() -> ctypes.CDLL | None:
    """The GNU C library, if the process runs with it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
