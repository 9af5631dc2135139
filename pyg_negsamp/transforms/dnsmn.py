"""DNS(M, N): hard negatives, but not the hardest alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, whole_number
from pyg_negsamp.layers import Pool
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import hardest
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.rns import random_choice


class DNSMN(NegativeSampling):
    r"""Takes any of the `N` candidates that the model scores highest, out of `M`.

    Shi et al., WWW 2023 (arXiv:2302.03472). `M` and `N` set the hardness:

    .. math:: j \sim \text{Uniform}(\text{top-}N \{ e_u \cdot e_k : k \in C \}), \quad |C| = M

    `N = 1` is :class:`DNS`, `N = M` is :class:`RNS`. For `K > 1`, `K` different places of the `N`.
    Gradients flow through the chosen rows only. Cost: that of :class:`DNS`.

    When to use it: where the hardest of many candidates is too often a false negative. `M` says how
    deep to look into the catalogue, `N` how far to keep from its very top.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        n: How many of the highest-scored candidates may be chosen, `K <= N <= M`. Default 4; to
            be tuned together with `M`.
        num_candidates: Candidates per positive, `M`. Default 16.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If not `K <= N <= M`, besides what the base class raises.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16

    #: Ours: from :class:`DNS`'s grid up, because the AHNS paper finds that it needs an "extremely
    #: large candidate negative set" (RQ4); every pair has `N <= M`.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((16, 32, 64, 128, 256, 512)),
        "n": Choice((2, 4, 8, 16)),
    }

    def __init__(
        self,
        candidates: Source = None,
        *,
        n: int = 4,
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
        n = whole_number(self, "n", n, least=1)
        if not self.num_negatives <= n <= self.num_candidates:
            expected = f"in [{self.num_negatives}, {self.num_candidates}], that is, in [K, M]"
            raise invalid(self, "n", expected, n)
        self.n = n

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The `N` highest-scored candidates."""
        if candidates.size(1) < self.n:
            raise invalid(self, "candidates", f"[B, M] with M >= n = {self.n}", [*candidates.shape])
        return Selection(hardest(user, user_xs, item_xs, candidates, self.n, self.pool, self.score))

    def settle(
        self,
        chosen: Selection,
        item_xs: Sequence[Tensor],
        generator: torch.Generator | None = None,
    ) -> Selection:
        """`K` of them, at random."""
        return Selection(random_choice(chosen.index, self.num_negatives, generator))
