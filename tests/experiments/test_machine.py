"""How much memory a run took, and of what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pyg_negsamp.experiments.machine import Peak


def test_memory_is_that_of_a_gpu_where_this_run_used_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run has left there is not what a ranking on the CPU took."""
    stats = {"allocation.all.allocated": 7}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 9_000_000)
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda: stats)
    peak = Peak()
    assert peak.mb() > 50, "that of the process"
    stats["allocation.all.allocated"] += 1
    assert peak.mb() == 9


def test_memory_is_in_bytes_where_linux_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Peak().mb()

    def nothing(self: Path) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", nothing)
    assert Peak().mb() == pytest.approx(told, rel=0.5)
