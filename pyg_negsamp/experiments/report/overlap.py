"""What one method hits and another misses: PER."""

from __future__ import annotations

from math import isfinite
from statistics import mean

import torch

from pyg_negsamp.diagnostics import exclusive_hit_ratio
from pyg_negsamp.experiments.report.page import Part, Table
from pyg_negsamp.experiments.report.reading import Found, Shown
from pyg_negsamp.experiments.tables import Grid


def overlap(found: Found) -> Part:
    """A row per method: the share of its hits that the method of a column misses."""
    k = found.comparison.cutoffs[0]
    key = f"hit@{k}"
    methods = [m for m in found.shown if m.hits and all(key in seed for seed in m.hits)]
    rows = []
    for one in methods:
        missing = ["" if o is one else missed(one, o, key) for o in methods]
        rows.append([one.name, *missing])
    title = f"Of the links that a row's lists of {k} hit, percent that the column's miss"
    table = Table(title, Grid(["hit by, missed by", *(method.name for method in methods)], rows))
    blocks = [table] if len(methods) > 1 else []
    says = (
        "Two methods may be as good and yet find other things. Where both directions are large, "
        "they know different links, and together would know more. Seeds are paired."
    )
    absent = "needs hits.npz of two methods, which runs of an earlier version do not have"
    title = "What one finds and the other misses"
    return Part("per", title, says, blocks, "" if blocks else absent)


def missed(one: Shown, other: Shown, key: str) -> str:
    """In percent, the mean over pairs of seeds; of a method with fewer, the first ones stand in.

    Empty of a method that hits nothing.
    """
    pairs = [
        (one.hits[n % len(one.hits)][key], other.hits[n % len(other.hits)][key])
        for n in range(max(len(one.hits), len(other.hits)))
    ]
    shares = [float(exclusive_hit_ratio(*map(torch.from_numpy, pair))) for pair in pairs]
    shares = [share for share in shares if isfinite(share)]
    return f"{100 * mean(shares):.1f}" if shares else ""
