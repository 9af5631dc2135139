"""The graphs of encoder, candidates and training are three arguments: do they go together?"""

from __future__ import annotations

import warnings

from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation import check_not_held
from pyg_negsamp.graph import known_links
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.training.recommender import Recommender
from pyg_negsamp.transforms.checks import check_known


def check_graphs(
    recommender: Recommender,
    train_data: HeteroData,
    val_data: HeteroData | None,
    positives: Tensor,
    times: Tensor | None = None,
) -> None:
    """Refuses graphs that do not go together; warns where their links differ otherwise.

    Args:
        recommender: Its encoder and its candidates were made from a graph each.
        train_data: The graph to train on.
        val_data: The split to select by, if any.
        positives: `[2, E]` links to train on.
        times: `[E]` when they happened, if anybody says.

    Raises:
        ValueError: If sizes differ, if the encoder's graph holds links of the split, if links to
            train on are not known to the candidates, or if items have times and links have none,
            or one at which there was nothing to draw.
    """
    encoder, sampler = recommender.encoder, recommender.sampler
    links = known_links(train_data, encoder.edge_type)
    size, other = (
        f"{graph.num_users} users and {graph.num_items} items" for graph in (encoder, links)
    )
    if size != other:
        expected = f"a graph of {size}, as the encoder's"
        raise invalid("fit", "train_data", expected, other)
    if val_data is not None:
        check_not_held(encoder, val_data, encoder.edge_type)
        shown = known_links(val_data, encoder.edge_type)
        known_there = Pairs(shown.index, shown.num_users, shown.num_items).hold(
            *positives.to(shown.index.device)
        )
        if others := int((~known_there).sum()):
            warnings.warn(
                f"fit: {others} of {positives.size(1)} links to train on are not known in val_data "
                "(edge_index), and so compete in its lists. Is it meant to be so?",
                stacklevel=3,
            )
    assert sampler.candidates is not None  # the recommender has seen to it
    if sampler.check_positives:
        known = sampler.candidates.known.key.device
        user, pos = positives.to(known)
        check_known(sampler, sampler.candidates, user, pos, looked_at=len(user))
    if recommender.timed:
        if times is None:
            expected = "with edge_label_time, when each link happened, as items have times"
            raise invalid("fit", "train_data", expected, "links without")
        device = sampler.candidates.known.key.device
        able = sampler.candidates.can_draw(positives[0].to(device), times.to(device))
        if not bool(able.all()):
            expected = "of links at whose times there was something to draw (leave the others out)"
            raise invalid("fit", "train_data", expected, f"{int((~able).sum())} links without")
    found = {
        "train_data": Pairs(links.index, links.num_users, links.num_items).fingerprint(),
        "the candidates' graph": sampler.candidates.fingerprint,
    }
    if encoder.links is not None:
        found["the encoder's graph"] = encoder.links.fingerprint()
    if len(set(found.values())) > 1:
        counts = ", ".join(f"{name} has {mark.num_links}" for name, mark in found.items())
        warnings.warn(f"fit: links differ: {counts}. Is it meant to be so?", stacklevel=3)
