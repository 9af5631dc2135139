"""The measurement of ranks runs; how long a step takes is not tested."""

from __future__ import annotations

import re

import pytest

import ranks


def test_it_says_what_a_step_takes(capsys: pytest.CaptureFixture[str]) -> None:
    ranks.main(["--dataset", "tiny", "--steps", "4"])
    assert re.match(r"1 of one thread: a step [\d.]+ ms at least", capsys.readouterr().out)
