"""The example of a user's own sampler: it runs, and its sampler keeps the contract."""

from __future__ import annotations

import pytest

from custom_sampler import TestMedianHardness, main

__all__ = ["TestMedianHardness"]  # collected here, with all that it inherits


def test_runs(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    said = capsys.readouterr().out
    for name in ("MedianHardness", "Compose"):
        line = next(line for line in said.splitlines() if line.startswith(f"{name}:"))
        assert float(line.split()[-1]) > 0.2
