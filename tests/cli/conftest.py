"""Fixtures of the tests of commands."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of commands make no pages, which take a second each and have tests of their own."""
    from pyg_negsamp.experiments import report

    monkeypatch.setattr(report, "write_report", lambda folders: folders[0] / "report.html")
