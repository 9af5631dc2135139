"""Means, spreads and tests of the runs of a table, and its two written forms."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests


@dataclass(frozen=True)
class Method:
    """What there is of a method.

    Attributes:
        method: Its name.
        baseline: Whether it is one of the paper's baselines.
        printed: Printed numbers.
        runs: `metrics.json` of each seed.
        users: Metrics of each seed, an array over users by name.
    """

    method: str
    baseline: bool
    printed: Mapping[str, float]
    runs: Sequence[Mapping[str, Any]]
    users: Sequence[Mapping[str, NDArray[np.float64]]]


@dataclass
class Summary:
    """A row of the table.

    Attributes:
        method: Its name.
        seeds: How many runs it is the mean of.
        printed: Printed numbers.
        mean: Means over seeds.
        std: Standard deviations over seeds (`n - 1`), where there are several.
        p: Of the paired t-test over users against the strongest baseline, corrected by
            Holm-Bonferroni over the rows, on the first NDCG of full ranking.
        seconds: Mean seconds of training of a run.
        strongest: Whether it is that baseline.
    """

    method: str
    seeds: int
    printed: Mapping[str, float]
    mean: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    p: float | None = None
    seconds: float | None = None
    strongest: bool = False


def summarise(methods: Sequence[Method], metrics: Sequence[str]) -> list[Summary]:
    """Means over seeds, and tests over users against the strongest baseline.

    A user's value is the mean over the seeds; users, not runs, are the sample. The test takes
    the first NDCG of full ranking among the metrics (or the first metric).

    Args:
        methods: Rows, in order; those without runs stay empty.
        metrics: Names such as `'Recall@20'`.
    """
    tested = next((name for name in metrics if name.startswith("NDCG")), metrics[0])
    rows = []
    for method in methods:
        row = Summary(method.method, len(method.runs), method.printed)
        if method.runs:
            for name in metrics:
                if name not in method.runs[0]["test"]:
                    continue  # a ranking without training has no negatives
                values = [run["test"][name] for run in method.runs]
                row.mean[name] = float(np.mean(values))
                if len(values) > 1:
                    row.std[name] = float(np.std(values, ddof=1))
            row.seconds = float(np.mean([run["seconds"] for run in method.runs]))
        rows.append(row)

    pairs = list(zip(methods, rows, strict=True))
    baselines = [pair for pair in pairs if pair[0].runs and pair[0].baseline]
    if not baselines:
        return rows
    best, best_row = max(baselines, key=lambda pair: pair[1].mean[tested])
    best_row.strongest = True
    others = [pair for pair in pairs if pair[0].runs and pair[1] is not best_row]
    reference = np.mean([users[tested] for users in best.users], axis=0)
    raw = [
        ttest_rel(np.mean([users[tested] for users in method.users], axis=0), reference).pvalue
        for method, _ in others
    ]
    if raw:
        corrected = multipletests(raw, method="holm")[1]
        for (_, row), p in zip(others, corrected, strict=True):
            row.p = float(p)
    return rows


def to_markdown(rows: Sequence[Summary], metrics: Sequence[str]) -> str:
    """The table in percent: mean ± std, and where any is printed, that and the difference."""
    printed_too = {name for row in rows for name in row.printed}
    columns = ["method"]
    for name in metrics:
        columns += [name, "printed", "diff"] if name in printed_too else [name]
    columns += ["p", "seeds", "s per run"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    best = {
        m: (min if "rate" in m else max)(
            (row.mean[m] for row in rows if m in row.mean), default=None
        )
        for m in metrics
    }
    for row in rows:
        parts = [row.method]
        for name in metrics:
            mean, printed = row.mean.get(name), row.printed.get(name)
            shown = "" if mean is None else f"{100 * mean:.2f}"
            if name in row.std:
                shown += f" ± {100 * row.std[name]:.2f}"
            parts.append(f"**{shown}**" if mean is not None and mean == best[name] else shown)
            if name in printed_too:
                parts.append("" if printed is None else f"{100 * printed:.2f}")
                parts.append(
                    "" if mean is None or printed is None else f"{mean / printed - 1:+.1%}"
                )
        parts.append(
            "strongest baseline" if row.strongest else "" if row.p is None else format_p(row.p)
        )
        parts.append(str(row.seeds or ""))
        parts.append("" if row.seconds is None else f"{row.seconds:.0f}")
        lines.append("| " + " | ".join(parts) + " |")
    return "\n".join(lines)


def format_p(value: float) -> str:
    """A p-value, short."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def to_csv(tables: Sequence[tuple[str, Sequence[Summary]]], metrics: Sequence[str]) -> str:
    """All protocols' rows, one line per metric, as fractions."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["protocol", "method", "metric", "mean", "std", "printed", "p", "seeds", "seconds"]
    )
    for protocol, rows in tables:
        for row in rows:
            for name in metrics:
                values = [row.mean.get(name), row.std.get(name), row.printed.get(name), row.p]
                writer.writerow([protocol, row.method, name, *values, row.seeds, row.seconds])
    return file.getvalue()
