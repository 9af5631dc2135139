"""Files as they lie on disk: compressed or not, in one encoding or another."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zipfile
import zlib
from pathlib import Path

from pyg_negsamp.datasets.log import OWNER
from pyg_negsamp.errors import invalid

UNPACK = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
BROKEN = (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
MARKS = {  # UTF-32 first, because the mark of UTF-16 is its beginning
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def inner_suffix(path: Path) -> str:
    """How a name ends without compression, in small letters: `.csv` for `PAIRS.CSV.GZ`."""
    name = path.name
    if path.suffix.lower() == ".zip":
        with _open_zip(path) as archive:
            name = _only_member(archive, path)
    elif path.suffix.lower() in UNPACK:
        name = path.stem
    return Path(name).suffix.lower()


def read_bytes(path: Path) -> bytes:
    """Content of a file, decompressed if its name ends in .gz, .bz2, .xz or .zip.

    Raises:
        ValueError: If the file cannot be decompressed, or an archive holds several files.
    """
    try:
        if path.suffix.lower() == ".zip":
            with _open_zip(path) as archive:
                return archive.read(_only_member(archive, path))
        return UNPACK.get(path.suffix.lower(), bytes)(path.read_bytes())
    except BROKEN as error:
        if path.suffix.lower() not in (*UNPACK, ".zip"):
            raise
        expected = f"a file that can be decompressed as {path.suffix}"
        raise invalid(OWNER, str(path), expected, error) from error


def read_text(path: Path, encoding: str | None = None) -> bytes:
    """Text of a file as UTF-8, without byte order marks.

    Args:
        path: The file, compressed or not.
        encoding: Encoding of the file. Default: UTF-8, or UTF-16 or UTF-32 if the file starts
            with the mark of one.

    Raises:
        ValueError: If the file has another encoding, or a NUL byte; names the line.
    """
    raw = read_bytes(path)
    used = encoding or _by_mark(raw)
    if codecs.lookup(used).name not in ("utf-8", "utf-8-sig") or not raw.isascii():
        try:
            text = raw.decode(used)
        except UnicodeError as error:
            line = raw.count(b"\n", 0, getattr(error, "start", 0)) + 1
            expected = f"the encoding of '{path}', such as 'latin-1' or 'cp1252'"
            came = f"{encoding!r}, but line {line} is not {used}"
            raise invalid(OWNER, "encoding", expected, came) from error
        # Not only the first: `cat` leaves one where each file began.
        raw = re.sub("^\ufeff", "", text, flags=re.MULTILINE).encode()
    if (at := raw.find(b"\0")) >= 0:
        expected = "text without NUL bytes (for UTF-16, state encoding='utf-16')"
        raise invalid(OWNER, f"{path}, line {line_at(raw, at)}", expected, "a NUL byte")
    return raw


def read_head(path: Path, encoding: str | None, size: int) -> str:
    """The text at the beginning of a file, with `?` for what cannot be read."""
    if path.suffix.lower() in (*UNPACK, ".zip"):
        raw = read_bytes(path)[:size]
    else:
        with path.open("rb") as file:
            raw = file.read(size)
    return raw.decode(encoding or _by_mark(raw), errors="replace").removeprefix("\ufeff")


def line_at(text: bytes, at: int) -> int:
    """Number of the line, from one, that the byte at position `at` is in."""
    return text.count(b"\n", 0, at) + 1


def _by_mark(raw: bytes) -> str:
    """The encoding that the byte order mark says, UTF-8 without one."""
    return next((name for mark, name in MARKS.items() if raw.startswith(mark)), "utf-8")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise invalid(OWNER, str(path), "a zip archive", error) from error


def _only_member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    names = [name for name in names if not name.startswith("__MACOSX/")]  # no file of the user's
    if len(names) != 1:
        raise invalid(OWNER, str(path), "an archive of one file", names[:10])
    return names[0]
