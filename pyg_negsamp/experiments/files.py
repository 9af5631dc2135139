"""Files that are whole or not there, and folders that one process has at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def write(path: Path, text: str) -> None:
    """Writes a whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")  # several processes may write it
    temporary.write_text(text)
    temporary.replace(path)


@contextmanager
def taken(folder: Path) -> Iterator[bool]:
    """Whether a folder is ours meanwhile; a process that was killed keeps none."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
