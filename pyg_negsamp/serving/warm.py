"""A warm start: what an earlier model learned of the users and items that are still there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import held_out_links
from pyg_negsamp.nn import Encoder, FromModule
from pyg_negsamp.serving.ids import ids_of
from pyg_negsamp.serving.links import SavedLinks
from pyg_negsamp.serving.making import described
from pyg_negsamp.serving.ranking import ByReference
from pyg_negsamp.serving.store import Parts


class New(NamedTuple):
    """What an earlier model did not know, and what it knew of links that are to be found.

    As text, it is a line for whoever started a run.

    Attributes:
        users: Number of users without a row in it.
        items: Number of items without one.
        val: Validation links that it was trained on; metrics on these are too good.
        test: Test links that it was trained on.
        other: Class of its encoder, if it is another one.
    """

    users: int
    items: int
    val: int
    test: int
    other: str | None

    def __str__(self) -> str:
        said = f"{self.users} users, {self.items} items are new"
        if self.other:
            said += f"; it is another encoder, {self.other}, of which what fits is taken"
        if self.val or self.test:
            said += (
                f"; it was trained on {self.val} validation and {self.test} test links, "
                "so metrics on these are too good"
            )
        return said


def start_from(parts: Parts, encoder: Encoder, dataset: InteractionDataset) -> New:
    """Does what :meth:`pyg_negsamp.serving.TrainedModel.warm_start` says, of a model's parts."""
    method = parts.record["method"]["class"]
    if isinstance(parts.ranking, ByReference):
        raise invalid("TrainedModel", "model", "one with an encoder to start from", method)
    if isinstance(encoder, FromModule):
        expected = "one whose rows are the library's: a module is initialised by whoever made it"
        raise invalid("TrainedModel", "encoder", expected, type(encoder).__name__)
    theirs = (
        ids_of(dataset.user_ids, encoder.num_users, "user").index,
        ids_of(dataset.item_ids, encoder.num_items, "item").index,
    )
    users, items = (
        own.find(index, "dataset")[1]
        for own, index in zip((parts.users, parts.items), theirs, strict=True)
    )
    copy_rows(parts.state, (len(parts.users), len(parts.items)), encoder, users, items)
    val, test = (held_out_links(graph, dataset.edge_type) for graph in (dataset[1], dataset[2]))
    return New(
        users=int((users < 0).sum()),
        items=int((items < 0).sum()),
        val=trained_on(parts.links, val, users, items),
        test=trained_on(parts.links, test, users, items),
        other=None if method == described(encoder)["class"] else method,
    )


def trained_on(links: SavedLinks, held_out: Tensor, users: Tensor, items: Tensor) -> int:
    """How many links an earlier model was trained on.

    Args:
        links: Its own.
        held_out: `[2, E]` links of a later dataset.
        users: `[U]` for each user of that the position in the earlier model, or -1.
        items: `[I]` the same for items.
    """
    pairs = torch.stack([users[held_out[0].cpu()], items[held_out[1].cpu()]])
    return int(links.trained_on(pairs[:, (pairs >= 0).all(dim=0)]).sum())


@torch.no_grad()
def copy_rows(
    state: dict[str, Tensor], sizes: tuple[int, int], encoder: Encoder, users: Tensor, items: Tensor
) -> None:
    """Copies what is known of each node into a fresh encoder, in place.

    A parameter with a row per node, `[U + I, ...]` with users before items, is copied row by row;
    another one of the same shape whole. What the earlier model does not have stays as it is.

    Args:
        state: State of the earlier encoder.
        sizes: Its numbers of users and items.
        encoder: The fresh encoder.
        users: `[U]` for each of its users the position in the earlier model, or -1.
        items: `[I]` the same for items.

    Raises:
        ValueError: If a parameter has another width, or another shape.
    """
    before = sum(sizes)
    source = torch.cat([users, torch.where(items >= 0, items + sizes[0], items)])
    (into,) = (source >= 0).nonzero(as_tuple=True)
    copies = []
    for name, parameter in encoder.named_parameters():
        if (earlier := state.get(name)) is None:
            continue
        per_node = parameter.dim() and len(parameter) == len(source) and len(earlier) == before
        same = parameter.shape[1:] == earlier.shape[1:] if per_node else False
        if not (same if per_node else parameter.shape == earlier.shape):
            expected = f"an encoder whose {name} is as wide as the earlier {[*earlier.shape]}"
            raise invalid("TrainedModel", "encoder", expected, [*parameter.shape])
        copies.append((parameter, earlier, per_node))
    for parameter, earlier, per_node in copies:  # once it is sure that all fit
        if per_node:
            parameter[into] = earlier[source[into]].to(parameter)
        else:
            parameter.copy_(earlier)
