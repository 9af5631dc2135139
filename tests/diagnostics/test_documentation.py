"""The examples of docs/diagnostics.md run, one after another."""

from __future__ import annotations

import re
from typing import Any

from conftest import ROOT


def test_the_examples_run() -> None:
    text = (ROOT / "docs" / "diagnostics.md").read_text()
    said: dict[str, Any] = {}
    for example in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(example, "docs/diagnostics.md", "exec"), said)
    assert said["points"].keys() == said["factors"].keys()
