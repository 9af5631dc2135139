"""Sampled evaluation: held-out items compete with some of the others. For comparison only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.errors import whole_number
from pyg_negsamp.evaluation.full_rank import BLOCK_BYTES, Scorer, links_to_rank, scorer
from pyg_negsamp.evaluation.measures import evaluate
from pyg_negsamp.evaluation.metrics import ACCURACY, check_metrics
from pyg_negsamp.graph import (
    EDGE_TYPE,
    ITEM,
    USER,
    Links,
    edge_type_of,
    joins_one_kind,
    known_links,
    own_links,
)
from pyg_negsamp.layers import Pool
from pyg_negsamp.ragged import entries_of


@torch.no_grad()
def evaluate_sampled(
    x_dict: Scorer,
    data: HeteroData,
    k: Sequence[int] = (20,),
    metrics: Sequence[str] = ACCURACY,
    num_negatives: int = 100,
    num_sets: int = 10,
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
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
        metrics: Names out of `ACCURACY`: lists out of a sample say nothing of coverage or
            popularity. Default: all of them.
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
    num_negatives = whole_number("evaluate_sampled", "num_negatives", num_negatives, least=1)
    num_sets = whole_number("evaluate_sampled", "num_sets", num_sets, least=1)
    metrics = check_metrics(metrics, ACCURACY)
    seed = whole_number("evaluate_sampled", "seed", seed, most=2**63 - 1)
    edge_type = edge_type_of(data, edge_type)
    links, held_out = known_links(data, edge_type), links_to_rank(data, edge_type)
    score = scorer(x_dict, data, pool, edge_type)
    taken = torch.cat([links.index, held_out], dim=1)
    if joins_one_kind(data, edge_type):  # nobody competes for oneself
        taken = torch.cat([taken, own_links(links.num_items, taken.device)], dim=1)
    among = _among_sampled(score, links, taken, held_out, num_negatives, seed)
    # Users are drawn for block by block, so blocks must not depend on what is evaluated.
    block_bytes = BLOCK_BYTES.get(held_out.device.type, BLOCK_BYTES["cpu"])
    block_size = max(1, block_bytes // (links.num_items * 4))
    return [
        evaluate(among, data, k, metrics, edge_type=edge_type, block_size=block_size)
        for _ in range(num_sets)
    ]


def _among_sampled(
    score: Callable[[Tensor], Tensor],
    links: Links,
    taken: Tensor,
    held_out: Tensor,
    num: int,
    seed: int,
) -> Callable[[Tensor], Tensor]:
    """Scores of held-out items and of `num` others, drawn anew at every call; `-inf` elsewhere.

    Args:
        score: From user ids `[b]` to scores `[b, I]`.
        links: Known links.
        taken: `[2, E]` links that are no competitors: known and held-out ones.
        held_out: `[2, E]` held-out links.
        num: Others to draw.
        seed: Seed of the draws.
    """
    graph = HeteroData()
    # An item more, which is none, for users who have nothing left to draw.
    graph[USER].num_nodes, graph[ITEM].num_nodes = links.num_users, links.num_items + 1
    graph[EDGE_TYPE].edge_index = taken
    source, num = UniformCandidates(graph), min(num, links.num_items)
    generator = torch.Generator(held_out.device).manual_seed(seed)
    wanted = coalesce(held_out, num_nodes=max(links.num_users, links.num_items))

    def among(user: Tensor) -> Tensor:
        scores = score(user)
        left = links.num_items - (source.known.first[user + 1] - source.known.first[user])
        everything = left <= num
        result = torch.full_like(scores, -torch.inf)
        result[everything] = scores[everything]
        drawn = _different(source, user, num, left.masked_fill(everything, 0), generator)
        first = torch.searchsorted(wanted[0], user)
        last = torch.searchsorted(wanted[0], user, right=True)
        row, entry = entries_of(first, last - first)
        for competes in (drawn, (row, wanted[1, entry])):
            result[competes] = scores[competes]
        return result

    return among


def _different(
    source: UniformCandidates, user: Tensor, num: int, left: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws without replacement: the first `num` different ones of draws with replacement.

    Args:
        source: What to draw from; its last item is none.
        user: `[b]` user ids.
        num: How many.
        left: `[b]` how many there are, more than `num`; or 0 for users who need none.
        generator: Source of randomness.

    Returns:
        Positions in `user` and item ids.
    """
    none, needed = source.num_items - 1, left.clamp(max=num)
    kept = user.new_full((len(user), num), none)
    while bool(((kept != none).sum(dim=1) < needed).any()):
        drawn = torch.cat([kept, source(user, num, generator)], dim=1)
        item, order = drawn.sort(dim=1, stable=True)
        new = item != none
        new[:, 1:] &= item[:, 1:] != item[:, :-1]
        new = torch.empty_like(new).scatter_(1, order, new)  # in the order of drawing
        new &= new.cumsum(dim=1) <= num
        kept = drawn.masked_fill(~new, none).sort(dim=1).values[:, :num]
    row, column = (kept != none).nonzero(as_tuple=True)
    return row, kept[row, column]
