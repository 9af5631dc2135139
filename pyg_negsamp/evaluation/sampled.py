"""Sampled evaluation: held-out items compete with some of the others. For comparison only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.errors import invalid
from pyg_negsamp.evaluation.full_rank import (
    BLOCK_BYTES,
    Scorer,
    dot_products,
    evaluate,
    held_out_links,
)
from pyg_negsamp.evaluation.metrics import METRICS
from pyg_negsamp.graph import EDGE_TYPE, ITEM, USER, Links, known_links
from pyg_negsamp.nn.pooling import Pool
from pyg_negsamp.ragged import entries_of


@torch.no_grad()
def evaluate_sampled(
    x_dict: Scorer,
    data: HeteroData,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = tuple(METRICS),
    num_negatives: int = 100,
    num_sets: int = 10,
    pool: Pool = "mean",
    edge_type: EdgeType = EDGE_TYPE,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Evaluates embeddings on test sets in which held-out items compete with sampled ones.

    The protocol of "Dynamic Negative Sampling for Contrastive Recommendation" (2022), section
    4.2: several test sets that differ in the negatives sampled, to be reported together. In each,
    a user's held-out items are ranked against `num_negatives` items drawn uniformly and without
    replacement from those that are neither known nor held out.

    These numbers are no estimates of those by :func:`evaluate`, however many sets are averaged,
    and can order methods differently (Krichene & Rendle, KDD 2020,
    doi:10.1145/3394486.3403226). Use them to compare with what a paper reports so, not to choose.

    What is drawn depends on `seed`, the number of the set, `num_negatives`, the split and the kind
    of device, and not on what is evaluated: all methods face the same items. The first sets are
    the same however many follow.

    Memory: as :func:`evaluate`. Cost: for every set that of :func:`evaluate`, because all items
    are scored; drawing costs little up to some thousand negatives.

    Args:
        x_dict: Embeddings, or a function that scores, as for :func:`evaluate`.
        data: A validation or test split, as for :func:`evaluate`.
        k: Lengths of the recommendation lists. Default 20.
        metrics: Names out of `METRICS`. Default: all.
        num_negatives: Items to draw for a user in a set; all, if there are no more. Default 100,
            as is usual; the paper does not say.
        num_sets: Number of test sets. Default 10, as in the paper.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        seed: Seed of the draws, not negative.

    Returns:
        What :func:`evaluate` returns, for every set.

    Raises:
        ValueError: If a number is out of range, besides what :func:`evaluate` raises.
    """
    least = {"num_negatives": (num_negatives, 1), "num_sets": (num_sets, 1), "seed": (seed, 0)}
    for name, (value, low) in least.items():
        if value < low:
            raise invalid("evaluate_sampled", name, f"at least {low}", value)
    links, held_out = known_links(data, edge_type), held_out_links(data, edge_type)
    score = x_dict if callable(x_dict) else dot_products(x_dict, links, pool, edge_type)
    user = torch.arange(links.num_users, device=held_out.device)
    known, wanted = (by_position(index, user, links.num_items) for index in (links.index, held_out))
    # The stream is read block by block, so blocks must not depend on anything but the catalogue.
    budget = BLOCK_BYTES.get(held_out.device.type, BLOCK_BYTES["cpu"])
    block_size = max(1, budget // (links.num_items * 8))
    generator = torch.Generator(held_out.device).manual_seed(seed)
    among = _among_sampled(score, known, wanted, num_negatives, generator)
    return [
        evaluate(among, data, k, metrics, edge_type=edge_type, block_size=block_size)
        for _ in range(num_sets)
    ]


def _among_sampled(
    score: Callable[[Tensor], Tensor],
    known: Tensor,
    wanted: Tensor,
    num_negatives: int,
    generator: torch.Generator,
) -> Callable[[Tensor], Tensor]:
    """Scores of held-out items and of as many others as wanted, drawn anew at every call.

    Args:
        score: From user ids `[b]` to scores `[b, I]`.
        known: `[2, E]` known links, sorted by user.
        wanted: `[2, E]` held-out links, sorted by user.
        num_negatives: Others to draw.
        generator: Source of randomness.
    """

    def among(user: Tensor) -> Tensor:
        scores = score(user)
        # The highest of independent draws are a sample without replacement; in double precision,
        # so that equal draws, of which the lower id might win, are out of the question.
        draw = torch.rand(
            scores.shape, dtype=torch.double, device=scores.device, generator=generator
        )
        held_out = _entries(wanted, user)
        for taken in (_entries(known, user), held_out):
            draw[taken] = -1
        highest, item = top_k(draw, min(num_negatives, draw.size(1)))
        competes = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, item, highest >= 0)
        competes[held_out] = True
        return scores.masked_fill(~competes, -torch.inf)

    return among


def _entries(links: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
    """Positions in `user [b]` and items of the users' links, out of `links [2, E]` by user."""
    first = torch.searchsorted(links[0], user)
    row, entry = entries_of(first, torch.searchsorted(links[0], user, right=True) - first)
    return row, links[1, entry]
