"""Full ranking: every item that the user has not seen competes, none is sampled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType, NodeType
from torch_geometric.utils import coalesce

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.evaluation.leakage import Model, check_not_held
from pyg_negsamp.evaluation.top_k import top_k
from pyg_negsamp.graph import (
    Links,
    described,
    edge_type_of,
    held_out_links,
    is_in,
    items_among,
    joins_one_kind,
    known_links,
    own_links,
)
from pyg_negsamp.layers import (
    Embeddings,
    Layers,
    Pool,
    check_pool,
    has_types,
    layers_by_type,
    pool_layers,
)
from pyg_negsamp.numerics import wide
from pyg_negsamp.scoring import all_scores

#: Bytes of scores held at a time: within a CPU's cache, or enough to keep a GPU busy.
BLOCK_BYTES = {"cpu": 2**24, "cuda": 2**29}

#: Users whose lists are counted at a time: PyG's metrics take as long for a hundred as for ten.
USERS_COUNTED = 1024
#: Entries of lists that are counted at a time, where lists are so long that these are fewer users.
ENTRIES_COUNTED = 2**22

#: What ranks: a model; embeddings of users and items, `[N, D]` per node type or layers of it (see
#: :func:`pyg_negsamp.layers.layers_by_type`), whose pooled dot products are the scores; or a
#: function from user ids `[b]` to scores `[b, I]`, in floating point, which are finite, or `-inf`
#: for items never to be recommended.
Scorer: TypeAlias = (
    Mapping[NodeType, Layers]
    | Sequence[Mapping[NodeType, Tensor]]
    | Callable[[Tensor], Tensor]
    | Model
)


class Ranked(NamedTuple):
    """The recommendation lists of a block of `b` users.

    Attributes:
        user: `[b]` user ids.
        top: `[b, k]` item ids, best first; `I` where a user has no unseen item left.
        held_out: `[2, E]`, row 0 positions in the block, row 1 item ids of held-out links.
    """

    user: Tensor
    top: Tensor
    held_out: Tensor


def rank(
    x_dict: Scorer,
    data: HeteroData | Data,
    k: int,
    pool: Pool = "mean",
    edge_type: EdgeType | None = None,
    block_size: int | None = None,
) -> Iterator[Ranked]:
    """Ranks all unseen items for every user with held-out links, block by block.

    Memory: one `[block_size, I]` block of scores, never `U x I`.

    Args:
        x_dict: A model: an encoder, a `Recommender`, a saved model or a reference, which is refused
            if its graph holds a link to predict. Or embeddings of users and items, per layer or
            not; or a function that scores all items for users `[b]`. These cannot be checked.
        data: `edge_index` holds the links known at that time, which are left out of the lists;
            the held-out links are read by :func:`pyg_negsamp.graph.held_out_links`. In a
            homogeneous `Data` graph every node is user and item, but none is its own; so it is
            with an edge type from a node type to itself.
        k: Length of the lists.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        block_size: Users per block. Default: what fits the cache (16 MiB of scores on CPU).

    Raises:
        ValueError: If nothing is held out, sizes disagree, embeddings or scores are not finite,
            or `k` or `block_size` is less than 1.
    """
    k = whole_number("rank", "k", k, least=1)
    if block_size is not None:
        block_size = whole_number("rank", "block_size", block_size, least=1)
    edge_type = edge_type_of(data, edge_type)
    links, held_out = known_links(data, edge_type), links_to_rank(data, edge_type)
    score = scorer(x_dict, data, pool, edge_type)

    user = held_out[0].unique()
    # Links by the user's position in `user`, sorted, so that a block's links are a slice.
    position = user.new_full((links.num_users,), -1)
    position[user] = torch.arange(user.numel(), device=user.device)
    known = links.index
    if joins_one_kind(data, edge_type):
        both = torch.cat([known, held_out], dim=1)
        if items_among(data, edge_type, both) is not None:
            expected = (
                "HeteroData with two node types, as some nodes of this graph are users and others "
                "items: evaluate({'user': x[:U], 'item': x[U:]}, data)"
            )
            raise invalid("evaluate", "data", expected, type(data).__name__)
        # Nobody is recommended to oneself.
        known = torch.cat([known, own_links(links.num_items, known.device)], dim=1)
    masked, wanted = (_by_position(index, position, links.num_items) for index in (known, held_out))
    _warn_of_known(masked, wanted, links.num_items)
    first = 0
    for value, top in best_items(score, user, masked, links.num_items, k, block_size):
        if not (value[:, 0] < torch.inf).all():  # the best of each, and NaN sorts above all
            raise invalid("evaluate", "x_dict", "of finite scores, or -inf", "NaN or inf")
        last = first + len(top)
        ends = torch.searchsorted(wanted[0], wanted.new_tensor([first, last])).tolist()
        row, item = wanted[:, ends[0] : ends[1]]
        yield Ranked(user[first:last], top, torch.stack([row - first, item]))
        first = last


def best_items(
    score: Callable[[Tensor], Tensor],
    user: Tensor,
    masked: Tensor,
    num_items: int,
    k: int,
    block_size: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The best items of some users, block by block: the core of ranking and of recommending.

    Args:
        score: From user ids `[b]` to scores `[b, I]`, which are written to.
        user: `[n]` user ids; one who comes twice is ranked twice.
        masked: `[2, E]` pairs to leave out: positions in `user`, sorted, and items.
        num_items: Number of items that are scored, `I`.
        k: Length of the lists.
        block_size: Users per block. Default: what fits the cache (16 MiB of scores on CPU).

    Yields:
        Scores and item ids `[b, min(k, I)]`, best first; `-inf` and `I` where nothing is left.
    """
    if block_size is None:
        budget = BLOCK_BYTES.get(user.device.type, BLOCK_BYTES["cpu"])
        block_size = max(1, budget // (num_items * 4))
    blocks = user.split(block_size)
    start = torch.arange(len(blocks) + 1, device=user.device) * block_size
    mask_at = torch.searchsorted(masked[0], start).tolist()
    for block, ids in enumerate(blocks):
        scores = score(ids)
        row, item = masked[:, mask_at[block] : mask_at[block + 1]]
        scores[row - block * block_size, item] = -torch.inf
        value, top = top_k(scores, min(k, num_items))
        yield value, top.masked_fill_(value == -torch.inf, num_items)


def joined(blocks: Iterator[Ranked]) -> Iterator[Ranked]:
    """Successive blocks as one, of some `USERS_COUNTED` users."""
    for first in blocks:
        size = len(first.user)  # of all blocks but the last
        counted = min(USERS_COUNTED, ENTRIES_COUNTED // first.top.size(1))
        several = [first, *islice(blocks, counted // size)]
        shift = [first.held_out.new_tensor([[n * size], [0]]) for n in range(len(several))]
        held_out = [block.held_out + by for block, by in zip(several, shift, strict=True)]
        user, top = (torch.cat([block[part] for block in several]) for part in (0, 1))
        yield Ranked(user, top, torch.cat(held_out, dim=1))


def links_to_rank(data: HeteroData | Data, edge_type: EdgeType) -> Tensor:
    """The held-out links `[2, E]`; refuses a split without any."""
    held_out = held_out_links(data, edge_type)
    if held_out.size(1) == 0:
        expected = "a split with held-out links in edge_label_index"
        raise invalid("evaluate", "data", expected, described(data, edge_type))
    return held_out


def scorer(
    x_dict: Any, data: HeteroData | Data, pool: Pool, edge_type: EdgeType
) -> Callable[[Tensor], Tensor]:
    """From user ids `[b]` to scores `[b, I]`, refused if they are anything else."""
    if isinstance(x_dict, Model):
        check_not_held(x_dict, data, edge_type)
        x_dict = x_dict.scorer()
    links = known_links(data, edge_type)
    # In a homogeneous graph one table is that of all nodes.
    if has_types(x_dict) or (isinstance(data, Data) and isinstance(x_dict, Tensor | list | tuple)):
        return dot_products(x_dict, links, pool, edge_type)
    if not callable(x_dict) or isinstance(x_dict, type):
        expected = "a model, tables of embeddings by node type, or a function that scores"
        raise invalid("evaluate", "x_dict", expected, type(x_dict).__name__)

    def score(user: Tensor) -> Tensor:
        try:
            scores = x_dict(user)
        except (TypeError, IndexError, RuntimeError) as error:
            if not isinstance(x_dict, torch.nn.Module) or isinstance(error, torch.OutOfMemoryError):
                raise
            expected = (
                "a function from user ids to scores, which this module is not: make it a model, "
                "LightGCN.from_pyg(model, train_data) or FromModule(model, train_data)"
            )
            why = f"{type(x_dict).__name__}: {' '.join(str(error).split())[:200]}"
            raise invalid("evaluate", "x_dict", expected, why) from error
        if not isinstance(scores, Tensor):
            raise invalid("evaluate", "x_dict", "a function that gives scores", short(scores))
        size = (len(user), links.num_items)
        if scores.shape != size or not scores.is_floating_point():
            expected = f"a function whose scores are {[*size]}, in floating point"
            raise invalid("evaluate", "x_dict", expected, f"{[*scores.shape]} {scores.dtype}")
        return scores.clone()  # may be a view of the caller's own table, and is written to

    return score


def dot_products(
    x_dict: Embeddings,
    links: Links,
    pool: Pool,
    edge_type: EdgeType,
) -> Callable[[Tensor], Tensor]:
    """Scores by embeddings, once these are known to be sound."""
    pool = check_pool("evaluate", pool)
    layers = layers_by_type(x_dict, (edge_type[0], edge_type[2]), owner="evaluate")
    users, items = (wide(pool_layers(xs, pool)) for xs in layers)
    for table, size, node_type in (
        (users, links.num_users, edge_type[0]),
        (items, links.num_items, edge_type[2]),
    ):
        if table.dim() != 2 or table.size(0) != size or table.size(1) != users.size(-1):
            expected = f"[{size}, {users.size(-1)}] for '{node_type}' after pooling"
            raise invalid("evaluate", "x_dict", expected, [*table.shape])
        if not table.isfinite().all():
            raise invalid("evaluate", "x_dict", f"finite for '{node_type}'", "NaN or inf")

    def score(user: Tensor) -> Tensor:
        # Mixed precision is for training; here it would tie what is not tied.
        with torch.autocast(users.device.type, enabled=False):
            return all_scores(users[user], items)

    return score


def _warn_of_known(masked: Tensor, wanted: Tensor, num_items: int) -> None:
    """Says how many links to find are known already, so that no list can hold them."""
    seen, asked = (pairs[0] * num_items + pairs[1] for pairs in (masked, wanted))
    if known := int(is_in(asked, seen).sum()):
        warnings.warn(
            f"evaluate: {known} of {len(asked)} held-out links are known links (edge_index), which "
            "are left out of the lists, and so count as missed; drop them from edge_label_index?",
            stacklevel=4,
        )


def _by_position(index: Tensor, position: Tensor, num_items: int) -> Tensor:
    """Links `[2, E]` of the users that have a position, as sorted unique (position, item)."""
    row = position[index[0]]
    pairs = torch.stack([row, index[1]])[:, row >= 0]
    return coalesce(pairs, num_nodes=max(position.numel(), num_items))
