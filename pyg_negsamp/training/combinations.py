"""Which encoder, sampler and loss go together: what each declares, held against the others.

A part that is added to a registry has nothing to say here. It says of itself what it needs, what it
gives and what it looks at; the rules below are all that follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

import torch

from pyg_negsamp.errors import ArgumentError, invalid
from pyg_negsamp.losses import NEEDS
from pyg_negsamp.nn.encoder import Encoder
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling

#: Which part is wrong, what would have been right, and what came.
Complaint: TypeAlias = tuple[str, str, object]
OF_A_BATCH = "one that knows no more than the batch, with the encoder's num_neighbors"


def clash(
    encoder: Encoder, sampler: NegativeSampling, loss: torch.nn.Module
) -> ArgumentError | None:
    """Why three parts do not go together, in one line; `None` if they do.

    Args:
        encoder: Of its graph, pool, width and edge type; perhaps with a decoder, or with sampled
            neighbourhoods.
        sampler: What it gives, and what it looks at.
        loss: What it needs, and what it cannot do without. Any module will do: what it does not
            declare, it does not need.

    Returns:
        The error, for the caller to raise.
    """
    complaints = chain(
        _of_sampler(encoder, sampler), _of_loss(encoder, loss), _between(sampler, loss)
    )
    return next((invalid("Recommender", *complaint) for complaint in complaints), None)


def waste(sampler: NegativeSampling, loss: torch.nn.Module) -> str | None:
    """What is lost where a sampler and a loss go together, but for less than they cost.

    Returns:
        A line; `None` if nothing is lost.
    """
    name, of = type(loss).__name__, type(sampler).__name__
    least, num = getattr(loss, "least_negatives", 1), sampler.num_negatives
    if least == 0 and (sampler.reads_embeddings or sampler.needs_whole_table):
        return f"{name} looks at no negatives: {of} chooses them in vain, RNS costs least"
    if num < least:
        return f"{name} is itself with {least} negatives per positive or more (num_negatives={num})"
    return None


def _of_sampler(encoder: Encoder, sampler: NegativeSampling) -> Iterator[Complaint]:
    """What is wrong with a sampler for an encoder."""
    if sampler.pool != encoder.pool:
        expected = f"one with the encoder's pool {encoder.pool!r}"
        yield "sampler", expected, f"pool {sampler.pool!r}"
    if sampler.edge_type != encoder.edge_type:
        expected = f"one with the encoder's edge_type {encoder.edge_type}"
        yield "sampler", expected, sampler.edge_type
    if sampler.width not in (None, encoder.width):
        expected = f"one for the encoder's width {encoder.width} (dim)"
        yield "sampler", expected, f"width {sampler.width}"
    if sampler.candidates is None:
        yield "sampler", "one with candidates to draw from", "none"
        return
    size, other = (
        f"{graph.num_users} users and {graph.num_items} items"
        for graph in (encoder, sampler.candidates)
    )
    if size != other:
        yield "sampler", f"one with candidates from the encoder's graph, of {size}", other
    if encoder.num_neighbors is not None and (
        sampler.needs_whole_table or sampler.needs_global_ids
    ):
        yield "sampler", OF_A_BATCH, f"{type(sampler).__name__}, of the whole graph"


def _of_loss(encoder: Encoder, loss: torch.nn.Module) -> Iterator[Complaint]:
    """What is wrong with a loss for an encoder."""
    name, similarity = type(loss).__name__, getattr(loss, "similarity", "dot")
    if similarity not in ("dot", "cosine"):
        yield "loss.similarity", "'dot' or 'cosine'", repr(similarity)
    if unknown := set(getattr(loss, "needs", ())) - set(NEEDS):
        yield "loss.needs", f"out of {', '.join(NEEDS)}", min(unknown)
    for size in ("num_users", "num_items"):
        if (got := getattr(loss, size, None)) not in (None, getattr(encoder, size)):
            expected = f"one made for the encoder's {getattr(encoder, size)} {size[4:]}"
            yield "loss", expected, f"{name} with {size}={got}"
    looks_at_all = getattr(loss, "needs_whole_table", False)
    if encoder.decoder is not None:
        if similarity != "dot":
            expected = (
                "one of dot products, since the encoder has a decoder: BPRLoss(), or "
                "SampledSoftmaxLoss(similarity='dot')"
            )
            yield "loss", expected, f"similarity {similarity!r}"
        if looks_at_all:
            expected = "one that reads no whole table, since products there are not the decoder's"
            yield "loss", expected, name
    if encoder.num_neighbors is not None and looks_at_all:
        yield "loss", OF_A_BATCH, f"{name}, of the whole graph"


def _between(sampler: NegativeSampling, loss: torch.nn.Module) -> Iterator[Complaint]:
    """What a loss cannot do without, and a sampler does not give."""
    for needed in getattr(loss, "requires", ()):
        if needed not in sampler.gives:
            givers = [cls.__name__ for cls in SAMPLERS.values() if needed in cls.gives]
            such = f", such as {', '.join(givers[:3])}," if givers else ""
            expected = f"one that gives {needed}{such} for {type(loss).__name__}"
            yield "sampler", expected, type(sampler).__name__
