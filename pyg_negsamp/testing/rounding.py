"""What the third step of a sampler gives in one precision, to compare with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyg_negsamp.layers import ego_rows, gather_rows, pool_rows
from pyg_negsamp.losses import l2_penalty
from pyg_negsamp.scoring import Similarity, shared_scores, similarity_of
from pyg_negsamp.testing.toy_problem import Toy
from pyg_negsamp.transforms import NegativeSampling, Selection


@dataclass
class Step:
    """What a step calculates, in double precision.

    Attributes:
        loss: The whole loss, a scalar.
        gradient: `[P]` its gradient to all tables and to what the sampler learns.
    """

    loss: Tensor
    gradient: Tensor


def step(sampler: NegativeSampling, chosen: Selection, problem: Toy, loss: torch.nn.Module) -> Step:
    """The third step of a sampler, scores, loss and gradients, for items chosen before.

    Args:
        sampler: In the precision of the problem.
        chosen: What it chose.
        problem: Tables and positives.
        loss: As for :class:`pyg_negsamp.training.Recommender`.
    """
    tables = [x.detach().requires_grad_() for x in (*problem.user_xs, *problem.item_xs)]
    user_xs, item_xs = tables[: len(problem.user_xs)], tables[len(problem.user_xs) :]
    user, pos = gather_rows(user_xs, problem.user), gather_rows(item_xs, problem.pos)
    neg = chosen.arrange(gather_rows(item_xs, chosen.items))
    made = sampler.make(chosen, user, pos, neg)
    neg = made.xs if made.shared is None else made.shared
    u, p, n = (pool_rows(x, sampler.pool) for x in (user, pos, neg))
    similarity: Similarity = getattr(loss, "similarity", "dot")
    score = similarity_of(similarity)
    known = {
        "user": problem.user,
        "item": problem.pos,
        "neg_item": made.index,
        "log_q": made.log_q,
        "pos_log_q": made.pos_log_q,
        "user_rows": u,
        "pos_rows": p,
    }
    needed = {name: known[name] for name in getattr(loss, "needs", ())}
    scores = score(u, n) if made.shared is None else shared_scores(similarity, u, n)
    value = loss(score(u, p.unsqueeze(1)).squeeze(1), scores, made.weight, **needed)
    value = value + 1e-3 * l2_penalty(*map(ego_rows, (user, pos, neg)))
    if made.loss is not None:
        value = value + made.loss
    leaves = [*tables, *sampler.parameters()]
    with torch.autocast("cpu", enabled=False):  # as trainers do, who go back outside of it
        found = torch.autograd.grad(value, leaves, allow_unused=True)
    gradient = [g.double().flatten() for g in found if g is not None]
    return Step(value.detach().double(), torch.cat(gradient))


def as_type(state: Any, dtype: torch.dtype) -> Any:
    """A selection, or what is in one, with its floating point numbers in `dtype`."""
    if isinstance(state, Selection):
        return Selection(state.index, as_type(state.state, dtype))
    if isinstance(state, Sequence):
        return tuple(as_type(part, dtype) for part in state)
    return state.to(dtype) if isinstance(state, Tensor) and state.is_floating_point() else state
