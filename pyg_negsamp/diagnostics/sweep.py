"""A metric against one hyper-parameter, as the papers draw it.

Example. Three rows of a comparison differ in `beta`; each was run with two seeds:

    cells = [
        {"fields": {"neg": "dins", "beta": 1.0, "seed": 0}, "test": {"NDCG@20": 0.10}},
        {"fields": {"neg": "dins", "beta": 1.0, "seed": 1}, "test": {"NDCG@20": 0.12}},
        {"fields": {"neg": "dins", "beta": 4.0, "seed": 0}, "test": {"NDCG@20": 0.15}},
        ...
    ]
    sweep(cells, "beta", "NDCG@20")     # [(1.0, 0.11, 0.014), (4.0, 0.16, 0.014), ...]

AHNS, figure 6 (alpha, beta); DINS, figures 5 and 6 (beta, M); ANS, figures 6 to 8 (gamma, epsilon,
M). AHNS says that the other hyper-parameters are unchanged meanwhile, so rows that differ in
something else are refused. In a study of Optuna's they all change at once, and none is refused; see
:func:`sweep_of_trials`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from statistics import fmean, stdev
from typing import Any, NamedTuple

from pyg_negsamp.errors import invalid, nearest, short


class Point(NamedTuple):
    """A point of a curve.

    Attributes:
        value: Of the hyper-parameter.
        mean: Of the metric, over runs; in the metric's unit.
        std: Its standard deviation over runs (`n - 1`); 0 of a single run.
    """

    value: Any
    mean: float
    std: float


def sweep(cells: Iterable[Mapping[str, Any]], field: str, metric: str) -> list[Point]:
    """The metric by the value of one field, over seeds.

    Args:
        cells: Finished runs. Each has `fields`, its flat fields with `seed`, and `test`, its
            metrics by name. A cell without `test`, one that failed, is left out.
        field: Which field, such as `'beta'`.
        metric: Which metric, such as `'NDCG@20'`.

    Returns:
        A point for each value, in ascending order; of values that are no numbers, as they come.

    Raises:
        ValueError: If no cell has the field or the metric, or cells differ in another field.
    """
    cells = _read("sweep", "cells", cells, {"fields": Mapping})
    runs = [(cell["fields"], cell["test"]) for cell in cells if cell.get("test")]
    _check_there("sweep", "field", field, [fields for fields, _ in runs])
    _check_there("sweep", "metric", metric, [test for _, test in runs])
    first, _ = runs[0]
    for fields, _ in runs:
        names = sorted({*fields, *first} - {field, "seed"})
        other = next((name for name in names if fields.get(name) != first.get(name)), None)
        if other is not None:
            got = f"{short(first.get(other))} and {short(fields.get(other))}"
            raise invalid("sweep", "cells", f"the same in all fields but '{field}': {other}", got)
    return _points((fields[field], test[metric]) for fields, test in runs)


def sweep_of_trials(trials: Iterable[Mapping[str, Any]], field: str) -> list[Point]:
    """The metric of a study of Optuna's by the value of one field, over trials.

    The other searched fields change from trial to trial, and a search looks more often where it is
    good. So a point is the mean of what was tried with that value: a hint, not a comparison.

    Example:
        >>> plain = [
        ...     {"params": t.params, "value": t.value, "state": t.state.name} for t in study.trials
        ... ]  # doctest: +SKIP

    Args:
        trials: Each has `params`, `value` and `state`; only those that are `'COMPLETE'` count,
            because the value of a pruned one is that of an early epoch.
        field: Which field.

    Returns:
        As :func:`sweep`.

    Raises:
        ValueError: If no complete trial has the field.
    """
    trials = _read("sweep_of_trials", "trials", trials, {"params": Mapping, "state": str})
    done = [trial for trial in trials if trial["state"] == "COMPLETE"]
    _check_there("sweep_of_trials", "field", field, [trial["params"] for trial in done])
    return _points((trial["params"][field], trial["value"]) for trial in done)


def _read(
    owner: str, argument: str, entries: Iterable[Mapping[str, Any]], needed: Mapping[str, type]
) -> list[Mapping[str, Any]]:
    """The entries as a list; refuses those that lack something."""
    kept = list(entries) if isinstance(entries, Iterable) else [entries]
    for entry in kept:
        plain = isinstance(entry, Mapping)
        if not plain or not all(isinstance(entry.get(name), kind) for name, kind in needed.items()):
            expected = f"dictionaries, each with {' and '.join(map(repr, needed))}"
            raise invalid(owner, argument, expected, short(entry))
    return kept


def _check_there(owner: str, what: str, name: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a name that not all have."""
    names = sorted({name for each in found for name in each})
    if not found or not all(name in each for each in found):
        there = f"one that all have, of {', '.join(names)}" if names else "that of finished runs"
        like = nearest(name, names) if isinstance(name, str) else ""
        raise invalid(owner, what, f"{there}{like}", short(name))


def _points(found: Iterable[tuple[Any, float]]) -> list[Point]:
    """Values and metrics of single runs, run by run, as points."""
    pairs = list(found)
    values: list[Any] = []
    for value, _ in pairs:
        if value not in values:  # may be a list, which no dictionary takes
            values.append(value)
    by_value = [(value, [m for other, m in pairs if other == value]) for value in values]
    points = [
        Point(value, fmean(metrics), stdev(metrics) if len(metrics) > 1 else 0.0)
        for value, metrics in by_value
    ]
    numbers = all(isinstance(p.value, Real) and not isinstance(p.value, bool) for p in points)
    return sorted(points) if numbers else points
