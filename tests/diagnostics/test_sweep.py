"""A metric against one hyper-parameter, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pyg_negsamp.diagnostics import Point, sweep, sweep_of_trials


def cell(seed: int = 0, ndcg: float = 0.1, **fields: Any) -> dict[str, Any]:
    return {"fields": {"neg": "dins", **fields, "seed": seed}, "test": {"NDCG@20": ndcg}}


def test_by_hand() -> None:
    cells = [
        cell(0, 0.15, beta=4.0),
        cell(0, 0.10, beta=1),
        cell(1, 0.14, beta=1),
        {"fields": {"neg": "dins", "beta": 2.0, "seed": 0}, "failed": "diverged"},
    ]
    (first, last) = sweep(cells, "beta", "NDCG@20")
    # Of 0.10 and 0.14: mean 0.12, deviation sqrt(2 * 0.02^2 / 1).
    assert first == pytest.approx((1, 0.12, 0.02 * 2**0.5))
    assert last == Point(4.0, 0.15, 0.0)


def test_what_is_no_number_stays_in_order() -> None:
    values: list[Any] = ["sum", None, [1, 2], True]
    cells = [cell(0, n, pool=value) for n, value in enumerate(values)]
    assert sweep(cells, "pool", "NDCG@20") == [(value, n, 0) for n, value in enumerate(values)]


def test_of_a_study() -> None:
    trials = [
        {"params": {"beta": 2.0, "lr": 0.1}, "value": 0.2, "state": "COMPLETE"},
        {"params": {"beta": 2.0, "lr": 0.01}, "value": 0.4, "state": "COMPLETE"},
        {"params": {"beta": 1.0, "lr": 0.1}, "value": 0.1, "state": "COMPLETE"},
        {"params": {"beta": 1.0, "lr": 0.1}, "value": 0.9, "state": "PRUNED"},
        {"params": {"beta": 3.0}, "value": None, "state": "FAIL"},
    ]
    first, last = sweep_of_trials(trials, "beta")
    assert first == (1.0, 0.1, 0.0)
    assert last == pytest.approx((2.0, 0.3, 0.1 * 2**0.5))


def test_of_optunas_own_trials() -> None:
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"beta": [1.0, 2.0]}))
    study.optimize(lambda trial: 3 * trial.suggest_float("beta", 0, 3), 2)
    plain = [{"params": t.params, "value": t.value, "state": t.state.name} for t in study.trials]
    assert sweep_of_trials(plain, "beta") == [(1.0, 3.0, 0.0), (2.0, 6.0, 0.0)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([cell(beta=1)], "betta", "NDCG@20"), "'field' must be one .* did you mean 'beta'"),
        (([cell(beta=1)], "beta", "NDCG@50"), "'metric' must be one that all have, of NDCG@20"),
        (([cell(beta=1), cell()], "beta", "NDCG@20"), "'field' must be one that all have"),
        (([], "beta", "NDCG@20"), "'field' must be that of finished runs"),
        (([cell(beta=1)], "beta", None), "'metric' must be one"),
        (
            ([cell(beta=1, lr=0.1), cell(beta=2, lr=0.2)], "beta", "NDCG@20"),
            r"'cells' must be the same in all fields but 'beta': lr \(got 0.1 and 0.2\)",
        ),
        (
            ([{"test": {"NDCG@20": 1}}], "beta", "NDCG@20"),
            "'cells' must be dictionaries, each with",
        ),
        ((7, "beta", "NDCG@20"), r"'cells' must be dictionaries, each with 'fields' \(got 7\)"),
    ],
)
def test_refuses_what_is_wrong(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=f"^sweep: {said}"):
        sweep(*arguments)


def test_refuses_what_are_no_trials() -> None:
    with pytest.raises(ValueError, match=r"^sweep_of_trials: 'trials' must be dictionaries, each"):
        sweep_of_trials([{"params": {}}], "beta")
    with pytest.raises(
        ValueError, match=r"^sweep_of_trials: 'field' must be that of finished runs"
    ):
        sweep_of_trials([], "beta")
