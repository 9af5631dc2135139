"""Means, spreads, intervals and tests of the rows of a table.

Two samples are told apart. A spread is over seeds: how much a run depends on chance. Intervals and
tests are over users, each with the mean over the seeds: how much a result depends on who was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import ttest_rel

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import metric_named

#: A value per user, `[n]`.
PerUser: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """What there is of a row.

    Attributes:
        name: Its name.
        runs: `metrics.json` of each seed.
        users: Metrics of each seed, an array over users by name, and their ids as `user`; none of
            a run that kept none.
        printed: Printed numbers, as fractions.
        baseline: Whether it is a baseline with printed numbers, and may be the strongest one.
        notes: What else is to be said of it, in sentences without their stops.
    """

    name: str
    runs: Sequence[Mapping[str, Any]]
    users: Sequence[Mapping[str, PerUser]]
    printed: Mapping[str, float] = field(default_factory=dict)
    baseline: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class PairedTest:
    """How a row compares with another one.

    Attributes:
        against: Name of the other row.
        p: Of the paired t-test over users, corrected by Holm over the rows.
        better: Whether its mean is the higher one, which is better for metrics of accuracy only.
    """

    against: str
    p: float
    better: bool


@dataclass
class Summary:
    """A row of the table. All metrics are fractions.

    Attributes:
        name: Its name.
        seeds: How many runs it is the mean of.
        printed: Printed numbers.
        mean: Means over seeds.
        std: Standard deviations over seeds (`n - 1`), where there are several.
        interval: 95 % confidence intervals of the mean over users, for metrics by user.
        test: Its test against one row, on the metric of :func:`metric_tested`.
        seconds: Mean seconds of training of a run, or of making a reference.
        role: `'strongest baseline'` or `'compared with'` for the row tested against; else empty.
        notes: What else is to be said of it, in sentences without their stops.
    """

    name: str
    seeds: int
    printed: Mapping[str, float]
    mean: dict[str, float] = field(default_factory=dict)
    std: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    test: PairedTest | None = None
    seconds: float | None = None
    role: str = ""
    notes: Sequence[str] = ()


def metric_tested(metrics: Sequence[str], asked: Sequence[str] = ()) -> str | None:
    """The metric that rows are tested on: the first asked for, or else NDCG, or the first there is.

    It is of full ranking, and one that every user has a value of; `None` if there is no such.

    Args:
        metrics: Columns, such as `'Recall@20'`, `'sampled NDCG@20'`, `'false-negative rate'`.
        asked: Metrics that were asked for, such as `'Recall'`.
    """
    full = [name for name in metrics if "@" in name and " " not in name]
    full = [name for name in full if (metric := metric_named(name)) and metric.per_user]
    first = [name for each in asked or ("NDCG",) for name in full if name.split("@")[0] == each]
    return next(iter(first + full), None)


def summarise(
    methods: Sequence[Method],
    metrics: Sequence[str],
    against: str | None = None,
    by: str | None = None,
) -> list[Summary]:
    """Means over seeds, intervals over users, and tests against one row.

    Args:
        methods: Rows, in order; those without runs stay empty.
        metrics: Columns.
        against: Name of the row that the others are tested against. Default: the baseline with the
            highest mean of ours; without any, nothing is tested. Nor is it with one user.
        by: The column that is tested. Default: as :func:`metric_tested` has it. If it is beyond
            accuracy, the best baseline is the one with the highest NDCG.

    Raises:
        ValueError: If rows are of other users than the first one, and cannot be paired.
    """
    check_users(methods)
    rows = [summary_of(method, metrics) for method in methods]
    by = metric_tested(metrics) if by is None else by
    pairs = [(method, row) for method, row in zip(methods, rows, strict=True) if by in row.mean]
    named = [pair for pair in pairs if pair[0].name == against]
    others = [pair for pair in pairs if pair[0].baseline] if against is None else named
    if by is None or not others:
        return rows
    beyond = (metric := metric_named(by)) is not None and metric.beyond
    strength = f"NDCG@{by.split('@')[1]}" if beyond else by
    best, best_row = max(others, key=lambda pair: mean_over_runs(pair[0], strength))
    best_row.role = "strongest baseline" if against is None else "compared with"
    if by not in best_row.interval:  # one user, or a run that kept none
        return rows
    held_against = over_seeds(best.users, by)
    rest = [pair for pair in pairs if pair[1] is not best_row and by in pair[1].interval]
    raw = [paired_t_test(over_seeds(method.users, by), held_against) for method, _ in rest]
    for (_, row), p in zip(rest, holm(raw), strict=True):
        row.test = PairedTest(best_row.name, p, row.mean[by] > best_row.mean[by])
    return rows


def check_users(methods: Sequence[Method]) -> None:
    """Refuses rows whose users are not those of the first one, in the same order."""
    found = [(method.name, run["user"]) for method in methods for run in method.users]
    for name, users in found[1:]:
        if not np.array_equal(users, found[0][1]):
            raise invalid(name, "users", f"the test users of {found[0][0]}", "others")


def summary_of(method: Method, metrics: Sequence[str]) -> Summary:
    """A row by itself, before it is tested against another."""
    row = Summary(method.name, len(method.runs), method.printed, notes=method.notes)
    if not method.runs:
        return row
    for name in metrics:
        if not all(name in run["test"] for run in method.runs):
            continue  # a ranking without training has no negatives, and not all are asked for all
        values = [run["test"][name] for run in method.runs]
        row.mean[name] = mean_over_runs(method, name)
        if len(values) > 1:
            row.std[name] = float(np.std(values, ddof=1))
        if method.users and name in method.users[0]:
            each = over_seeds(method.users, name)
            each = each[~np.isnan(each)]
            if len(each) > 1:
                row.interval[name] = confidence_interval(each)
    seconds = [run["seconds"] for run in method.runs if "seconds" in run]
    row.seconds = float(np.mean(seconds)) if seconds else None
    return row


def mean_over_runs(method: Method, name: str) -> float:
    """A metric of a row, as the mean over its runs."""
    return float(np.mean([run["test"][name] for run in method.runs]))


def over_seeds(users: Sequence[Mapping[str, PerUser]], name: str) -> PerUser:
    """A metric of every user `[n]`, as the mean over the runs; NaN where a user has none."""
    mean: PerUser = np.mean([run[name] for run in users], axis=0)
    return mean


def confidence_interval(values: PerUser, confidence: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean.

    Args:
        values: `[n]` independent values, at least two.
        confidence: How often such an interval holds the mean that more values would give.
    """
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5
    half = float(student.ppf((1 + confidence) / 2, n - 1)) * error
    mean = float(np.mean(values))
    return mean - half, mean + half


def paired_t_test(values: PerUser, others: PerUser) -> float:
    """Two-sided p-value of the paired t-test; 1 where nothing differs.

    Args:
        values: `[n]` values; NaN of users who have none, and are in no pair.
        others: `[n]` values of the same users.
    """
    paired = ~(np.isnan(values) | np.isnan(others))
    values, others = values[paired], others[paired]
    if len(values) < 2 or np.array_equal(values, others):
        return 1.0
    return float(ttest_rel(values, others).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Scandinavian Journal of Statistics, 1979), in the given order.

    The smallest of `n` p-values is multiplied by `n`, the next by `n - 1`, and so on. None falls
    below the one before, or rises above 1. Below 0.05, say, they then hold all together.
    """
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * steps), 1.0)
    return [float(value) for value in corrected]
