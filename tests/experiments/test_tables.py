"""The three written forms of a table."""

from __future__ import annotations

import csv
import io
import re

import pytest

from pyg_negsamp.experiments.significance import Summary
from pyg_negsamp.experiments.tables import escaped, format_p, to_csv, to_latex, to_markdown

METRICS = ["validation NDCG@5", "Recall@5", "NDCG@5"]


def row(name: str, value: float, **more: object) -> Summary:
    return Summary(name, 2, {}, dict.fromkeys(METRICS, value), **more)  # type: ignore[arg-type]


@pytest.fixture
def rows() -> list[Summary]:
    return [
        row("plain_50%", 0.2, role="compared with", std={"NDCG@5": 0.01}, seconds=7.4),
        row("a|b", 0.4, p=0.0004, interval={"NDCG@5": (0.35, 0.45)}),
        row("c", 0.3, p=0.02, note="k=50"),
        Summary("empty", 0, {}),
    ]


def test_markdown(rows: list[Summary]) -> None:
    lines = to_markdown(rows, METRICS).splitlines()
    assert lines[0] == (
        "| method | validation NDCG@5 | Recall@5 | NDCG@5 | 95 % interval | p | seeds | s per run |"
    )
    assert lines[2] == "| plain_50% | 20.00 | 20.00 | 20.00 ± 1.00 |  | compared with | 2 | 7 |"
    assert lines[3] == (
        r"| a\|b | **40.00** | **40.00** | **40.00** | 35.00 to 45.00 | < 0.001 | 2 |  |"
    )
    assert lines[5] == "| empty |  |  |  |  |  |  |  |"
    assert "against plain_50%, with Holm's correction over the rows." in lines[-1]
    assert "c: k=50, chosen from its grid" in lines[-1]


def test_printed_numbers_stand_beside_ours() -> None:
    both = Summary("x", 1, {"NDCG@5": 0.5, "MRR@5": 0.1}, {"NDCG@5": 0.55})
    text = to_markdown([both, row("y", 0.3)], ["NDCG@5"])
    assert "| method | NDCG@5 | printed | diff | p |" in text
    assert "| x | **55.00** | 50.00 | +10.0% |" in text
    assert "| y | 30.00 |  |  |" in text


def test_of_rates_the_lowest_is_best() -> None:
    metrics = ["false-negative rate", "NDCG@5"]
    rows = [
        Summary(name, 1, {}, mean=dict(zip(metrics, values, strict=True)))
        for name, values in (("a", (0.2, 0.4)), ("b", (0.1, 0.3)))
    ]
    said = to_markdown(rows, metrics)
    assert "| a | 20.00 | **40.00** |" in said
    assert "| b | **10.00** | 30.00 |" in said
    latex = to_latex(rows, metrics, "x")
    assert r"a & \underline{20.00} & \textbf{40.00} \\" in latex


def test_latex(rows: list[Summary]) -> None:
    text = to_latex(rows, METRICS, "sales & co")
    assert r"\caption{sales \& co, in percent.}" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    lines = [line for line in body if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(METRICS)}
    assert r"plain\_50\% & 20.00 & 20.00 & 20.00 $\pm$ 1.00 \\" in lines
    # Best bold, second underlined; marks beside the metric that is tested.
    assert r"a|b & \textbf{40.00} & \textbf{40.00} & \textbf{40.00}$^{***}$ \\" in lines
    third = r"c & \underline{30.00} & \underline{30.00} & \underline{30.00}$^{*}$ \\"
    assert third in lines
    assert r"empty &  &  &  \\" in lines
    note = text[text.index(r"\footnotesize") :]
    assert r"against plain\_50\%" in note
    assert "$^{*}$ $p < 0.05$, $^{**}$ $p < 0.01$, $^{***}$ $p < 0.001$" in note
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_shows_names_as_they_are() -> None:
    assert escaped(r"a\b {x}~^") == r"a\textbackslash{}b \{x\}\textasciitilde{}\textasciicircum{}"
    assert escaped("DNS(M,N) #1 $5 <2>") == r"DNS(M,N) \#1 \$5 \textless{}2\textgreater{}"


def test_csv_holds_fractions(rows: list[Summary]) -> None:
    found = list(csv.DictReader(io.StringIO(to_csv({"clean": rows}, {"clean": METRICS}))))
    assert len(found) == 4 * 3
    assert list(found[0])[:9] == [
        "protocol", "method", "metric", "mean", "std", "printed", "p", "seeds", "seconds",
    ]  # fmt: skip
    assert (found[5]["mean"], found[5]["low"], found[5]["high"]) == ("0.4", "0.35", "0.45")
    assert found[-1]["mean"] == found[-1]["low"] == ""


def test_p_values_are_short() -> None:
    assert (format_p(0.0009), format_p(0.2)) == ("< 0.001", "0.200")
