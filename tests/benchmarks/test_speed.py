"""The speed harness runs, and its numbers add up; how large they are is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--device", "cpu", *flags]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    file = tmp_path_factory.mktemp("speed") / "speed.json"
    done = run("--dataset", "tiny", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_writes_what_it_prints(quick: tuple[str, dict]) -> None:
    said, result = quick
    assert {row["stage"] for row in result["rows"]} == {"draw", "propagate", "step", "evaluate"}
    for row in result["rows"]:
        assert row["ms"] > 0
        assert f"{row['stage']:<10} {row['name']:<44} {row['ms']:>10.2f} ms" in said
    assert result["machine"]["copy_GB_per_s"] > 0


def test_ratios_are_those_of_the_rows(quick: tuple[str, dict]) -> None:
    _, result = quick
    ms = {row["name"]: row["ms"] for row in result["rows"]}
    ratios = {name: value for name, (value, _, _) in result["ratios"].items()}
    product = ms["CSR product"]
    for model in ("RNS", "DNS-32", "DINS-64"):
        value = ms[f"LightGCN-3 + {model}"] / product
        assert ratios[f"LightGCN-3 + {model}, in CSR products"] == pytest.approx(value)
    whole, bare = ms["rank and all metrics, k = 20 and 50"], ms["bare product of the same size"]
    assert ratios["evaluation, in bare products"] == pytest.approx(whole / bare)


def test_check_fails_where_a_ratio_is_missed() -> None:
    # On a graph this small a step is all overhead, which no number of tiny products covers.
    done = run("--dataset", "tiny", "--quick", "--stages", "propagate", "step", "--check")
    assert "MISSED" in done.stdout
    assert done.returncode == 1


def test_parts_and_memory_of_a_step() -> None:
    done = run("--dataset", "tiny", "--stages", "parts", "memory", "--repeats", "2")
    assert done.returncode == 0, done.stderr
    for part in ("draw", "propagate", "score and select", "gather", "backward", "optimiser"):
        assert f"parts      {part}" in done.stdout
    assert "MB" in done.stdout


def test_refuses_in_one_line() -> None:
    done = run("--dataset", "nothing")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_help_explains(tmp_path: Path) -> None:
    done = run("--help")
    for flag in ("--dataset", "--root", "--stages", "--json", "--plot", "--quick", "--check"):
        assert flag in done.stdout
