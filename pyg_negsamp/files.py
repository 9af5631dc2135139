"""Files and folders that are whole or not there, and folders that one process has at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout


@contextmanager
def whole(path: Path, part: Path | None = None) -> Iterator[Path]:
    """A sibling to write to, as a file or as a folder, which takes the place of `path` at the end.

    It reaches the disk before that. If anything goes wrong, `path` is as it was, and nothing is
    left of the sibling, unless the process is killed.

    Args:
        path: What to write, where a folder must be new or empty. Its parents are made.
        part: The sibling, of a writer who is alone. What a killed one left there is removed.
            Default: one that nobody else has.
    """
    path = path.resolve()
    if path.exists() and not (path.is_file() or path.is_dir()):  # a device: it would be lost
        raise FileExistsError(f"{path} is neither a file nor a folder: choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part or path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    _remove(part)
    try:
        yield part
        for made in (*part.rglob("*"), part):
            _to_disk(made)
        part.replace(path)
        with suppress(OSError):  # it is there; some file systems cannot say that its name is
            _to_disk(path.parent)
    finally:
        _remove(part)


def write(path: Path, text: str) -> None:
    """Writes a whole file or none."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def writing(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Has a failure to write say in one line what could not be written.

    Args:
        path: What is written.
        errors: What libraries raise in place of an `OSError`, such as where a disk is full.

    Raises:
        OSError: Of the same kind, naming `path`.
    """
    failures: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except failures as error:
        # Torch raises an error of its own while it handles that of the disk.
        first = error.__context__ if isinstance(error.__context__, OSError) else error
        why = getattr(first, "strerror", None) or str(first)
        said = f"{path} cannot be written: {' '.join(why.split())}"
        number = getattr(first, "errno", None)
        raise (OSError(said) if number is None else OSError(number, said)) from error


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


def _remove(part: Path) -> None:
    """Removes a file or folder, if it is there."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Waits until the system has written a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
