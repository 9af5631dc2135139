"""Random negative sampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import yes_or_no
from pyg_negsamp.layers import Pool
from pyg_negsamp.numerics import uniform
from pyg_negsamp.scoring import Score
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.shared import SharedSampling


class RNS(SharedSampling):
    r"""Takes candidates as they come: every unobserved item is as good a negative.

    Rendle et al., UAI 2009 (arXiv:1205.2618): the sampler of BPR, and the baseline of every paper
    in this library:

    .. math:: j \sim \text{Uniform}(\{ i : (u, i) \text{ not observed} \})

    With more candidates than negatives (`M > K`, say those of a loader), it takes `K` of them
    at random, without replacement. It reads no embeddings, so it can also be the `transform=`
    of a loader. Cost: that of the draw, `O(B * M * log E)`.

    With `shared`, `K` items are drawn for the whole batch, and what a row's user has seen has
    weight 0. So `K = 1024` negatives cost 1024 rows and not 2 million: see :class:`Negatives`.

    When to use it: first, and as what every other sampler is held against. It costs least, and
    meets a false negative no more often than chance. Once the model has learnt a little, most of
    its negatives are easy: take several of them with a softmax, or a sampler that looks for hard
    ones.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        shared: Whether all positives of a batch share their negatives. Default: no.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives. To be left out
            with `shared`.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: With `shared`, if `candidates` draw for each user apart.
    """

    by_row = True
    reads_embeddings = False
    takes_candidates = True
    gives: tuple[str, ...] = ("neg_item",)

    def __init__(
        self,
        candidates: Source = None,
        *,
        shared: bool = False,
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
        self.takes_candidates = not yes_or_no(self, "shared", shared)
        if shared:
            self.gives = SharedSampling.gives
            self.check_shares(num_candidates)
            self.check_draws()

    @property
    def needs_global_ids(self) -> bool:
        """Whether the items may be missing in a subgraph."""
        return not self.takes_candidates

    def share(self, pos: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`K` items."""
        return self._known.shared(self.num_negatives, generator)

    def log_probability(self, item: Tensor, num: int) -> Tensor:
        """As the candidates say."""
        return self._known.log_shared(item)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """All candidates, or a random `K` of them."""
        return Selection(random_choice(candidates, self.num_negatives, generator))


def random_choice(candidates: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """`num` of the candidates in each row, at random and without replacement: `[B, num]`.

    As many as there are come back as they are, and nothing is drawn.
    """
    if candidates.size(1) == num:
        return candidates
    order = uniform(candidates.shape, torch.float32, candidates.device, generator)
    return candidates.gather(1, order.topk(num, dim=1).indices)
