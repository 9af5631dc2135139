"""MNS: in-batch negatives, mixed with uniform ones."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source, UniformCandidates
from pyg_negsamp.errors import whole_number
from pyg_negsamp.layers import Pool
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.shared import OfTheBatch


class MNS(OfTheBatch):
    r"""The positives of the batch, and `B'` uniform items besides: all rows share both.

    Yang et al., WWW 2020 (doi:10.1145/3366424.3386195), "mixed negative sampling". In-batch
    negatives alone leave out what nobody takes, and such items may then rank high. With `B`
    positives, an item is there in proportion to

    .. math:: Q^*(j) = \frac{B \, Q(j) + B' \, U(j)}{B + B'}

    `Q` being its share of the training links, as for :class:`InBatch`, and `U` that of a uniform
    draw. A loss that corrects, :class:`~pyg_negsamp.losses.InBatchSoftmaxLoss`, takes its logarithm
    off the scores.

    What a row's user has seen has weight 0. Memory: `[B, B + B']` scores and weights. Cost:
    `O(B * (B + B') * D)`.

    When to use it: where the catalogue has many items that are rarely taken, or batches are small.

    Args:
        candidates: What the users have seen, and where the other items come from, usually
            :class:`~pyg_negsamp.candidates.UniformCandidates`; or the training graph, or its links.
        num_uniform: Uniform items, `B'`. Default 1024.
        num_candidates: To be left out: there is nothing to choose from.
        num_negatives: How many positives of the batch to take, at random and with replacement.
            Default: all of them, once.
        pool, layers, score, edge_type, check_positives, as_links: See :class:`NegativeSampling`.

    Raises:
        ValueError: If `num_uniform` is no positive number, or `candidates` cannot draw items for
            all users at once.
    """

    #: Ours.
    search_space: ClassVar[Space] = {"num_uniform": Choice((256, 1024, 4096))}
    proposal = UniformCandidates

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_uniform: int = 1024,
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
        self.num_uniform = whole_number(self, "num_uniform", num_uniform, least=1)
        self.check_draws()

    @property
    def needs_global_ids(self) -> bool:
        """A subgraph does not have the other items."""
        return True

    def share(self, pos: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The positives, and the others."""
        of_batch = super().share(pos, generator)
        return torch.cat([of_batch, self._known.shared(self.num_uniform, generator)])

    def log_probability(self, item: Tensor, num: int) -> Tensor:
        """Of the mixture."""
        of_batch = self.degree[item] / self.degree.sum().clamp(min=1).double()
        never = self._known.log_mass(item) == -torch.inf
        uniform = self._known.log_shared(item).exp().masked_fill(never, 0)
        mixed = of_batch.lerp(uniform, self.num_uniform / num)
        # A positive that neither gives, such as one whose link is not known, counts as one link.
        return mixed.log().where(mixed > 0, super().log_probability(item, num))
