"""One training step, from positive links to a loss: the whole library in order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.layers import ego_rows, gather_rows, pool_layers, pool_rows, rows_at
from pyg_negsamp.losses import l2_penalty
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.module import FromModule
from pyg_negsamp.scoring import (
    Score,
    Similarity,
    scores_where_they_lie,
    shared_scores,
    similarity_of,
    table_scores,
)
from pyg_negsamp.training.ranks import Ranks
from pyg_negsamp.transforms import Negatives, NegativeSampling, Selection


class TrainingStep(LightningModule):
    """The part of a :class:`~pyg_negsamp.training.Recommender` that is done at every batch."""

    encoder: Encoder
    sampler: NegativeSampling
    loss: torch.nn.Module
    l2: float
    user_type: str
    item_type: str
    similarity: Similarity
    needs: tuple[str, ...]
    generator: torch.Generator
    ranks: Ranks
    #: Whether each rank makes negatives for a part of the rows.
    shares_rows: bool
    #: Whether all negatives are items as they are, see :attr:`NegativeSampling.makes_nothing`.
    finds_all: bool
    chosen_user: Tensor
    chosen: Tensor
    chosen_weight: Tensor | None

    @property
    def score(self) -> Score:
        """How a user and an item become a number: the encoder's decoder, or the similarity."""
        return self.similarity if self.encoder.decoder is None else self.encoder.decoder

    @property
    def timed(self) -> bool:
        """Whether items exist from a time on, so that rows need theirs."""
        return self.sampler.candidates is not None and self.sampler.candidates.since is not None

    def _step(self, batch: HeteroData) -> tuple[Tensor, Tensor | None]:
        """With embeddings of all users and items; the loss of the rows, and the encoder's."""
        user, pos = batch[self.user_type].src_index, batch[self.item_type].dst_pos_index
        drawn = batch[self.item_type].get("dst_neg_index")  # by the loader, if it did
        candidates = None if drawn is None else drawn.view(len(user), -1)
        if candidates is None and self.timed:  # not before an item existed
            time = batch[self.encoder.edge_type].edge_label_time
            candidates = self.sampler.draw(user, pos, self.generator, time)

        # The encoder's layers, for every user and item.
        tables = self.encoder.tables()
        # First and second pass: which unobserved items, or which mixtures of them.
        chosen = self._choose(user, pos, tables, candidates)
        if self._lie_in_table(chosen, tables):
            return self._step_in_table(user, pos, tables, chosen)
        # The rows of users, positives and chosen negatives, gathered once, with gradient.
        user_rows, item_rows = self.encoder.rows(tables, user, roles(pos, chosen))
        pos_rows, neg_rows = item_rows.split([len(pos), len(item_rows) - len(pos)])
        neg_rows = chosen.arrange(neg_rows)
        own_user, own_pos = user, pos
        if self.shares_rows:
            mine = self.ranks.rows(len(user))
            user_rows, pos_rows, neg_rows = self.ranks.own(user_rows, pos_rows, neg_rows)
            chosen, own_user, own_pos = chosen.part(mine), user[mine], pos[mine]
        # What the method makes of those rows.
        negatives = self.sampler.make(chosen, user_rows, pos_rows, neg_rows)
        self.chosen_user = own_user
        self.chosen = chosen.index if negatives.index is None else negatives.index

        ids = {"user": own_user, "item": own_pos, "neg_item": negatives.index}
        loss = self._loss_of(user_rows, pos_rows, negatives, ids)
        return loss, self.encoder.auxiliary_loss(tables, user, pos)

    def _lie_in_table(self, chosen: Selection, tables: XDict) -> bool:
        """Whether to read every item's row once, instead of one for each negative."""
        if self.shares_rows or not self.finds_all or chosen.index.dim() != 2:
            return False
        users, items = tables[self.user_type], tables[self.item_type]
        return scores_where_they_lie(users[0], items[0], chosen.index, self.score, len(items))

    def _step_in_table(
        self, user: Tensor, pos: Tensor, tables: XDict, chosen: Selection
    ) -> tuple[Tensor, Tensor | None]:
        """As :meth:`_step` from the rows on, for negatives `[B, K]` that are items as they are."""
        user_rows, layers = self.encoder.rows_and_items(tables, user)
        items = pool_layers(layers, self.encoder.pool)
        u, p = pool_rows(user_rows, self.encoder.pool), rows_at(items, pos)
        assert not callable(self.score)
        scores = table_scores(u, items, chosen.index, self.score)
        known = self.sampler.known(chosen)
        self.chosen_user, self.chosen, self.chosen_weight = user, chosen.index, known.get("weight")
        ids = {"user": user, "item": pos, "neg_item": chosen.index}
        loss = self._loss_of_scores(u, p, scores, ids | known)
        if self.l2:
            times = torch.bincount(chosen.index.flatten(), minlength=len(items))
            ego = layers[0]
            loss = loss + self.l2 * l2_penalty(ego_rows(user_rows), rows_at(ego, pos), ego, times)
        return loss, self.encoder.auxiliary_loss(tables, user, pos)

    def _choose(
        self, user: Tensor, pos: Tensor, tables: XDict, candidates: Tensor | None
    ) -> Selection:
        """Which items; each rank looks at a part of the rows, where the sampler allows it."""
        sampler, xs = self.sampler, (tables[self.user_type], tables[self.item_type])
        if self.ranks.size == 1 or not sampler.chooses_by_row:
            return sampler.choose(user, pos, *xs, candidates, generator=self.generator)
        if candidates is None:
            candidates = sampler.draw(user, pos, self.generator)
        mine = self.ranks.rows(len(user))
        with torch.no_grad():
            own = sampler.select(user[mine], pos[mine], *xs, candidates[mine], self.generator)
            index = self.ranks.joined(own.index, len(user))
            return sampler.settle(Selection(index), xs[1], self.generator)

    def _step_in_subgraph(self, batch: HeteroData) -> Tensor:
        """With embeddings of the nodes around the batch, in a numbering of its own."""
        assert isinstance(self.encoder, FromModule)  # nobody else's loader samples
        tables = self.encoder.sampled(batch)
        sampled = self.sampler(batch, tables, self.generator)
        users, items = sampled[self.user_type], sampled[self.item_type]
        index = items.get("dst_neg_index")
        self.chosen = items.dst_pos_index[:, :0] if index is None else items.n_id[index]
        self.chosen_user = users.n_id[users.src_index]
        ids = {  # those of the whole graph
            "user": self.chosen_user,
            "item": items.n_id[items.dst_pos_index],
            "neg_item": None if index is None else self.chosen,
        }
        return self._loss_of(
            gather_rows(tables[self.user_type], users.src_index),
            gather_rows(tables[self.item_type], items.dst_pos_index),
            Negatives(
                index,
                items.dst_neg_xs,
                items.get("dst_neg_loss"),
                items.get("dst_neg_weight"),
                items.get("dst_neg_log_q"),
                items.get("dst_pos_log_q"),
                items.get("dst_neg_shared_xs"),
            ),
            ids,
        )

    def _loss_of(
        self,
        user_rows: Tensor,
        pos_rows: Tensor,
        negatives: Negatives,
        ids: Mapping[str, Tensor | None],
    ) -> Tensor:
        """From rows `[B, H, D]`, the negatives and whose they are to what is minimised."""
        self.chosen_weight = None if negatives.index is None else negatives.weight
        neg_rows = negatives.xs if negatives.shared is None else negatives.shared
        u, p, n = (pool_rows(x, self.encoder.pool) for x in (user_rows, pos_rows, neg_rows))
        shared = negatives.shared is not None
        loss = self._loss_of_scores(
            u,
            p,
            shared_scores(self.score, u, n) if shared else similarity_of(self.score)(u, n),
            {
                **ids,
                "weight": negatives.weight,
                "log_q": negatives.log_q,
                "pos_log_q": negatives.pos_log_q,
            },
        )
        if self.l2:
            ego = map(ego_rows, (user_rows, pos_rows, neg_rows))
            loss = loss + self.l2 * l2_penalty(*ego)
        # What the sampler wants minimised besides.
        return loss if negatives.loss is None else loss + negatives.loss

    def _loss_of_scores(
        self,
        user: Tensor,
        pos: Tensor,
        neg_scores: Tensor,
        known: Mapping[str, Tensor | None],
    ) -> Tensor:
        """The loss of pooled users and positives `[B, W]`, and scores of negatives `[B, K]`."""
        unknown = dict.fromkeys(("weight", "log_q", "pos_log_q"))
        known = {**unknown, **known, "user_rows": user, "pos_rows": pos}
        return self.loss(
            similarity_of(self.score)(user, pos.unsqueeze(1)).squeeze(1),
            neg_scores,
            known["weight"],
            **{name: known[name] for name in self.needs},
        )


def roles(pos: Tensor, chosen: Selection) -> Tensor:
    """Item ids of all roles in one tensor, positives first.

    Args:
        pos: `[B]` positives.
        chosen: `N` items for negatives.

    Returns:
        `[B + N]`, or `[B + N, H]` with an id per layer.
    """
    neg = chosen.items
    if neg.dim() == 2:
        pos = pos.unsqueeze(1).expand(-1, neg.size(1))
    return torch.cat([pos, neg])
