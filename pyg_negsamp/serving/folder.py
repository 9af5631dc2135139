"""A model's folder: whole or not there, and every bit of it checked.

    tensors.safetensors   tables of vectors or tensors of a reference; the encoder's state
    users.parquet         outside ids, in the order of the tables
    items.parquet         and the category of each item, if there are any
    links.parquet         user and item positions, part, how often trained on
    model.yaml            all else, and the checksums of the other files; its own is its last line

Reading it runs no code: safetensors and parquet hold plain numbers and text, and YAML is read by
its safe loader.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import safetensors.torch
import yaml
from filelock import FileLock
from safetensors import SafetensorError
from torch import Tensor

from pyg_negsamp.files import whole, writing

TENSORS, RECORD = "tensors.safetensors", "model.yaml"
FRAMES = ("users", "items", "links")
FILES = (TENSORS, *(f"{name}.parquet" for name in FRAMES), RECORD)
#: Version of this layout. A newer one is refused.
FORMAT = 1
LAST_LINE = b"sha256: "
Contents: TypeAlias = tuple[dict[str, Tensor], dict[str, pd.DataFrame], dict[str, Any]]
AGAIN = "copy or save the model anew"


def write_folder(
    path: Path, tensors: dict[str, Tensor], frames: dict[str, pd.DataFrame], record: dict[str, Any]
) -> None:
    """Writes a model: whole, or not at all.

    The files go to a sibling, `.NAME.new`, and reach the disk before it is renamed. An earlier
    model at `path` is set aside as `.NAME.old` until then; whenever the process is killed,
    :func:`read_folder` finds one of the two. One process writes at a time, who has `.NAME.lock`.

    Args:
        path: Folder to make, or of an earlier model.
        tensors: By name.
        frames: Those named in `FRAMES`.
        record: Plain values.

    Raises:
        ValueError: If `path` holds something else than a model.
        OSError: If it cannot be written, naming `path`.
    """
    path = path.expanduser().resolve()
    check_replaceable(path)
    old = aside(path, "old")
    with writing(path, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(aside(path, "lock")):
            _restore(old, path)  # a save was killed between its two renames
            shutil.rmtree(old, ignore_errors=True)
            try:
                with whole(path, aside(path, "new")) as new:
                    new.mkdir()
                    _fill(new, tensors, frames, record)
                    if path.exists():
                        path.replace(old)
            finally:
                _restore(old, path)
            shutil.rmtree(old, ignore_errors=True)


def _restore(old: Path, path: Path) -> None:
    """Gives a model that was set aside its name back, unless another one has it."""
    if old.exists() and not path.exists():
        old.replace(path)


def check_replaceable(path: Path) -> None:
    """Refuses a path that holds something else than a model, or nothing."""
    inside, before = _inside(path), None
    while inside != before:  # looks again, as another process may be replacing a model
        if not inside or (RECORD in inside and inside <= set(FILES)):
            return
        inside, before = _inside(path), inside
    foreign = sorted(inside - set(FILES))[:3] or sorted(inside)[:3]
    raise ValueError(
        f"TrainedModel: {path} holds something else than a saved model ({', '.join(foreign)}): "
        "choose another folder"
    )


def _inside(path: Path) -> set[str]:
    """The names in a folder, none if there is no such folder; the path itself if it is a file."""
    try:
        return {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        return {str(path)}


def aside(path: Path, what: str) -> Path:
    """The sibling of a folder that is being written, or that is being replaced."""
    return path.with_name(f".{path.name}.{what}")


def _fill(
    folder: Path,
    tensors: dict[str, Tensor],
    frames: dict[str, pd.DataFrame],
    record: dict[str, Any],
) -> None:
    """Writes all files, the record last."""
    safetensors.torch.save_file(
        {name: x.detach().cpu().contiguous() for name, x in tensors.items()}, folder / TENSORS
    )
    for name in FRAMES:
        frames[name].to_parquet(folder / f"{name}.parquet", index=False)
    sums = {name: _digest(folder / name) for name in FILES[:-1]}
    whole = {"format": FORMAT, **record, "checksums": sums}
    text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True).encode()
    (folder / RECORD).write_bytes(text + _last_line(text))
    shutil.copymode(folder / RECORD, folder / TENSORS)  # which its library makes for us alone


def read_folder(path: Path) -> Contents:
    """Reads what :func:`write_folder` wrote; again, if it was replaced meanwhile.

    Args:
        path: The folder, or one that has it as `model/`.

    Returns:
        Tensors, frames and record.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is missing or has changed, in one line that names it.
    """
    while True:
        before = _edition(path)
        try:
            contents = _read(find_folder(path))
        except (ValueError, OSError):
            if _edition(path) == before:
                raise
        else:
            if _edition(path) == before:
                return contents


def _edition(path: Path) -> tuple[Path, int, int] | None:
    """What differs between a model and the one that replaces it; `None` if there is none."""
    try:
        folder = find_folder(path)
        state = (folder / RECORD).stat()
    except OSError:
        return None
    return folder, state.st_ino, state.st_mtime_ns


def _read(folder: Path) -> Contents:
    """The files of a folder, if they are as they were saved."""
    record = _read_record(folder / RECORD)
    for name, expected in record["checksums"].items():
        file = folder / name
        if not file.is_file():
            raise ValueError(f"TrainedModel: {file} is missing: {AGAIN}")
        if _digest(file) != expected:
            raise ValueError(f"TrainedModel: {file} has changed since it was saved: {AGAIN}")
    try:
        tensors = safetensors.torch.load_file(folder / TENSORS)
        frames = {
            name: pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pandas()
            for name in FRAMES
        }
    except (SafetensorError, pyarrow.ArrowException, OSError, RuntimeError) as error:
        raise ValueError(f"TrainedModel: {folder} cannot be read: {AGAIN} ({error})") from error
    return tensors, frames, record


def find_folder(path: Path) -> Path:
    """The folder of a model, given it or the folder of a run; also after a killed save.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = path.expanduser()
    if (path / "model").is_dir() or aside(path / "model", "old").is_dir():
        path = path / "model"
    if path.is_dir():
        return path
    old = aside(path.resolve(), "old")
    if old.is_dir():
        return old
    what = "is a file, not the folder of a run or of a saved model"
    raise FileNotFoundError(f"no saved model: {path} {what if path.exists() else 'does not exist'}")


def _read_record(file: Path) -> dict[str, Any]:
    """The record, once its last line is seen to be right."""
    if not file.is_file():
        raise ValueError(f"TrainedModel: {file} is missing: {file.parent} is no saved model")
    data = file.read_bytes()
    text = data[: len(data) - len(_last_line(b""))]
    if data[len(text) :] != _last_line(text):
        raise ValueError(f"TrainedModel: {file} has changed since it was saved: {AGAIN}")
    try:
        record = yaml.safe_load(text)
        if not isinstance(record["format"], int) or record["format"] < 1:
            raise KeyError("format")
        if record["format"] > FORMAT:
            raise ValueError(
                f"TrainedModel: {file} was written by a newer pyg_negsamp "
                f"({record['library']}): upgrade the library"
            )
        if {*record["checksums"].keys()} != {*FILES[:-1]}:
            raise KeyError("checksums")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"TrainedModel: {file} is no record of a model: {AGAIN}") from error
    return record


def _last_line(text: bytes) -> bytes:
    return LAST_LINE + hashlib.sha256(text).hexdigest().encode() + b"\n"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
