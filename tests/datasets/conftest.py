"""Fixtures of the dataset tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no test sees the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PYG_NEGSAMP_CACHE", str(folder))
    return folder
