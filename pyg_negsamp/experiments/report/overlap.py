"""What one method hits and another misses: PER, ANS, section 3.3 and table 4."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from numpy.typing import NDArray

from pyg_negsamp.experiments.report.page import Part, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.tables import Grid


def overlap(found: Found) -> Part:
    """A row per method: the share of its hits that the method of a column misses."""
    key = f"hit@{found.k}"
    methods = [m for m in found.shown if m.hits and all(key in seed for seed in m.hits)]
    rows = []
    for one in methods:
        missing = [missed(one, other, key) for other in methods]
        rows.append([one.name, *(f"{100 * share:.1f}" if share else "" for share in missing)])
    title = f"Of the links that a row's lists of {found.k} hit, percent that the column's miss"
    table = Table(title, Grid(["hit by, missed by", *(method.name for method in methods)], rows))
    blocks = [table] if len(methods) > 1 else []
    says = (
        "Two methods may be as good and yet find other things. Where both directions are large, "
        "they know different links, and together would know more. Seeds are paired."
    )
    absent = "needs hits.npz of two methods, which runs of an earlier version do not have"
    title = "What one finds and the other misses"
    return Part("per", title, says, blocks, "" if blocks else absent)


def missed(one: Shown, other: Shown, key: str) -> float:
    """The mean share over pairs of seeds; a method with fewer seeds has its first again."""
    count = max(len(one.hits), len(other.hits))
    return mean(
        share(one.hits[n % len(one.hits)], other.hits[n % len(other.hits)], key)
        for n in range(count)
    )


def share(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]], key: str) -> float:
    """Of the links that one hits, the share that the other misses; 0 where it hits none."""
    hits, others = one[key], other[key]
    return float((hits & ~others).sum() / max(hits.sum(), 1))
