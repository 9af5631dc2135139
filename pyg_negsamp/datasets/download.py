"""Downloads that are whole or not there."""

from __future__ import annotations

import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from pyg_negsamp.files import whole

CHUNK = 1 << 16  # bytes
LINE_EVERY = 2.0  # seconds between progress lines where there is no terminal


class DownloadError(RuntimeError):
    """A file could not be downloaded whole; nothing of it was left behind.

    Attributes:
        url: What was asked for.
        reason: What went wrong.
        path: Where it would have been.
    """

    def __init__(self, url: str, reason: object, path: Path) -> None:
        self.url, self.reason, self.path = url, str(reason), path
        super().__init__(
            f"cannot download {url}: {reason}. Try again later, or put the file at '{path}' "
            "yourself and it will be used from there"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """It comes whole from another process."""
        return type(self), (self.url, self.reason, self.path)


def download(
    url: str, path: Path, check: Callable[[Path], object] | None = None, timeout: float = 30.0
) -> None:
    """Downloads `url` to `path`, which appears only once it is complete and checked.

    Args:
        url: Address of the file.
        path: Where to put it; folders are made.
        check: Called with the temporary file before it gets its name; `ValueError` rejects it.
        timeout: Seconds without any answer after which to give up.

    Raises:
        DownloadError: If there is no connection, no such file, not the whole file, not the
            right file, or no place to write it.
    """
    try:
        # Folders are made only once there is an answer.
        with urllib.request.urlopen(url, timeout=timeout) as response, whole(path) as part:
            with part.open("wb") as file:
                _copy(response, file, path.name)
            if check is not None:
                check(part)
    except urllib.error.HTTPError as error:
        raise DownloadError(url, f"HTTP {error.code} {error.reason}", path) from error
    except urllib.error.URLError as error:
        raise DownloadError(url, error.reason, path) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(url, error, path) from error


def _copy(response: http.client.HTTPResponse, file: BinaryIO, name: str) -> None:
    length = response.headers.get("Content-Length")
    total = None if length is None else int(length)
    received = 0
    for chunk in _with_progress(iter(lambda: response.read(CHUNK), b""), name, total):
        file.write(chunk)
        received += len(chunk)
    if total is not None and received != total:
        raise OSError(f"got {received} of {total} bytes")


def _with_progress(chunks: Iterator[bytes], name: str, total: int | None) -> Iterator[bytes]:
    """Passes chunks on, with a bar on a terminal and a line now and then elsewhere."""
    terminal = bool(sys.stderr and sys.stderr.isatty())
    bar = tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=not terminal)
    received, last = 0, time.monotonic()
    with bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))
            received += len(chunk)
            if not terminal and time.monotonic() - last > LINE_EVERY:
                last = time.monotonic()
                of_total = "" if total is None else f" of {total / 1e6:.1f}"
                print(f"{name}: {received / 1e6:.1f}{of_total} MB", file=sys.stderr, flush=True)
    if not terminal:
        print(f"{name}: downloaded {received / 1e6:.1f} MB", file=sys.stderr, flush=True)
