"""Means, spreads, intervals and tests against values that are known otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from pyg_negsamp.experiments.significance import (
    Method,
    confidence_interval,
    holm,
    metric_tested,
    paired_t_test,
    summarise,
)


def method(name: str, users: Sequence[Sequence[float]], baseline: bool = True) -> Method:
    runs = [{"test": {"NDCG@5": float(np.mean(u))}, "seconds": 1.0} for u in users]
    found = [{"user": np.arange(len(u)), "NDCG@5": np.array(u)} for u in users]
    return Method(name, runs, found, {}, baseline)


METHODS = [
    method("weak", [[0.1, 0.2, 0.1], [0.1, 0.2, 0.4]]),
    method("strong", [[0.3, 0.2, 0.3]]),
    method("proposed", [[0.9, 0.8, 0.7]], baseline=False),
    method("empty", []),
]


def test_means_spread_and_strongest_baseline() -> None:
    rows = summarise(METHODS, ["NDCG@5"])
    assert [row.role for row in rows] == ["", "strongest baseline", "", ""]
    assert rows[0].mean["NDCG@5"] == pytest.approx((0.4 / 3 + 0.7 / 3) / 2)
    assert rows[0].std["NDCG@5"] == pytest.approx(np.std([0.4 / 3, 0.7 / 3], ddof=1))
    assert rows[1].std == {}
    assert rows[3].mean == {}
    assert rows[3].test is None


def test_a_given_row_is_what_the_others_are_tested_against() -> None:
    rows = summarise(METHODS, ["NDCG@5"], "proposed")
    assert [row.role for row in rows] == ["", "", "compared with", ""]
    raw = [paired_t_test(np.array(x), np.array([0.9, 0.8, 0.7])) for x in (
        [0.1, 0.2, 0.25], [0.3, 0.2, 0.3],
    )]  # fmt: skip
    tests = [row.test for row in rows[:2] if row.test is not None]
    assert [test.p for test in tests] == pytest.approx(holm(raw))
    assert {(test.against, test.better) for test in tests} == {("proposed", False)}
    assert rows[2].test is rows[3].test is None
    # Where it has no run yet, nothing is tested.
    assert {row.test for row in summarise(METHODS, ["NDCG@5"], "empty")} == {None}


def test_one_user_is_no_sample_to_test() -> None:
    rows = summarise([method("a", [[0.1]]), method("b", [[0.3]])], ["NDCG@5"], "a")
    assert [row.role for row in rows] == ["compared with", ""]
    assert {row.test for row in rows} == {None}


@pytest.mark.parametrize("of_seeds", [False, True])
def test_only_the_same_users_are_paired(of_seeds: bool) -> None:
    one, other = method("one", [[0.1, 0.2]]), method("other", [[0.1, 0.2]])
    other.users[0]["user"][:] = [1, 0]
    if of_seeds:
        runs, users = ([*getattr(one, name), *getattr(other, name)] for name in ("runs", "users"))
        methods = [Method("both", runs, users)]
    else:
        methods = [one, other]
    with pytest.raises(ValueError, match="'users' must be the test users of"):
        summarise(methods, ["NDCG@5"], "one")


def test_the_metric_that_is_tested() -> None:
    assert metric_tested(["validation NDCG@5", "Recall@5", "NDCG@7", "NDCG@5"]) == "NDCG@7"
    assert metric_tested(["sampled NDCG@5", "Recall@5"]) == "Recall@5"
    assert metric_tested(["false-negative rate"]) is None
    # What was asked for comes first, if users have values of it.
    columns = ["Coverage@5", "Recall@5", "NDCG@5", "TailShare@5"]
    assert metric_tested(columns) == "NDCG@5"
    assert metric_tested(columns, ["Coverage", "Recall", "NDCG"]) == "Recall@5"
    assert metric_tested(["Gini@5", "AveragePopularity@5"]) == "AveragePopularity@5"
    assert metric_tested(["Gini@5", "Coverage@5"], ["Gini", "Coverage"]) is None


def test_the_best_baseline_is_no_matter_of_popularity() -> None:
    """Tested by how popular lists are, rows are held against the one with the highest NDCG."""
    methods = [method("weak", [[0.1, 0.2]]), method("strong", [[0.3, 0.2]]), METHODS[3]]
    for each, popularity in zip(methods, ([9.0, 8.0], [5.0, 3.0]), strict=False):
        each.runs[0]["test"]["AveragePopularity@5"] = sum(popularity) / 2  # type: ignore[index]
        each.users[0]["AveragePopularity@5"] = np.array(popularity)  # type: ignore[index]
    name = "AveragePopularity@5"
    rows = summarise(methods, [name], by=name)
    assert [row.role for row in rows] == ["", "strongest baseline", ""]
    assert [row.test and row.test.better for row in rows] == [True, None, None]


def test_users_without_a_value_are_in_no_mean_and_no_pair() -> None:
    one, other = np.array([1.0, np.nan, 2.0, 4.0]), np.array([2.0, 1.0, np.nan, 7.0])
    methods = [method("one", [one]), method("other", [other])]
    for each, mean in zip(methods, (7 / 3, 10 / 3), strict=True):
        each.runs[0]["test"]["NDCG@5"] = mean
    rows = summarise(methods, ["NDCG@5"], "one")
    assert rows[0].interval["NDCG@5"] == confidence_interval(np.array([1.0, 2.0, 4.0]))
    assert rows[1].test is not None
    assert rows[1].test.p == paired_t_test(np.array([2.0, 7.0]), np.array([1.0, 4.0]))
    nobody = np.full(4, np.nan)
    assert paired_t_test(one, nobody) == 1.0


def test_p_values_are_paired_over_users_and_corrected() -> None:
    generator = np.random.default_rng(0)
    best = generator.random(50)
    shifts = {"far": -0.5, "near": -0.01, "same": -0.002}
    noise = {name: best + s + 0.05 * generator.standard_normal(50) for name, s in shifts.items()}
    rows = summarise(
        [method("best", [best]), *(method(name, [x]) for name, x in noise.items())], ["NDCG@5"]
    )
    assert rows[0].test is None
    found = {row.name: row.test.p for row in rows[1:] if row.test is not None}

    def t_test(difference: np.ndarray) -> float:
        t = difference.mean() / (difference.std(ddof=1) / len(difference) ** 0.5)
        x = torch.tensor(1e6).sqrt()  # two-sided tail of Student's t by brute force
        grid = torch.linspace(abs(t), float(x), 2_000_001, dtype=torch.double)
        n = len(difference) - 1
        density = (
            torch.exp(torch.lgamma(torch.tensor((n + 1) / 2)) - torch.lgamma(torch.tensor(n / 2)))
            / (n * torch.pi) ** 0.5
            * (1 + grid.square() / n) ** (-(n + 1) / 2)
        )
        return 2 * float(torch.trapezoid(density, grid))

    raw = {name: t_test(x - best) for name, x in noise.items()}
    # Holm: the smallest times 3, the next times 2, the last times 1, never falling.
    expected, least = {}, 0.0
    for rank, name in enumerate(sorted(raw, key=lambda n: raw[n])):
        least = max(least, min(1.0, (len(raw) - rank) * raw[name]))
        expected[name] = least
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-9)


def test_holm_on_known_values() -> None:
    # By hand: 0.005 * 4; 0.01 * 3; then 0.03 * 2 and 0.04, which may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.5]) == [1.0, 1.0]
    assert holm([0.2, 0.2, 0.2]) == pytest.approx([0.6, 0.6, 0.6])
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


def test_a_confidence_interval_on_known_values() -> None:
    # Mean 3, standard error sqrt(2.5 / 5), and 2.776 of Student's t with 4 degrees of freedom.
    low, high = confidence_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = 2.7764451051977987 * (2.5 / 5) ** 0.5
    assert (low, high) == pytest.approx((3 - half, 3 + half))


def test_intervals_are_over_users_each_with_the_mean_over_seeds() -> None:
    (row,) = summarise([method("x", [[0.0, 0.2, 0.4], [0.2, 0.4, 0.0]])], ["NDCG@5"])
    assert row.interval["NDCG@5"] == pytest.approx(confidence_interval(np.array([0.1, 0.3, 0.2])))
    (one,) = summarise([method("x", [[0.3]])], ["NDCG@5"])
    assert one.interval == {}


def test_equal_values_differ_with_p_one() -> None:
    values = np.array([0.1, 0.5, 0.2])
    assert paired_t_test(values, values.copy()) == 1.0
