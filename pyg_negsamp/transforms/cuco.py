"""CuCo: a curriculum from hard to easy negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import hardest
from pyg_negsamp.transforms.negatives import Selection


class CuCo(NegativeSampling):
    r"""Takes the highest-scored of ever fewer candidates, so that hardness falls over time.

    Chu et al., IJCAI 2021 (doi:10.24963/ijcai.2021/317), for graph classification; transferred to
    recommendation by the AHNS paper (arXiv:2401.05191), which says no more than "an
    anti-curriculum pacing function", from hard to easy. At epoch `t` of `T`, linearly:

    .. math:: j = \arg\max_{k \in C_t} \; e_u \cdot e_k, \quad
              |C_t| = \max(1, \lfloor (1 - t / T) M \rfloor)

    The first epoch is :class:`DNS`; the last ones come close to :class:`RNS`. For `K > 1` at
    least `K` candidates stay. The epoch comes from :meth:`set_epoch`, which training calls;
    until then, it is the first. Gradients flow through the chosen rows only. Cost: at most that
    of :class:`DNS`.

    When to use it: where hard negatives help at first and harm later. The number of epochs has to
    be known beforehand, since early stopping cuts the curriculum short.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        num_candidates: Candidates per positive, `M`. Default 16.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16

    #: The grid of :class:`DNS`.
    search_space: ClassVar[Space] = {"num_candidates": Choice((8, 16, 32, 64))}

    epoch, max_epochs = 0, 1

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Moves the curriculum to `epoch` of `max_epochs`."""
        self.epoch, self.max_epochs = epoch, max(max_epochs, 1)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The highest-scored of the candidates that the curriculum leaves."""
        left = candidates.size(1) * max(self.max_epochs - self.epoch, 0) // self.max_epochs
        candidates = candidates[:, : max(left, self.num_negatives)]
        return Selection(
            hardest(user, user_xs, item_xs, candidates, self.num_negatives, self.pool, self.score)
        )
