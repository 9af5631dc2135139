"""Adjacency text: one line per user, `user item item ...`, ids counted from zero."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyg_negsamp.datasets.log import OWNER, InteractionLog, require_links, split_column
from pyg_negsamp.datasets.sources import read_text
from pyg_negsamp.errors import invalid

MAX_DIGITS = 18  # the longest run of digits that surely fits int64


def read_adjacency(path: Path, encoding: str | None = None) -> tuple[Tensor, int]:
    """Reads lines `user item item ...` of zero-based ids, separated by blanks.

    Args:
        path: The text file, compressed or not. A user may have several lines, or a line
            without items.
        encoding: As `read_text` takes it.

    Returns:
        Links `[2, E]` int64 in file order, and the highest user id plus one.

    Raises:
        ValueError: If anything but whole numbers is found; names file and line.
    """
    text = read_text(path, encoding)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    char = np.frombuffer(text, dtype=np.uint8)
    digit = (char >= ord("0")) & (char <= ord("9"))
    newline = np.flatnonzero(char == ord("\n"))
    edge = np.flatnonzero(np.diff(digit, prepend=False, append=False))
    begin, end = edge[0::2], edge[1::2]

    unreadable = np.flatnonzero(~digit & ~np.isin(char, np.frombuffer(b" \t\n", np.uint8)))
    too_long = begin[end - begin > MAX_DIGITS]
    for at in (*unreadable[:1], *too_long[:1]):
        line = int(np.searchsorted(newline, at))
        content = text.split(b"\n", line + 1)[line].decode(errors="replace").strip()
        raise invalid(
            OWNER, f"{path}, line {line + 1}",
            "'user item item ...' with zero-based whole numbers", repr(content[:60]),
        )  # fmt: skip

    number = torch.from_numpy(np.fromstring(text, dtype=np.int64, sep=" "))
    line_of = torch.from_numpy(np.searchsorted(newline, begin))
    is_user = torch.ones(number.numel(), dtype=torch.bool)
    is_user[1:] = line_of[1:] != line_of[:-1]
    user = number[is_user]
    _check_no_table(path, user, torch.from_numpy(np.unique(line_of, return_counts=True)[1]))
    links = torch.stack([user[is_user.cumsum(0) - 1], number])[:, ~is_user]
    return links, int(user.max()) + 1 if user.numel() else 0


def _check_no_table(path: Path, user: Tensor, length: Tensor) -> None:
    """Refuses what seems to be a table: ratings and times would be items.

    Args:
        path: The text file.
        user: `[N]` what each line begins with.
        length: `[N]` how many numbers it has.
    """
    width = int(length[0]) if len(length) else 0
    several_lines_each = 2 * len(user.unique()) <= len(user)
    if width in (3, 4) and several_lines_each and bool((length == width).all()):
        expected = (
            "'user item item ...', or, as a table, read by its columns (--user-column 0 "
            "--item-column 1; --rating-column 2, if it is one)"
        )
        got = f"{width} numbers in every line, and users with many lines"
        raise invalid(OWNER, str(path), expected, got)


def read_adjacency_log(parts: Mapping[int, Path], encoding: str | None = None) -> InteractionLog:
    """Reads adjacency files as one log.

    Args:
        parts: File of each part: 0 train, 1 validation, 2 test. A single file is a log that
            has not been split.
        encoding: As `read_text` takes it.

    Raises:
        ValueError: If a line is unreadable or there are no links at all.
    """
    read = {part: read_adjacency(path, encoding) for part, path in parts.items()}
    links = torch.cat([links for links, _ in read.values()], dim=1)
    require_links(links.size(1), parts.values())
    return InteractionLog(
        user=links[0],
        item=links[1],
        num_users=max(num_users for _, num_users in read.values()),
        num_items=int(links[1].max()) + 1,
        split=split_column({part: links.size(1) for part, (links, _) in read.items()}),
    )
