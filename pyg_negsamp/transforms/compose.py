"""One method's choice, another's mixing: samplers by composition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid
from pyg_negsamp.layers import Embeddings
from pyg_negsamp.scoring import Score
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Negatives, Selection


class Compose(NegativeSampling):
    """Selects as one sampler does, and makes negatives as another does.

    Any method of this library (arXiv numbers there), in one expression::

        Compose(AHNS(candidates, beta=0.2), DINS(beta=2.0))   # and, say, SoftBPRLoss()

    Candidates, their number, `K`, pooling, layers and edge type are those of `select`. The
    auxiliary loss and the weights of `select` are kept. Cost: the sum of both.

    Args:
        select: Where negatives are chosen from and how: any sampler of existing items.
        synthesize: What is made of them: a sampler that mixes, such as :class:`MixGCF`,
            :class:`SDNS` or :class:`DINS`.

    Raises:
        ValueError: If the two disagree on pooling or layers, or if `synthesize` makes nothing.
    """

    finds_items = False

    def __init__(self, select: NegativeSampling, synthesize: NegativeSampling) -> None:
        if select.pool != synthesize.pool:
            raise invalid(self, "synthesize", f"one with pool {select.pool!r}", synthesize.pool)
        if select.layers != synthesize.layers:
            raise invalid(self, "synthesize", f"one with layers={select.layers}", synthesize.layers)
        if type(synthesize).synthesize is NegativeSampling.synthesize:
            raise invalid(self, "synthesize", "a sampler that mixes", type(synthesize).__name__)
        if not select.takes_candidates:
            expected = "a sampler whose negatives are each positive's own"
            raise invalid(self, "select", expected, type(select).__name__)
        if not (select.finds_items or isinstance(select, Compose)):
            expected = "a sampler that hands on the items it selected"
            raise invalid(self, "select", expected, type(select).__name__)
        super().__init__(
            select.candidates,
            num_candidates=select.num_candidates,
            num_negatives=select.num_negatives,
            pool=select.pool,
            layers=select.layers,
            score=select.given_score,
            edge_type=select.edge_type,
            check_positives=select.check_positives,
            as_links=select.as_links,
        )
        self.selector, self.synthesizer = select, synthesize
        self.width = select.width or synthesize.width
        self.one_width = select.one_width or synthesize.one_width
        self.gives = select.gives
        self.by_row = select.by_row and synthesize.by_row

    @property
    def needs_global_ids(self) -> bool:
        """As either of the two."""
        return self.selector.needs_global_ids or self.synthesizer.needs_global_ids

    @property
    def needs_whole_table(self) -> bool:
        """As either of the two."""
        return self.selector.needs_whole_table or self.synthesizer.needs_whole_table

    def follow(self, score: Score) -> None:
        """Has both score as the model does."""
        super().follow(score)
        self.selector.follow(score)
        self.synthesizer.follow(score)

    @property
    def needs_epochs(self) -> bool:
        """As either of the two."""
        return self.selector.needs_epochs or self.synthesizer.needs_epochs

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Tells both where training stands."""
        self.selector.set_epoch(epoch, max_epochs)
        self.synthesizer.set_epoch(epoch, max_epochs)

    def refresh(self, x_dict: Embeddings) -> None:
        """Lets both look at the whole table."""
        self.selector.refresh(x_dict)
        self.synthesizer.refresh(x_dict)

    @torch.no_grad()
    def choose(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor | None = None,
        generator: torch.Generator | None = None,
        named: tuple[Tensor, Tensor] | None = None,
    ) -> Selection:
        """Draws and selects by the one, draws coefficients by the other."""
        chosen = self.selector.choose(user, pos, user_xs, item_xs, candidates, generator)
        state = self.synthesizer.coefficients(chosen.index, item_xs[0], generator)
        return Selection(chosen.index, (chosen, state))

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """As :meth:`choose`, from the candidates given."""
        return self.choose(user, pos, user_xs, item_xs, candidates, generator)

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """What the selector's method adds, around what the synthesizer makes."""
        selected, state = chosen.state
        negatives = self.selector.make(selected, user, pos, neg)
        negatives.xs = self.synthesizer.synthesize(user, pos, neg, state)
        return negatives
