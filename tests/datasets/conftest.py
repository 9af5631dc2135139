"""Fixtures of the dataset tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no test sees the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PYG_NEGSAMP_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def square() -> Callable[..., pd.DataFrame]:
    """Makes logs in which every user has every item."""

    def make(users: int = 4, items: int = 6) -> pd.DataFrame:
        """Shuffled rows; weight, rating and time tell which is which."""
        rows = [
            {"user": f"u{u}", "item": 10 * i, "w": 1 + u + i / 8, "stars": u, "at": 100 * i + u}
            for u in range(users)
            for i in range(items)
        ]
        return pd.DataFrame(rows).sample(frac=1, random_state=0)

    return make
