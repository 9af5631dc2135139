"""The speed harness runs, and its numbers add up; how large they are is not tested."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

import speed
from bench import Bench, Row

CPU = ["--device", "cpu"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    file = tmp_path_factory.mktemp("speed") / "speed.json"
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        with pytest.raises(SystemExit) as stopped:
            speed.main([*CPU, "--dataset", "tiny", "--quick", "--check", "--json", str(file)])
    assert stopped.value.code == 1  # see the test of ratios that are missed
    return "\n".join(said), json.loads(file.read_text())


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


def test_check_fails_where_a_ratio_is_missed(quick: tuple[str, dict]) -> None:
    # On a graph this small a step is all overhead, which no number of tiny products covers.
    said, result = quick
    missed = [
        name
        for name, (value, sign, bound) in result["ratios"].items()
        if (value > bound if sign == "<=" else value < bound)
    ]
    assert missed
    assert missed == [line.split("  ")[0] for line in said.splitlines() if line.endswith("MISSED")]


@pytest.mark.usefixtures("forked_workers")
def test_parts_and_memory_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    speed.main([*CPU, "--dataset", "tiny", "--stages", "parts", "memory", "--repeats", "1"])
    said = capsys.readouterr().out
    for part in ("draw", "propagate", "score and select", "gather", "backward", "optimiser"):
        assert f"parts      {part}" in said
    assert "MB at most" in said


@pytest.mark.parametrize(
    "flags",
    [
        ["--dataset", "nothing"],
        ["--dataset", "tiny", "--stages", "nothing"],
        ["--dataset", "tiny", "--repeats", "0"],
        ["--dataset", "tiny", "--plot", "plots"],
        ["--dataset", "tiny", "--json", __file__ + "/speed.json"],
    ],
)
def test_refuses_in_one_line(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped, contextlib.chdir(tmp_path):
        speed.main([*CPU, *flags])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_plots_growth(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    bench = Bench("cpu", 1)
    for links, candidates, ms in ((9, 32, 1.0), (9, 8, 0.5), (9, 64, 2.0), (20, 32, 3.0)):
        name = f"links={links} M={candidates} D=64 L=3"
        bench.rows.append(Row("growth", name, ms, peak_mb=100 * ms))
    speed.plot(bench, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        f"growth-{what}.png" for what in ("links", "M", "D", "L")
    }
