"""BIR: in-batch negatives, drawn anew for each user by how high they score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in
from pyg_negsamp.layers import Pool, gather_pooled
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Range, Space
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.shared import OfTheBatch


class BIR(OfTheBatch):
    r"""In-batch negatives, each row of which draws its own by importance.

    Chen et al., NeurIPS 2022 (arXiv:2205.14859), without its cache. Of the batch's positives that a
    user has not seen, each row draws with replacement, with probability

    .. math:: p(j \mid u) \propto \exp(s(u, j) / \tau - \ln Q(j))

    `Q` being the item's share of the training links, as for :class:`InBatch`. What is drawn follows
    the softmax of the model, roughly, so that a plain softmax takes it:
    :class:`~pyg_negsamp.losses.SampledSoftmaxLoss`. Rows are still shared: the weight of an item is
    how often it was drawn, and 0 for most.

    Memory: `[B, B]` scores and weights. Cost: `O(B^2 * D)`, and `O(B * K * log B)` for the draw,
    which is most of it; fewer draws cost less.

    When to use it: where in-batch negatives are too easy, or too popular, and a loss should not
    have to correct for it.

    Args:
        candidates: What the users have seen, usually
            :class:`~pyg_negsamp.candidates.BatchCandidates`; or the training graph, or its links.
        temperature: What scores are divided by, :math:`\tau`, above 0: the loss's own. Default 1.
        num_candidates: To be left out: there is nothing to choose from.
        num_negatives: Draws of each row, `K`. Default: as many as there are positives.
        pool, layers, score, edge_type, check_positives, as_links: See :class:`NegativeSampling`.

    Raises:
        ValueError: If `temperature` is not above 0.
    """

    #: What it drew does not follow the shares of links any more.
    gives = ("neg_item",)
    #: Ours.
    search_space: ClassVar[Space] = {"temperature": Range(0.05, 1.0, log=True)}

    def __init__(
        self,
        candidates: Source = None,
        *,
        temperature: float = 1.0,
        num_candidates: int | None = None,
        num_negatives: int | None = None,
        pool: Pool = "mean",
        layers: int = 1,
        score: Score | None = None,
        edge_type: EdgeType | None = None,
        check_positives: bool = True,
        as_links: bool = False,
    ) -> None:
        super().__init__(
            candidates,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")

    def share(self, pos: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """All positives."""
        return pos

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
        """All positives, with how often each row drew them."""
        chosen = super().choose(user, pos, user_xs, item_xs, candidates, generator, named)
        allowed, log_q, _ = chosen.state
        if not len(pos):  # nothing to draw from
            return Selection(chosen.index, (allowed, None, None))
        users, items = (
            gather_pooled(xs, ids, self.pool)
            for xs, ids in ((user_xs, user), (item_xs, chosen.index))
        )
        logit = self.shared_scores(users, items) / self.temperature - log_q
        chance = logit.masked_fill_(allowed == 0, -torch.inf).softmax(dim=1)
        # A row for which nothing is left draws, too, and then nothing of it counts.
        chance = chance.nan_to_num_(nan=1.0)
        num = len(pos) if self.taken is None else self.taken
        drawn = torch.multinomial(chance, num, True, generator=generator)
        once = torch.ones(drawn.shape, dtype=allowed.dtype, device=drawn.device)
        count = torch.zeros_like(allowed).scatter_add_(1, drawn, once)
        return Selection(chosen.index, (count * allowed, None, None))
