"""Negatives that all positives of a batch share: in a batch of 2048, 2048 rows and not 4 million.

A method says which items these are, and how probable each of them is:

    class MyShared(SharedSampling):
        def share(self, pos, generator):      # [B] positives to [K] items
        def log_probability(self, item, num): # [n] items to [n], num items being shared

What the user of a row has seen gets weight 0 in that row. Scores are a single product of matrices.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import BatchCandidates, Candidates, PoolCandidates, Source
from pyg_negsamp.errors import invalid
from pyg_negsamp.layers import Pool
from pyg_negsamp.numerics import wide
from pyg_negsamp.scoring import Score
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection


class SharedSampling(NegativeSampling):
    """Base class of samplers whose negatives are the same for all positives of a batch.

    Their :class:`Negatives` have `shared` rows, weight 0 where a user has seen the item, and
    probabilities for a loss that corrects by them, such as
    :class:`~pyg_negsamp.losses.InBatchSoftmaxLoss`. Memory: `[B, K]` scores and weights.
    """

    takes_candidates = False
    gives: tuple[str, ...] = ("neg_item", "log_q", "pos_log_q")

    @abstractmethod
    def share(self, pos: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The items `[K]` that all positives `[B]` share."""

    @abstractmethod
    def log_probability(self, item: Tensor, num: int) -> Tensor:
        """Logarithms `[n]` of the probabilities that one of `num` shared items is `item [n]`."""

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
        """The items, and for every row which of them count."""
        if self.takes_candidates:
            return super().choose(user, pos, user_xs, item_xs, candidates, generator)
        self._refuse(candidates)
        known_user, known_pos = (user, pos) if named is None else named
        item = self.share(known_pos, generator)
        state = self.weigh(item, known_user, known_pos, wide(item_xs[0]).dtype)
        renumbered = named is not None and not torch.equal(known_pos, pos)
        if renumbered:  # by a sampled subgraph, whose only known items are the positives
            ordered, order = known_pos.sort()
            item = pos[order[torch.searchsorted(ordered, item)]]
        return Selection(item, state)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """Refused: there is nothing to choose from."""
        return self.choose(user, pos, user_xs, item_xs, candidates, generator)

    def known(self, chosen: Selection) -> dict[str, Tensor | None]:
        """Weights and probabilities, see :meth:`weigh`, for every row."""
        if not chosen.shared:
            return {}
        weight, log_q, pos_log_q = chosen.state
        log_q = None if log_q is None else log_q.expand(len(weight), -1)
        return {"weight": weight, "log_q": log_q, "pos_log_q": pos_log_q}

    def weigh(
        self, item: Tensor, user: Tensor, pos: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        """What is to be known of shared items, for :meth:`known`.

        Args:
            item: `[K]`.
            user: `[B]`.
            pos: `[B]`.
            dtype: Of the results.

        Returns:
            `[B, K]` weights, 0 where a user has seen an item or it is the positive and else 1;
            `[K]` and `[B]` log-probabilities of the items and of the positives.
        """
        weight = self._known.shared_weight(user, item, dtype)
        if not self.check_positives:  # it may be no link that is known
            weight *= item != pos.unsqueeze(1)
        log_q, pos_log_q = (self.log_probability(x, len(item)).to(dtype) for x in (item, pos))
        return weight, log_q, pos_log_q

    def check_shares(self, num_candidates: int | None) -> None:
        """Refuses what differs from row to row in more than what users have seen.

        Args:
            num_candidates: What the constructor was given.
        """
        if num_candidates is not None:
            expected = "left out, as all rows share the same negatives (num_negatives)"
            raise invalid(self, "num_candidates", expected, num_candidates)
        source = self.candidates
        if source is None:
            return
        if source.since is not None:
            expected = "made without 'time', as all rows share the same negatives"
            raise invalid(self, "candidates", expected, "some made with 'time'")
        if isinstance(source, PoolCandidates):
            expected = "without pools, as all rows share the same negatives"
            raise invalid(self, "candidates", expected, type(source).__name__)

    def check_draws(self) -> None:
        """Refuses candidates that draw for each user apart."""
        source = self.candidates
        if source is not None and not source.draws_shared:
            expected = "UniformCandidates or PopularityCandidates, which draw for all users at once"
            raise invalid(self, "candidates", expected, type(source).__name__)

    @property
    def _known(self) -> Candidates:
        """What the users have seen."""
        if self.candidates is None:
            expected = f"what users have seen: {type(self).__name__}(train_data)"
            raise invalid(self, "candidates", expected, None)
        return self.candidates

    def _refuse(self, candidates: Tensor | None) -> None:
        """Refuses candidates of a call."""
        if candidates is not None:
            expected = (
                "none, as all rows share the same negatives (of a loader: neg_sampling=None, and "
                "edge_label_index alone)"
            )
            raise invalid(self, "candidates", expected, tuple(candidates.shape))


class OfTheBatch(SharedSampling):
    """Base class of samplers whose negatives are the positives of the batch, or are among them.

    Args:
        candidates: What the users have seen; or the training graph, or its links.
        num_candidates: To be left out: there is nothing to choose from.
        num_negatives: How many positives of the batch to take, at random and with replacement.
            Default: all of them once.
        pool, layers, score, edge_type, check_positives, as_links: See :class:`NegativeSampling`.
    """

    #: A batch has more.
    default_num_negatives: ClassVar[int] = 2
    proposal: ClassVar[type[Candidates]] = BatchCandidates
    degree: Tensor

    def __init__(
        self,
        candidates: Source = None,
        *,
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
        self.taken = num_negatives
        self.check_shares(num_candidates)
        if self.candidates is not None:
            self.register_buffer("degree", self.candidates.degree(), persistent=False)

    def share(self, pos: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The positives, or some of them."""
        if self.taken is None or not len(pos):
            return pos
        return pos[torch.randint(len(pos), (self.taken,), generator=generator, device=pos.device)]

    def log_probability(self, item: Tensor, num: int) -> Tensor:
        """By how many of the training links have the item."""
        links = self.degree.sum().clamp(min=1)
        return (self.degree[item].clamp(min=1) / links.double()).log()
