"""A small table as a paper's YAML would be, for tests of what reads and fills tables."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = """
paper: ahns
table: 2
dataset: tiny
encoder: mf
protocol: [clean, paper]
flags: {epochs: 3, dim: 8, lr: 0.01, top-k: [5, 10], device: cpu}
source: made up
rows:
  - {method: popularity, encoder: popularity, flags: {}, source: none}
  - {method: RNS, flags: {neg: rns}, source: none, printed: {Recall@5: 0.1, NDCG@5: 0.1}}
  - {method: DNS, flags: {neg: dns, num-candidates: 4}, source: none, printed: {Recall@5: 0.2}}
  - {method: ours, proposed: true, flags: {neg: dins}, source: none}
"""


def result(out: Path, cell: str) -> dict[str, Any]:
    """What a cell of a table found, such as `'dns-clean-0'`."""
    (folder,) = (out / "cells").glob(f"{cell}-*")
    return json.loads((folder / "metrics.json").read_text())


def numbers(out: Path) -> list[list[str]]:
    """A table but for its seconds."""
    rows = list(csv.DictReader((out / "table.csv").open()))
    return [[value for name, value in row.items() if "seconds" not in name] for row in rows]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Waits for something, and says what it was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError
