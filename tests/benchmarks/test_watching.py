"""The measurement of looks runs; how long they take is not tested."""

from __future__ import annotations

import re

import pytest

import watching


def test_it_says_what_a_look_costs(capsys: pytest.CaptureFixture[str]) -> None:
    watching.main(["--dataset", "tiny", "--epochs", "1"])
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["default", "all"]
    assert all(re.search(r"a look \d+ ms of CPU time, .* one in 10 epochs", line) for line in said)
