"""MixGCF: hard negatives mixed with the positive, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyg_negsamp.numerics import uniform
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import hardest_per_layer
from pyg_negsamp.transforms.negatives import Selection


class MixGCF(NegativeSampling):
    r"""Mixes positive information into the candidates and takes the hardest at each layer.

    Huang et al., KDD 2021 (doi:10.1145/3447548.3467408). Positive mixing, then hop mixing:

    .. math::
        e'^{(l)}_m &= \alpha^{(l)} e^{(l)}_p + (1 - \alpha^{(l)}) e^{(l)}_m, \quad
        \alpha^{(l)} \sim \text{Uniform}(0, 1) \\
        e^{(l)}_- &= e'^{(l)}_x, \quad x = \arg\max_m \; v_l \cdot e'^{(l)}_m

    where :math:`v_l` is the user vector that layer `l` meets in the score. A coefficient is
    shared by all candidates of a row, so mixing shifts and scales their scores alike and cannot
    change the argmax: only the winner is mixed. With one layer (MF) this is positive mixing
    alone.

    For `K > 1`, the `K` hardest at each layer, each mixed by a coefficient of its own.
    Gradients flow through the positive and the chosen rows. Cost: `O(B * M * H * D)` besides
    the draw.

    When to use it: with an encoder that has layers, for which it is made: a negative takes another
    item at each. There is nothing to tune but `M`.

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
        """The hardest candidates of each layer."""
        return Selection(
            hardest_per_layer(
                user, user_xs, item_xs, candidates, self.num_negatives, self.pool, self.score
            )
        )

    def settle(
        self,
        chosen: Selection,
        item_xs: Sequence[Tensor],
        generator: torch.Generator | None = None,
    ) -> Selection:
        """Draws the coefficients to mix with."""
        return Selection(chosen.index, self.coefficients(chosen.index, item_xs[0], generator))

    def coefficients(
        self, index: Tensor, like: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Shares of the positive, `[B, K, H]`, or `[B, K, 1]` for items chosen over all layers."""
        size = (*index.shape[:2], index.size(2) if index.dim() == 3 else 1)
        return uniform(size, like.dtype, like.device, generator)

    def synthesize(self, user: Tensor, pos: Tensor, neg: Tensor, state: Any = None) -> Tensor:
        """Mixes with `state`, the coefficients of the positive."""
        return torch.lerp(neg, pos.unsqueeze(1), state.unsqueeze(-1))
