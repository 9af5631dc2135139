"""What ItemKNN and EASE in a table rank with, and where EASE is too large to stand there.

References have no epochs to select, but arguments. These are chosen on validation links, from the
small grid that each class has as `search_space`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch_geometric.data import HeteroData

from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_reference
from pyg_negsamp.memory import shortage
from pyg_negsamp.references import EASE, REFERENCES
from pyg_negsamp.space import Choice, Space

#: Above this many items EASE stands in a table only where it was asked for.
MOST_ITEMS_OF_EASE = 20_000


def space_of(reference: str) -> Space:
    """The grid of a reference, by the names of its constructor; empty if it has no arguments."""
    space: Space = getattr(REFERENCES[reference], "search_space", {})
    return space


def search_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What is searched for a reference: the arguments of its grid that the row does not give."""
    return tuple(name for name in space_of(row["encoder"]) if f"encoder_{name}" not in row)


def too_large_for_ease(num_items: int) -> str | None:
    """Why EASE does not stand in a table of so many items; `None` if it does."""
    if num_items > MOST_ITEMS_OF_EASE:
        return f"{num_items:,} items are more than {MOST_ITEMS_OF_EASE:,}"
    short = shortage(EASE.bytes_needed(num_items))
    return short and f"it needs {short[0]} of memory, and {short[1]} are free"


def choose_arguments(
    config: Config, search: Sequence[str], train_data: HeteroData, by: HeteroData
) -> Config:
    """The configuration of a reference with the arguments that rank best.

    Args:
        config: The reference; what it gives of its own stays.
        search: Arguments to choose, by the names of its constructor.
        train_data: What every candidate is made from.
        by: Split whose held-out links choose, by NDCG at the first `top_k`. Ties: the first.
    """
    k = config.evaluation.top_k[0]
    tried = [with_arguments(config, point) for point in points(config, search)]
    found = [
        evaluate(make_reference(each, train_data), by, (k,), ("NDCG",))[f"NDCG@{k}"]
        for each in tried
    ]
    return tried[found.index(max(found))]


def points(config: Config, search: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every point of a reference's grid."""
    space = space_of(config.encoder.encoder)
    grid = []
    for name in search:
        choice = space[name]
        assert isinstance(choice, Choice), f"{name}: a grid has values"
        grid.append(choice.values)
    return (dict(zip(search, values, strict=True)) for values in itertools.product(*grid))


def with_arguments(config: Config, point: Mapping[str, Any]) -> Config:
    """The same reference with other arguments."""
    arguments = {**config.encoder.arguments, **point}
    return replace(config, encoder=replace(config.encoder, arguments=arguments))
