"""The three written forms of a table."""

from __future__ import annotations

import csv
import io
import re

import pytest

from pyg_negsamp.experiments.filling import time_left
from pyg_negsamp.experiments.significance import PairedTest, Summary
from pyg_negsamp.experiments.tables import escaped, format_p, grid_of, to_csv, to_latex, to_markdown

METRICS = ["validation NDCG@5", "Recall@5", "NDCG@5"]


def row(name: str, value: float, **more: object) -> Summary:
    return Summary(name, 2, {}, dict.fromkeys(METRICS, value), **more)  # type: ignore[arg-type]


@pytest.fixture
def rows() -> list[Summary]:
    better, worse = PairedTest("plain_50%", 0.0004, True), PairedTest("plain_50%", 0.02, False)
    return [
        row("plain_50%", 0.2, role="compared with", std={"NDCG@5": 0.01}, seconds=7.4),
        row("a|b", 0.4, test=better, interval={"NDCG@5": (0.35, 0.45)}),
        row("c", 0.1, test=worse, notes=["k=50", "1 of 3 diverged"]),
        Summary("empty", 0, {}),
    ]


def test_markdown(rows: list[Summary]) -> None:
    lines = to_markdown(grid_of(rows, METRICS, "NDCG@5")).splitlines()
    assert lines[0] == (
        "| method | validation NDCG@5 | Recall@5 | NDCG@5 | 95 % interval | p | seeds | s per run |"
    )
    assert lines[2] == "| plain_50% | 20.00 | 20.00 | 20.00 ± 1.00 |  | compared with | 2 | 7 |"
    assert lines[3] == (
        r"| a\|b | **40.00** | **40.00** | **40.00** | 35.00 to 45.00 | < 0.001 | 2 |  |"
    )
    assert lines[5] == "| empty |  |  |  |  |  |  |  |"
    assert "against plain_50%, with Holm's correction over the rows." in lines[-1]
    assert lines[-1].startswith("Mean ± standard deviation over 2 seeds. p: ")
    assert "c: k=50. c: 1 of 3 diverged. 95 % interval: of the mean over users" in lines[-1]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((1, 1), "One run, with one seed. "),
        ((3, 0), "Mean ± standard deviation over 3 seeds. "),
        ((3, 1), "Mean ± standard deviation over 3 seeds. One run, with one seed, where there is"),
        ((3, 2), "Mean ± standard deviation over 2 or 3 seeds. "),
        ((0, 0), "s per run: "),
    ],
)
def test_says_how_many_seeds_there_are(seeds: tuple[int, int], said: str) -> None:
    rows = [Summary(str(n), n, {}, {"NDCG@5": 0.1} if n else {}) for n in seeds]
    assert to_markdown(grid_of(rows, ["NDCG@5"], "NDCG@5")).splitlines()[-1].startswith(said)
    if any(seeds):
        assert said.strip() in to_latex(rows, ["NDCG@5"], "x", "NDCG@5").replace(r"$\pm$", "±")


def test_printed_numbers_stand_beside_ours() -> None:
    both = Summary("x", 1, {"NDCG@5": 0.5, "MRR@5": 0.1}, {"NDCG@5": 0.55})
    text = to_markdown(grid_of([both, row("y", 0.3)], ["NDCG@5"], "NDCG@5"))
    assert "| method | NDCG@5 | printed | diff | p |" in text
    assert "| x | **55.00** | 50.00 | +10.0% |" in text
    assert "| y | 30.00 |  |  |" in text


def test_of_rates_the_lowest_is_best() -> None:
    metrics = ["false-negative rate", "NDCG@5"]
    rows = [
        Summary(name, 1, {}, mean=dict(zip(metrics, values, strict=True)))
        for name, values in (("a", (0.2, 0.4)), ("b", (0.1, 0.3)))
    ]
    said = to_markdown(grid_of(rows, metrics, "NDCG@5"))
    assert "| a | 20.00 | **40.00** |" in said
    assert "| b | **10.00** | 30.00 |" in said
    latex = to_latex(rows, metrics, "x", "NDCG@5")
    assert r"a & \underline{20.00} & \textbf{40.00} \\" in latex


def test_beyond_accuracy_nothing_is_best() -> None:
    """Nor better or worse; and numbers of links are not in percent."""
    metrics = ["AveragePopularity@5", "Gini@5", "NDCG@5"]
    rows = [
        Summary("a", 2, {}, {"AveragePopularity@5": 31.4, "Gini@5": 0.9, "NDCG@5": 0.2},
                {"AveragePopularity@5": 0.5}, {"AveragePopularity@5": (30.1, 32.25)}),
        Summary("b", 2, {}, {"AveragePopularity@5": 7.0, "Gini@5": 0.1, "NDCG@5": 0.1},
                test=PairedTest("a", 0.02, False)),
    ]  # fmt: skip
    said = to_markdown(grid_of(rows, metrics, metrics[0]))
    assert "| a | 31.40 ± 0.50 | 30.10 to 32.25 | 90.00 | **20.00** |" in said
    assert "| b | 7.00 |  | 10.00 | 10.00 |" in said
    assert "AveragePopularity, Gini: no best one is marked" in said
    assert "AveragePopularity: in known links, not percent." in said
    assert "p: paired t-test over users on AveragePopularity@5 against a" in said
    latex = to_latex(rows, metrics, "x", metrics[0])
    assert r"$^{*}$ higher and $^{\dagger}$ lower than a" in latex
    assert r"b & 7.00$^{\dagger}$ & 10.00 & \underline{10.00}" in latex
    assert "Nothing is tested: users have no" in to_markdown(grid_of(rows[:1], ["Gini@5"], None))


def test_latex(rows: list[Summary]) -> None:
    text = to_latex(rows, METRICS, "sales & co", "NDCG@5")
    assert (
        r"\caption{sales \& co, in percent. $^{*}$ better and $^{\dagger}$ worse than plain\_50\% "
        r"with $p < 0.05$; twice for $p < 0.01$, three times for $p < 0.001$.}"
    ) in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    lines = [line for line in body if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(METRICS)}
    second = (r"\underline{20.00} & " * 2) + r"\underline{20.00 $\pm$ 1.00} \\"
    assert rf"plain\_50\% & {second}" in lines
    # Best bold, second underlined; marks beside the metric that is tested.
    assert r"a|b & \textbf{40.00} & \textbf{40.00} & \textbf{40.00}$^{***}$ \\" in lines
    assert r"c & 10.00 & 10.00 & 10.00$^{\dagger}$ \\" in lines
    assert r"empty &  &  &  \\" in lines
    note = text[text.index(r"\footnotesize") :]
    assert r"against plain\_50\%" in note
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_shows_names_as_they_are() -> None:
    assert escaped(r"a\b {x}~^") == r"a\textbackslash{}b \{x\}\textasciitilde{}\textasciicircum{}"
    assert escaped("DNS(M,N) #1 $5 <2>") == r"DNS(M,N) \#1 \$5 \textless{}2\textgreater{}"


def test_csv_holds_fractions(rows: list[Summary]) -> None:
    found = list(
        csv.DictReader(
            io.StringIO(to_csv({"clean": rows}, {"clean": METRICS}, {"clean": "NDCG@5"}))
        )
    )
    assert len(found) == 4 * 3
    assert list(found[0]) == [
        "protocol", "method", "metric", "mean", "std", "printed", "p", "against", "seeds",
        "seconds", "low", "high",
    ]  # fmt: skip
    # p stands where it was tested only.
    assert [(row["p"], row["against"]) for row in found[3:6]] == [
        ("", ""), ("", ""), ("0.0004", "plain_50%"),
    ]  # fmt: skip
    assert (found[5]["mean"], found[5]["low"], found[5]["high"]) == ("0.4", "0.35", "0.45")
    assert found[-1]["mean"] == found[-1]["low"] == ""


def test_p_values_are_short() -> None:
    assert (format_p(0.0009), format_p(0.2)) == ("< 0.001", "0.200")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, ""), (45.2, "; about 45 s left"), (1800.0, "; about 30 min left")]
)
def test_the_time_left_is_short(seconds: float, said: str) -> None:
    assert time_left(seconds) == said
