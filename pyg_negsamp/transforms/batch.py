"""Reading positives off PyG's mini-batches and writing negatives onto them.

PyG's link loaders and link splits know two forms:

    triplet    `src_index [B]`, `dst_pos_index [B]`, and `dst_neg_index` if the loader drew
    binary     `edge_label_index [2, B]` and `edge_label [B]`; negatives are links labelled 0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import BaseStorage
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import BatchCandidates, Candidates
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.graph import check_labels, check_shape, described, is_index
from pyg_negsamp.transforms.checks import check_ids, check_range
from pyg_negsamp.transforms.negatives import Negatives


@dataclass
class Positives:
    """What a batch asks negatives for.

    Attributes:
        user: `[B]` ids, in the numbering of the batch.
        pos: `[B]` ids.
        candidates: `[B, M]` ids that the loader drew, or `None`.
        hopeless: `[B]` rows of which all candidates are known positives, or `None` if that
            cannot be or is not known.
        binary: Whether the batch is in the binary form.
        named_globally: The same users and positives in the numbering of the whole graph.
        size: Numbers of users and items that tables have a row for; `None` if nobody knows.
        time: `[B]` when each row happened, or `None`.
    """

    user: Tensor
    pos: Tensor
    named_globally: tuple[Tensor, Tensor]
    candidates: Tensor | None = None
    hopeless: Tensor | None = None
    binary: bool = False
    size: tuple[int, int] | None = None
    time: Tensor | None = None


def read_positives(
    owner: object,
    batch: HeteroData | Data,
    edge_type: EdgeType,
    known: Candidates | None,
    num: int | None,
    generator: torch.Generator | None,
) -> Positives:
    """Reads either form.

    Args:
        owner: Who asks, for the errors.
        batch: The mini-batch.
        edge_type: The interactions in it.
        known: Tells known positives among the candidates of a sampled subgraph apart, through
            its global ids (`n_id`), and items that did not exist yet. Without it, they stay among
            the candidates.
        num: Candidates per positive to draw out of a sampled subgraph's own positives, `M`; `None`
            if there is no need for any.
        generator: Source of randomness for these.

    Raises:
        ValueError: If a field is missing.
    """
    if not isinstance(batch, HeteroData | Data):
        raise invalid(owner, "batch", "a mini-batch, HeteroData or Data", short(batch))
    users, items, links = stores(batch, edge_type)
    binary = "src_index" not in users and "edge_label_index" in links
    candidates: Tensor | None = None
    if binary:
        user, pos = labelled_positives(owner, links, in_subgraph="n_id" in users)
    else:
        user, pos = triplets(owner, batch, edge_type)
        if "dst_neg_index" in items:
            candidates = candidates_of(owner, items.dst_neg_index, len(user), num or 1)
    check_ids(owner, user, pos)
    # Where items exist always, it does not matter when a row happened.
    time = None if known is None or known.since is None else row_time(users, links)
    if "n_id" not in items:
        size = None if known is None else (known.num_users, known.num_items)
        if size is not None:
            check_range(owner, "dst_neg_index", candidates, size[1])
        return Positives(user, pos, (user, pos), candidates, binary=binary, size=size, time=time)
    if known is not None and known.num_relations is not None:
        expected = "in the numbering of the whole graph, as its users are heads with relations"
        raise invalid(owner, "batch", expected, "a sampled subgraph (n_id)")
    if candidates is None and num is not None and not isinstance(known, BatchCandidates):
        expected = (
            "drawn by the loader (neg_sampling=dict(mode='triplet', amount=M)), because this batch "
            "numbers its nodes anew; or a sampler with BatchCandidates, which needs none"
        )
        raise invalid(owner, "dst_neg_index", expected, "a sampled subgraph without it")
    size = (len(users.n_id), len(items.n_id))
    for name, index, num_rows in (
        ("user", user, size[0]),
        ("pos", pos, size[1]),
        ("dst_neg_index", candidates, size[1]),
    ):
        check_range(owner, name, index, num_rows)
    globally = (users.n_id[user], items.n_id[pos])
    hopeless = None
    if candidates is None and num is not None:
        assert isinstance(known, BatchCandidates)
        existing = known.existing(globally[0], time)
        row, left = known.rows(*globally, num, generator, existing)
        candidates, hopeless = pos[row], left <= 0
    elif candidates is not None and known is not None:
        column = None if time is None else time.unsqueeze(-1)
        allowed = known.may_be_drawn(globally[0].unsqueeze(1), items.n_id[candidates], column)
        candidates, hopeless = without(candidates, ~allowed)
    return Positives(user, pos, globally, candidates, hopeless, binary, size)


def labelled_positives(owner: object, links: Any, in_subgraph: bool) -> Tensor:
    """The positives `[2, B]` of the binary form.

    Args:
        owner: Who asks, for the errors.
        links: Where the batch keeps its links.
        in_subgraph: Whether it is a sampled subgraph, whose loader can draw in triplet form.

    Raises:
        ValueError: If these are no links, or if there are negatives among them already.
    """
    index, label = links.edge_label_index, links.get("edge_label")
    check_shape(owner, "edge_label_index", index)
    if label is not None:
        check_labels(owner, label, index.size(1))
        if not bool((label > 0).all()):
            expected = (
                "of positives alone: let the loader draw in triplet form (neg_sampling='triplet')"
                if in_subgraph
                else "of positives alone: leave negatives to this transform (neg_sampling=None, or "
                "RandomLinkSplit(add_negative_train_samples=False))"
            )
            some = label[~(label > 0)].unique().tolist()
            got = f"links labelled {', '.join(map(str, some[:3]))}"
            raise invalid(owner, "edge_label", expected, got)
    found: Tensor = index
    return found


def triplets(owner: object, batch: HeteroData | Data, edge_type: EdgeType) -> tuple[Tensor, Tensor]:
    """The users `[B]` and the positives `[B]` of the triplet form.

    Args:
        owner: Who asks, for the errors.
        batch: The mini-batch.
        edge_type: The interactions in it.

    Raises:
        ValueError: If the batch does not have them.
    """
    users, items, _ = stores(batch, edge_type)
    for store, field in ((users, "src_index"), (items, "dst_pos_index")):
        if field not in store:
            expected = (
                f"a mini-batch with '{field}', as LinkNeighborLoader(neg_sampling='triplet') "
                "and pyg_negsamp.training.LinkLoader make them, or with 'edge_label_index', "
                "as RandomLinkSplit makes it"
            )
            if isinstance(batch, HeteroData) and edge_type[2] not in batch.node_types:
                expected += f"; of edge type {edge_type}, unless the sampler has edge_type=..."
            raise invalid(owner, "batch", expected, described(batch, edge_type))
    return users.src_index, items.dst_pos_index


def candidates_of(owner: object, drawn: object, num_rows: int, num: int) -> Tensor:
    """What a loader drew, as `[B, M]`.

    Args:
        owner: Who asks, for the error.
        drawn: `[B, M]`, or `[B * M]`.
        num_rows: Number of positives, `B`.
        num: What `M` is, if there are no rows to tell.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(drawn, Tensor) and is_index(drawn):
        if drawn.dim() == 2 and len(drawn) == num_rows:
            return drawn
        if drawn.dim() == 1 and num_rows and len(drawn) % num_rows == 0:
            return drawn.view(num_rows, -1)
        if drawn.dim() == 1 and num_rows == len(drawn) == 0:
            return drawn.view(0, num)
    expected = f"integers [B], [B, M] or [B * M] with B = {num_rows}"
    raise invalid(owner, "dst_neg_index", expected, short(drawn))


def row_time(users: Any, links: Any) -> Tensor | None:
    """When the rows of a batch happened, as PyG's temporal loaders say in either form."""
    for store, name in (
        (links, "edge_label_time"),
        (users, "edge_label_time"),
        (users, "seed_time"),
    ):
        time: Tensor | None = store.get(name)
        if time is not None:
            return time
    return None


def without(candidates: Tensor, refused: Tensor) -> tuple[Tensor, Tensor]:
    """Puts other candidates of the same row in the place of refused ones.

    Args:
        candidates: `[B, M]` item ids.
        refused: `[B, M]` which of them are not to be used.

    Returns:
        `[B, M]`, the accepted ones of each row first and then repeated; and `[B]` rows in which
        all are refused, which come back as they were.
    """
    order = refused.int().argsort(dim=1, stable=True)
    accepted = (~refused).sum(dim=1, keepdim=True)
    turn = torch.arange(candidates.size(1), device=candidates.device) % accepted.clamp(min=1)
    hopeless = accepted.squeeze(1) == 0
    turn = torch.where(hopeless.unsqueeze(1), torch.arange(candidates.size(1)).to(turn), turn)
    return candidates.gather(1, order.gather(1, turn)), hopeless


def write_negatives(
    batch: HeteroData | Data,
    edge_type: EdgeType,
    positives: Positives,
    index: Tensor | None,
    negatives: Negatives | None = None,
    as_links: bool = False,
) -> None:
    """Writes onto `batch`, in place, in the form that `positives` came in.

    Args:
        batch: The mini-batch.
        edge_type: The interactions in it.
        positives: What :func:`read_positives` read from it.
        index: `[B, K]` or `[B, K, H]` ids of the negatives, or `None`.
        negatives: The rest of them, where embeddings were given.
        as_links: Whether to write links of positives and negatives besides the triplet form.
    """
    _, items, links = stores(batch, edge_type)
    weight = None if negatives is None else negatives.weight
    if positives.hopeless is not None:
        useful = (~positives.hopeless).unsqueeze(1)
        made = index if negatives is None else negatives.xs
        assert made is not None
        if weight is None:
            weight = torch.ones(made.shape[:2], device=useful.device)
        weight = weight * useful
    if negatives is not None and negatives.loss is not None:
        items.dst_neg_loss = negatives.loss
    if positives.binary:
        assert index is not None
        write_links(links, positives, index, links.get("edge_label"), weight)
        return
    if index is not None:
        items.dst_neg_index = index
    if negatives is not None:
        items.dst_neg_xs = negatives.xs
        if negatives.shared is not None:
            items.dst_neg_shared_xs = negatives.shared
        if negatives.log_q is not None:
            items.dst_neg_log_q = negatives.log_q
        if negatives.pos_log_q is not None:
            items.dst_pos_log_q = negatives.pos_log_q
    if weight is not None:
        items.dst_neg_weight = weight
    if as_links:
        assert index is not None
        store = batch[edge_type] if isinstance(batch, HeteroData) else batch
        write_links(store, positives, index, None, weight)


def write_links(
    links: Any, positives: Positives, index: Tensor, label: Tensor | None, weight: Tensor | None
) -> None:
    """Writes positives, and then negatives `[B, K]`, as links with labels and weights."""
    if index.dim() == 3:  # a single layer
        index = index.squeeze(2)
    own = torch.stack([positives.user, positives.pos])
    drawn = torch.stack([positives.user.repeat_interleave(index.size(1)), index.flatten()])
    if label is None:
        label = torch.ones(own.size(1), device=drawn.device)
    links.edge_label = torch.cat([label, label.new_zeros(drawn.size(1))])
    links.edge_label_index = torch.cat([own, drawn], dim=1)
    time = links.get("edge_label_time")
    if time is not None and len(time) == own.size(1):  # a negative is of its row's time
        links.edge_label_time = torch.cat([time, time.repeat_interleave(index.size(1))])
    if weight is not None:
        links.edge_label_weight = torch.cat([weight.new_ones(own.size(1)), weight.flatten()])


def stores(batch: HeteroData | Data, edge_type: EdgeType) -> tuple[Any, Any, Any]:
    """Where a batch keeps its users, its items, and its links; what it has not, is empty."""
    if not isinstance(batch, HeteroData):
        return batch, batch, batch
    there = {*batch.node_types, *batch.edge_types}  # to ask for another would make it
    first, _, last = edge_type
    users, items, links = (
        batch[key] if key in there else BaseStorage() for key in (first, last, edge_type)
    )
    return users, items, links
