"""Rows for persons whom the model has not met: what the encoders' `fold_in` is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE, ITEM, USER
from pyg_negsamp.layers import rows_at
from pyg_negsamp.nn.adjacency import Adjacency, inverse_root
from pyg_negsamp.numerics import wide
from pyg_negsamp.products import cosine
from pyg_negsamp.scoring import similarity_of

#: Negatives per person, shared by that person's links, and the seed that they are drawn from.
NUM_NEGATIVES, SEED = 256, 0
#: Persons whose vectors are fitted at a time, and the most steps of L-BFGS.
BLOCK, MAX_STEPS = 256, 200


def new_link_weights(adjacency: Adjacency, owner: Tensor, node: Tensor) -> Tensor:
    r"""The entries :math:`1 / (\sqrt{n} \sqrt{\deg(i)})` of new nodes; ones if not normalised.

    Args:
        adjacency: The graph without the new nodes, whose degrees stay what they are.
        owner: `[E]` which new node a link is of, `n` links each.
        node: `[E]` the node of the graph at its other end.

    Returns:
        `[E]` in the precision of the adjacency.
    """
    count = torch.bincount(owner)
    own = inverse_root(count) if adjacency.normalize else torch.ones_like(count)
    return (own[owner] * adjacency.root[node]).to(adjacency.value.dtype)


def sum_by_owner(x: Tensor, owner: Tensor, item: Tensor, weight: Tensor, num: int) -> Tensor:
    """Weighted sums of the rows that each person took: `[num, D]`.

    Args:
        x: `[I, D]`.
        owner: `[E]` persons, in `[0, num)`.
        item: `[E]` rows of `x`.
        weight: `[E]`.
        num: Number of persons.
    """
    rows = wide(rows_at(x, item)) * weight.unsqueeze(1)
    return rows.new_zeros(num, x.size(1)).index_add_(0, owner, rows).to(x.dtype)


def fitted_rows(
    items: Tensor,
    owner: Tensor,
    item: Tensor,
    num: int,
    loss: torch.nn.Module,
    l2: float,
    ones: int = 0,
    score: torch.nn.Module | None = None,
) -> Tensor:
    """The rows that minimise the training loss on what some persons took, with the items fixed.

    Negatives are `NUM_NEGATIVES` per person, uniform over what the person did not take, and the
    same at every call. L-BFGS in double precision starts from zero and takes at most `MAX_STEPS`
    steps, for a block of persons at a time. It stops, so that a loss without a minimum (BPR
    without a penalty) gives a finite vector.

    Args:
        items: `[I, W]` scoring rows of the items.
        owner: `[E]` which person took an item, in `[0, num)`; in any order.
        item: `[E]` the items.
        num: Number of persons.
        loss: From scores `[E]`, `[E, K]` and no weights to their mean. With
            `similarity = 'cosine'` it gets cosines. What it has for new users (`of_new_users`)
            takes its place.
        l2: Coefficient of the penalty, half the squared norm of a row for each of its links. Left
            out with cosines, where it would not change the direction of the best row.
        ones: How many of the last columns of a person's row are not fitted, but 1.
        score: A decoder, by which rows are scored. Default: the loss's similarity.

    Returns:
        `[num, W]` in the precision of `items`.
    """
    loss = getattr(loss, "of_new_users", lambda: loss)()
    if score is None:
        score_of = similarity_of(getattr(loss, "similarity", "dot"))
    else:  # a copy: a decoder works in its own precision
        score_of = copy.deepcopy(score).double().eval().requires_grad_(False)
    table = items.double()
    owner, order = owner.sort(stable=True)
    item = item[order]
    negatives = _negatives(owner, item, num, len(items))
    rows = [table.new_zeros(0, table.size(1))]
    for person in torch.arange(num, device=items.device).split(BLOCK):
        ends = person.new_tensor([int(person[0]), int(person[-1]) + 1])
        first, last = torch.searchsorted(owner, ends).tolist()
        block = slice(first, last)
        neg = rows_at(table, negatives[person])
        pos, whose = rows_at(table, item[block]), owner[block] - person[0]
        rows.append(_fit(pos, whose, neg, loss, l2, ones, score_of))
    return torch.cat(rows).to(items.dtype)


def _negatives(owner: Tensor, item: Tensor, num: int, num_items: int) -> Tensor:
    """Items `[num, K]` that the persons did not take, the same at every call."""
    taken = HeteroData()
    taken[USER].num_nodes, taken[ITEM].num_nodes = num, num_items
    taken[EDGE_TYPE].edge_index = torch.stack([owner, item])
    source, generator = UniformCandidates(taken), torch.Generator(owner.device)
    nobody = torch.empty(0, NUM_NEGATIVES, dtype=torch.long, device=owner.device)
    # Each from the beginning of the stream: nobody's depend on who else is in the call.
    drawn = [
        source(person, NUM_NEGATIVES, generator.manual_seed(SEED))
        for person in torch.arange(num, device=owner.device).split(1)
    ]
    return torch.cat([nobody, *drawn])


def _fit(
    pos: Tensor,
    owner: Tensor,
    neg: Tensor,
    loss: torch.nn.Module,
    l2: float,
    ones: int,
    score: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Fits rows to positives `[E, W]` of persons `[E]` and their negatives `[b, K, W]`."""
    count = torch.bincount(owner, minlength=len(neg)).to(pos.dtype)
    free = pos.new_zeros(len(neg), pos.size(1) - ones)
    if score is cosine:  # which zero has none of: start in the middle of what was taken
        free.index_add_(0, owner, pos[:, : free.size(1)])
        if not ones:  # a penalty would shorten the row without end, and leave its direction
            l2 = 0.0
    free.requires_grad_()
    fixed = pos.new_ones(len(neg), ones)
    optimizer = torch.optim.LBFGS(
        [free],
        max_iter=MAX_STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        rows = torch.cat([free, fixed], dim=1)
        positive = score(rows[owner], pos.unsqueeze(1)).squeeze(1)
        total = loss(positive, score(rows, neg)[owner], None) * len(owner)
        total = total + l2 / 2 * (count * rows.square().sum(dim=1)).sum()
        total.backward()
        return total.detach()

    with torch.enable_grad():
        optimizer.step(objective)
    return torch.cat([free.detach(), fixed], dim=1)
