"""Times as people write them."""

from __future__ import annotations

import re

#: How they are written, for messages.
WRITTEN = "a time like 90s, 20m, 1.5h or 01:12:00:00 (days, hours, minutes, seconds)"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """The seconds of a time such as `'90s'`, `'20m'`, `'1.5h'`, `'2d'` or `'01:12:00:00'`.

    Raises:
        ValueError: If it is no such time.
    """
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text, re.ASCII):
        return float(found[1]) * SECONDS[found[2]]
    if re.fullmatch(r"\d+(:\d+){3}", text, re.ASCII):
        days, hours, minutes, seconds = map(int, text.split(":"))
        return float(seconds + 60 * (minutes + 60 * (hours + 24 * days)))
    raise ValueError(f"expected {WRITTEN}, got '{text}'")
