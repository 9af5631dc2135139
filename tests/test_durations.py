"""Times as people write them."""

from __future__ import annotations

import pytest

from pyg_negsamp.durations import seconds_of

RIGHT = {
    "90s": 90,
    "0s": 0,
    "20m": 1200,
    "1.5h": 5400,
    "2d": 172800,
    "00:00:01:30": 90,
    "01:12:00:00": 129600,
}
WRONG = ("", "soon", "90", "-1s", "1.h", "1 h", "1:30", "90s\n", "1e3s")


@pytest.mark.parametrize(("text", "seconds"), RIGHT.items())
def test_are_understood(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", WRONG)
def test_or_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a time like 90s, 20m, 1\.5h or ") as said:
        seconds_of(text)
    assert str(said.value).endswith(f"got '{text}'")
