"""Files and folders that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from full_disks import full_disk

from pyg_negsamp.files import taken, whole, write, writing

pytestmark = pytest.mark.usefixtures("a_disk_that_is_waited_for")


def fill(part: Path, folder: bool, text: str, error: type[BaseException] | None = None) -> None:
    if folder:
        part.mkdir()
        part /= "inside"
    part.write_text(text)
    if error:
        raise error


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_what_is_written_is_whole_or_not_there(tmp_path: Path, folder: bool, named: bool) -> None:
    path, part = tmp_path / "deep" / "down", tmp_path / "deep" / "part" if named else None
    if part:
        part.mkdir(parents=True)  # what somebody left who was killed
        (part / "rest").touch()
    for error in (OSError, KeyboardInterrupt):
        with pytest.raises(error), whole(path, part) as made:
            fill(made, folder, "half", error)
        assert list(path.parent.iterdir()) == []
    with whole(path, part) as made:
        assert made.parent == path.parent
        fill(made, folder, "all")
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]
    assert (path / "inside" if folder else path).read_text() == "all"


def test_an_earlier_file_is_replaced_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write(tmp_path / "link", "later")
    assert (tmp_path / "file").read_text() == "later"
    assert (tmp_path / "link").is_symlink()
    with whole(tmp_path / "file") as first, whole(tmp_path / "file") as second:
        assert first != second  # of two writers
        first.touch()
        second.touch()


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """Such as /dev/null, which root could replace."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="neither a file nor a folder"):
        write(tmp_path / "pipe", "text")
    assert (tmp_path / "pipe").is_fifo()


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, "earlier")
    with full_disk(), pytest.raises(OSError, match=r"file cannot be written: ") as error:  # noqa: SIM117
        with writing(path, RuntimeError), whole(path) as part:
            torch.save(torch.zeros(9999), part)
    assert "\n" not in str(error.value)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(PermissionError, match=r"file cannot be written"), writing(path):
        raise PermissionError(13, "no")


def test_a_folder_is_taken_once(tmp_path: Path) -> None:
    with taken(tmp_path / "run") as first, taken(tmp_path / "run") as second:
        assert (first, second) == (True, False)
    with taken(tmp_path / "run") as again:
        assert again
