"""A look at a model in training, by which nothing is changed.

The sampler that draws and chooses for it is a copy, as choosing may move what a sampler remembers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Candidates, UniformCandidates
from pyg_negsamp.diagnostics import Look
from pyg_negsamp.evaluation import Scorer
from pyg_negsamp.graph import held_out_links, known_links, training_links, training_times
from pyg_negsamp.layers import gather_rows, pool_layers, pool_rows
from pyg_negsamp.numerics import uniform
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.scoring import (
    candidate_scores,
    ranking_tables,
    scores_by,
    settled,
    shared_scores,
    similarity_of,
)
from pyg_negsamp.training.recommender import Recommender, largest_score
from pyg_negsamp.transforms import Negatives, NegativeSampling

#: Unseen items for each link.
UNSEEN = 16
#: Negatives of a link that are looked at, at random where there are more.
MOST_NEGATIVES = 64
#: Draws for each unseen item, where a source cannot be asked for these.
TRIES = 4


@dataclass(frozen=True)
class Sample:
    """What is looked at, the same in every epoch.

    Attributes:
        user: `[n]` user ids.
        pos: `[n]` item ids of the positives.
        time: `[n]` when these links happened; `None` if nobody says.
        count: `[I]` training links of each item.
        known: What these users have seen: their known links in the training graph.
        liked: Validation links; `None` without any.
    """

    user: Tensor
    pos: Tensor
    time: Tensor | None
    count: Tensor
    known: Pairs
    liked: Pairs | None

    @classmethod
    def of(
        cls,
        train_data: HeteroData,
        val_data: HeteroData | None,
        edge_type: EdgeType,
        most: int,
        generator: torch.Generator,
    ) -> Sample:
        """`most` training links, at random, and what is to be known of all.

        Args:
            train_data: Training graph.
            val_data: Split to select by, if any.
            edge_type: The interactions.
            most: How many links, `n`; fewer if there are fewer.
            generator: Source of randomness, on the CPU.
        """
        links, times = training_links(train_data, edge_type), training_times(train_data, edge_type)
        graph = known_links(train_data, edge_type)
        size = (graph.num_users, graph.num_items)
        place = torch.randperm(links.size(1), generator=generator)[:most].to(links.device)
        count = torch.bincount(links[1], minlength=graph.num_items)
        time = None if times is None else times[place]
        known = Pairs(graph.index[:, torch.isin(graph.index[0], links[0, place])], *size)
        liked = None if val_data is None else Pairs(held_out_links(val_data, edge_type), *size)
        return cls(links[0, place], links[1, place], time, count, known, liked)

    def to(self, device: torch.device) -> Sample:
        """The same on a device."""
        user, pos, count = (x.to(device) for x in (self.user, self.pos, self.count))
        time = None if self.time is None else self.time.to(device)
        liked = None if self.liked is None else self.liked.to(device)
        return Sample(user, pos, time, count, self.known.to(device), liked)


class Watched:
    """A copy of a sampler, which notes the candidates that it draws.

    Source and decoder are shared, as they never move.

    Args:
        sampler: What to copy.

    Attributes:
        sampler: The copy.
        drawn: `[n, M]` candidates of each draw so far.

    Raises:
        TypeError, RuntimeError: If it holds something that cannot be copied.
    """

    def __init__(self, sampler: NegativeSampling) -> None:
        shared = [part for part in sampler.modules() if isinstance(part, Candidates)]
        memo: dict[int, Any] = {id(x): x for x in (*shared, sampler.score)}
        self.sampler = copy.deepcopy(sampler, memo)
        self.drawn: list[Tensor] = []
        for part in self.sampler.modules():
            if isinstance(part, NegativeSampling):
                part.draw = self._noting(part.draw)  # type: ignore[method-assign]

    def _noting(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def noting(*args: Any, **kwargs: Any) -> Tensor:
            self.drawn.append(found := draw(*args, **kwargs))
            return found

        return noting


@torch.no_grad()
def look_at(
    recommender: Recommender,
    watched: Watched,
    sample: Sample,
    generator: torch.Generator,
    metric: Callable[[Scorer], float] | None = None,
    **known: Any,
) -> Look | None:
    """Has the copy of a sampler choose for a sample, by tables without dropout and noise.

    Args:
        recommender: As it is.
        watched: A copy of its sampler.
        sample: On its device.
        generator: Source of randomness, there, too.
        metric: What to measure of what it ranks by. Default: nothing.
        **known: What is known of the epoch: `validated` and `seconds` of :class:`Look`.

    Returns:
        What was seen; `None` if scores may not be finite, of which samplers make nothing.
    """
    sampler = watched.sampler
    encoder, score = recommender.encoder, recommender.score
    user, pos, pool = sample.user, sample.pos, encoder.pool
    with settled(encoder):
        tables = encoder.settled_tables()
        user_xs, item_xs = tables[recommender.user_type], tables[recommender.item_type]
        pooled = [pool_layers(x, pool) for x in (user_xs, item_xs)]
        users, items = (ranking_tables(x, recommender.similarity) for x in pooled)
        if not math.isfinite(largest_score(users, items)):
            return None
        # As a step does it, see `Recommender._step`.
        given = sampler.draw(user, pos, generator, sample.time) if recommender.timed else None
        chosen = sampler.choose(user, pos, user_xs, item_xs, given, generator)
        user_rows, pos_rows = gather_rows(user_xs, user), gather_rows(item_xs, pos)
        neg_rows = chosen.arrange(gather_rows(item_xs, chosen.items))
        made = some_of(sampler.make(chosen, user_rows, pos_rows, neg_rows), generator)

        rows, scored = pool_rows(user_rows, pool), similarity_of(score)
        if made.shared is not None:
            neg_score = shared_scores(score, rows, pool_rows(made.shared, pool))
        else:
            neg_score = scored(rows, pool_rows(made.xs, pool))
        types = (recommender.user_type, recommender.item_type)
        ranking = (ranking_tables(x, recommender.rank_by) for x in pooled)
        scorer: Scorer = dict(zip(types, ranking, strict=True))
        if callable(score):
            scorer = scores_by(score, *pooled)

        def scores(item: Tensor) -> Tensor:
            if callable(score):
                return candidate_scores(pooled[0][user], pooled[1], item, score)
            return candidate_scores(users[user], items, item)  # normalised already, for cosines

        index, chosen_score = made.index, None
        if index is not None and index.dim() == 3:  # an item for each layer
            per_layer = gather_rows(item_xs, index.flatten(0, 1)).unflatten(0, index.shape[:2])
            chosen_score = scored(rows, pool_rows(per_layer, pool))
        elif index is not None:
            chosen_score = scores(index)
        candidates = watched.drawn[0] if watched.drawn else None
        unseen = unseen_items(sampler.candidates, user, generator, sample.time)
        return Look(
            user=user,
            pos=pos,
            candidates=candidates,
            chosen=index,
            weight=made.weight,
            pos_score=scores(pos.unsqueeze(1)).squeeze(1),
            neg_score=neg_score,
            chosen_score=chosen_score,
            candidate_score=None if candidates is None else scores(candidates),
            unseen=unseen,
            unseen_score=scores(unseen),
            users=users,
            items=items,
            count=sample.count,
            known=sample.known,
            liked=sample.liked,
            train=None if metric is None else metric(scorer),
            **known,
        )


def some_of(negatives: Negatives, generator: torch.Generator) -> Negatives:
    """At most :data:`MOST_NEGATIVES` negatives of each row, the same places in all."""
    xs, shared = negatives.xs, negatives.shared
    if xs.size(1) <= MOST_NEGATIVES:
        return negatives
    place = torch.randperm(xs.size(1), generator=generator, device=xs.device)[:MOST_NEGATIVES]
    index, weight = (
        None if x is None else x[:, place] for x in (negatives.index, negatives.weight)
    )
    if shared is not None:
        shared = shared[place]
        return replace(negatives, index=index, weight=weight, shared=shared)
    return replace(negatives, index=index, weight=weight, xs=xs[:, place])


def unseen_items(
    source: Candidates | None, user: Tensor, generator: torch.Generator, time: Tensor | None
) -> Tensor:
    """Uniform items that users have not seen, and which existed: `[n, R]`.

    They are exact of :class:`UniformCandidates`. Other sources tell what is seen, and several draws
    are made for each item; a user who has seen nearly all items gets some of these.

    Args:
        source: Knows what users have seen.
        user: `[n]`.
        generator: Source of randomness.
        time: `[n]` when the links happened, if anybody says.
    """
    assert source is not None  # the recommender has seen to it
    time = None if source.since is None else time
    if type(source) is UniformCandidates:  # others of its kind draw otherwise
        return source(user, UNSEEN, generator, None, time)
    existing = source.existing(user, time)
    if existing is None:
        size = source.num_items if source.items is None else len(source.items)
        existing = torch.full_like(user, size)
    share = uniform((len(user), TRIES * UNSEEN), torch.double, user.device, generator)
    item = (share * existing.unsqueeze(1)).long()
    item = item if source.items is None else source.items[item]
    when = None if time is None else time.unsqueeze(1)
    fits = source.may_be_drawn(user.unsqueeze(1), item, when)
    first = fits.sort(dim=1, descending=True, stable=True).indices[:, :UNSEEN]
    return item.gather(1, first)
