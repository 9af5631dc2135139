"""Downloads against a server of our own that misbehaves on request."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pyg_negsamp.datasets.download import DownloadError, _with_progress, download

BODY = b"0 1 2\n1 3\n" * 20_000


class Handler(BaseHTTPRequestHandler):
    """Serves `BODY`; `/missing` is not there, `/short` stops half-way, `/silent` hangs."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/silent":
            self.server.closing.wait(10)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path == "/short" else BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.closing = threading.Event()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.closing.set()
        server.shutdown()


def reject(path: Path) -> None:
    assert path.read_bytes() == BODY  # the check sees the whole file
    raise ValueError("wrong digest")


@pytest.mark.parametrize("page", ["ok", "unsized"])
def test_whole_file_arrives(server: str, tmp_path: Path, page: str) -> None:
    path = tmp_path / "new" / "folder" / "train.txt"
    download(f"{server}/{page}", path)
    assert path.read_bytes() == BODY
    assert os.listdir(path.parent) == ["train.txt"]


@pytest.mark.parametrize(
    ("page", "check", "reason"),
    [
        ("missing", None, "HTTP 404"),
        ("short", None, f"got {len(BODY) // 2} of {len(BODY)} bytes"),
        ("silent", None, "timed out"),
        ("ok", reject, "wrong digest"),
    ],
)
def test_failure_is_clear_and_leaves_nothing(
    server: str, tmp_path: Path, page: str, check: object, reason: str
) -> None:
    path = tmp_path / "data" / "train.txt"
    with pytest.raises(DownloadError, match=reason) as caught:
        download(f"{server}/{page}", path, check, timeout=0.5)
    assert caught.value.url == f"{server}/{page}"
    assert str(path) in str(caught.value)  # the way out
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    download(f"{server}/ok", path)
    assert path.read_bytes() == BODY


def test_failure_keeps_the_file_that_was_there(server: str, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("old")
    with pytest.raises(DownloadError):
        download(f"{server}/short", path)
    assert path.read_text() == "old"


def test_no_connection(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/train.txt"
        with pytest.raises(DownloadError, match="refused"):
            download(url, tmp_path / "data" / "train.txt")
    assert os.listdir(tmp_path) == []  # not even the folder


def test_no_place_to_write(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="file"):
        download(f"{server}/ok", tmp_path / "file" / "train.txt")


def test_interrupt_leaves_nothing(server: str, tmp_path: Path) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "data" / "train.txt"
    with pytest.raises(KeyboardInterrupt):
        download(f"{server}/ok", path, interrupt)
    assert os.listdir(path.parent) == []


def test_progress_is_short_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("time.monotonic", partial(next, seconds))
    chunks = [b"x" * 100_000] * 30
    assert list(_with_progress(iter(chunks), "train.txt", 3_000_000)) == chunks
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 15
    assert re.fullmatch(r"train\.txt: \d\.\d of 3\.0 MB", lines[0])
    assert lines[-1] == "train.txt: downloaded 3.0 MB"
