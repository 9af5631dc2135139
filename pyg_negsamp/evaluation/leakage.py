"""Do the graphs that a model reads already contain the links that it is to predict?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import (
    edge_type_of,
    held_out_links,
    joins_one_kind,
    known_links,
    labelled_links,
    links_in,
    store_of,
)
from pyg_negsamp.pairs import Pairs

#: How reverse edges do not leak.
AFTERWARDS = (
    "split first and make reverse edges afterwards, or tell RandomLinkSplit about them: "
    "rev_edge_types, is_undirected"
)


@runtime_checkable
class Model(Protocol):
    """What ranks, and knows which links it was made from.

    Encoders, :class:`pyg_negsamp.training.Recommender`, saved models and references are such. Bare
    tables of embeddings and functions are not: nobody can tell what they were made from.
    """

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` the graph that the model reads holds: `[E]` bool."""

    def scorer(self) -> Any:
        """What it ranks by: tables, or a function."""


def check_not_held(model: Model, data: HeteroData, edge_type: EdgeType | None = None) -> None:
    """Refuses a model whose graph holds links that it is to predict.

    Args:
        model: An encoder, say, that was made from too large a graph.
        data: A validation or test split. Links that it knows itself are not looked at: they are
            left out of the lists.
        edge_type: The interactions in it.

    Raises:
        ValueError: Saying how many of how many links the model's graph holds.
    """
    links, held_out = known_links(data, edge_type), held_out_links(data, edge_type)
    held = model.holds(held_out)
    if bool(held.any()):
        known = Pairs(links.index, links.num_users, links.num_items)
        held = held & ~known.hold(*held_out)
    if leaked := int(held.sum()):
        raise invalid(
            model,
            "data",
            "a split whose held-out links are not in the graph that the model was made from "
            "(make the model from the training graph)",
            f"{leaked} of {held_out.size(1)} held-out links in it",
        )


def check_leakage(
    train: HeteroData | Data,
    val: HeteroData | Data | None = None,
    test: HeteroData | Data | None = None,
    edge_type: EdgeType | None = None,
) -> None:
    """Refuses splits whose held-out links can be read off a graph that a model propagates over.

    A held-out link (in `edge_label_index`, with a label other than 0, or in
    `pos_edge_label_index`) must be neither in the training graph nor in the graph of its own
    split, nor among the links to train on, where the training graph has such of its own. A link can
    also be read off a reverse edge type: one from items to users that holds the reverse of every
    training link, whatever it is called, such as what `ToUndirected` makes of the data when it
    comes before the split. Links among nodes of one kind, as in a homogeneous
    graph, read in both directions if all those of the splits, held out or not, have their reverse
    among them: so all parts are needed to see that.

    Args:
        train: Training graph.
        val: Validation split. Default: not looked at.
        test: Test split. Default: not looked at.
        edge_type: The interactions; ignored for `Data`.

    Raises:
        ValueError: Naming the split, the graph, its edge type, and some of the links.
    """
    edge_type = edge_type_of(train, edge_type)
    known = known_links(train, edge_type)
    size = max(known.num_users, known.num_items)
    splits = {
        name: (split, held_out_links(split, edge_type))
        for name, split in (("val", val), ("test", test))
        if split is not None
    }
    links, both_ways = known.index, False
    if joins_one_kind(train, edge_type):
        others = [known_links(split, edge_type).index for split, _ in splits.values()]
        every = torch.cat([links, *others, *(held_out for _, held_out in splits.values())], dim=1)
        both_ways = _all_in(every.flip(0), every, size)
    supervision = _supervision(train, both_ways, edge_type)
    for name, (split, held_out) in splits.items():
        graphs = [
            (f"the {owner} graph's {kind} ({AFTERWARDS})", readable)
            for owner, graph in (("train", train), (name, split))
            for kind, readable in _readable(graph, links, both_ways, edge_type, size)
        ]
        for where, readable in (*graphs, *supervision):
            keys = _keys(readable.to(held_out.device), size)
            leaked = held_out[:, torch.isin(_keys(held_out, size), keys)]
            if leaked.numel():
                pairs = ", ".join(str(tuple(pair)) for pair in leaked[:, :3].t().tolist())
                expected = f"held out: links to predict must not be in {where}"
                got = f"{leaked.size(1)} of {held_out.size(1)} links there: {pairs}"
                raise invalid("check_leakage", name, expected, got)


def _supervision(
    train: HeteroData | Data, both_ways: bool, edge_type: EdgeType
) -> list[tuple[str, Tensor]]:
    """The links `[2, E]` to train on, with a name, if a training graph says which they are."""
    found = labelled_links(train, edge_type)
    if found is None:
        return []
    where = "the links to train on, the train graph's edge_label_index (delete it, or them)"
    return [(where, x) for x in ((found, found.flip(0)) if both_ways else (found,))]


def _readable(
    graph: HeteroData | Data, links: Tensor, both_ways: bool, edge_type: EdgeType, size: int
) -> Iterator[tuple[EdgeType | str, Tensor]]:
    """The links `[2, E]` that each edge type of a graph tells, users first.

    Args:
        graph: The graph.
        links: The training links.
        both_ways: Whether links have no direction, as all of them have their reverse among them.
        edge_type: The interactions.
        size: More than any id.
    """
    for kind in graph.edge_types if isinstance(graph, HeteroData) else [edge_type]:
        found = links_in(store_of(graph, kind))
        if found is None:
            continue
        if kind == edge_type:
            name = kind if isinstance(graph, HeteroData) else "edge_index"
            yield name, found
            if both_ways:
                yield f"{name} (reversed)", found.flip(0)
            continue
        ends = (edge_type[2], edge_type[0])
        if (kind[0], kind[2]) == ends and _all_in(links, found.flip(0), size):
            yield kind, found.flip(0)


def _all_in(some: Tensor, others: Tensor, size: int) -> bool:
    """Whether all of some links are among others."""
    return bool(torch.isin(_keys(some, size), _keys(others, size)).all())


def _keys(links: Tensor, size: int) -> Tensor:
    """A number for each link."""
    return links[0] * size + links[1]
