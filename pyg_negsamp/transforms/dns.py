"""Dynamic negative sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import hardest
from pyg_negsamp.transforms.negatives import Selection


class DNS(NegativeSampling):
    r"""Takes the candidate that the model scores highest, the hardest one.

    Zhang et al., SIGIR 2013 (doi:10.1145/2484028.2484126); in the notation of
    arXiv:2211.13912, eq. 3:

    .. math:: j = \arg\max_{k \in C} \; e_u \cdot e_k, \quad |C| = M

    For `K > 1`, the `K` hardest of the `M`, hardest first. `M = 1` is :class:`RNS`.
    Gradients flow through the chosen rows only. Cost: `O(B * M * D)` besides the draw, and one
    pass over the item tables to pool them if there are layers.

    When to use it: as the first step beyond :class:`RNS`, where random negatives have become too
    easy. One number is to be tuned: the larger `M`, the harder the negatives, and the likelier a
    false one.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        num_candidates: Candidates per positive, `M`. Default 16; the papers search 8 to 64.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16

    #: The grid of arXiv:2306.15905 and arXiv:2211.13912.
    search_space: ClassVar[Space] = {"num_candidates": Choice((8, 16, 32, 64))}

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The `K` highest-scored candidates."""
        return Selection(
            hardest(user, user_xs, item_xs, candidates, self.num_negatives, self.pool, self.score)
        )
