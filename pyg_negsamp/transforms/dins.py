"""DINS: hard negatives mixed with the positive, each dimension by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in
from pyg_negsamp.layers import Pool, facing_layers
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import hardest_per_layer
from pyg_negsamp.transforms.negatives import Selection


class DINS(NegativeSampling):
    r"""Mixes the hardest candidate with the positive, dimension by dimension.

    Wu et al., CIKM 2023 (arXiv:2306.15905), eq. 3-8. At each layer, the boundary item
    :math:`i_*` is the hardest candidate, and dimension `d` of the negative is

    .. math::
        e^d_- &= \alpha_d \, e^d_{i_*} + (1 - \alpha_d) \, e^d_i \\
        \alpha_d &= \frac{\exp(e^d_u e^d_{i_*})}
                         {\beta \exp(e^d_u e^d_i) + \exp(e^d_u e^d_{i_*})}
                  = \sigma(e^d_u (e^d_{i_*} - e^d_i) - \log \beta)

    The larger `beta`, the closer to the positive: `beta = 0` is the hardest candidate itself,
    infinity the positive. With `concat`, layer `l` is chosen and mixed by the user's layer `l`,
    otherwise by the pooled user embedding, see :func:`pyg_negsamp.layers.facing_layers`.
    (Section 3.3 prints the user's layer `l` throughout. But under mean pooling it is the pooled
    user whose product with an item's layer enters the score.)

    For `K > 1`, each of the `K` hardest of a layer is mixed. Gradients flow through the
    positive, the chosen rows, and, by :math:`\alpha_d`, the user: the paper's equations hold no
    stop-gradient. Cost: `O(B * M * H * D)` besides the draw.

    When to use it: where the hardest candidate is too hard in some dimensions and not in others. It
    works with one layer and with several; `beta` goes from the one to the other end.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        beta: Weight of the positive, at least 0. Default 1; the paper searches 0 to 10.
        num_candidates: Candidates per positive, `M`. Default 16; the paper searches 8 to 64.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `beta` is negative or NaN, besides what the base class raises.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16
    one_width = True

    #: The paper's ranges, less beta = 0, which is :class:`DNS` per layer.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((8, 16, 32, 64)),
        "beta": Range(0.1, 10.0, log=True),
    }

    def __init__(
        self,
        candidates: Source = None,
        *,
        beta: float = 1.0,
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
        self.beta = number_in(self, "beta", beta, "[0, inf]")
        self.log_beta = math.log(beta) if beta > 0 else -math.inf

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The boundary items of each layer (eq. 3)."""
        return Selection(
            hardest_per_layer(
                user, user_xs, item_xs, candidates, self.num_negatives, self.pool, self.score
            )
        )

    def synthesize(self, user: Tensor, pos: Tensor, neg: Tensor, state: Any = None) -> Tensor:
        """Mixes every dimension by its own weight (eq. 4 and 5)."""
        facing = torch.stack(facing_layers(user.unbind(1), self.pool), dim=1).unsqueeze(1)
        pos = pos.unsqueeze(1)
        alpha = torch.sigmoid(facing * (neg - pos) - self.log_beta)
        return torch.lerp(pos, neg, alpha)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, beta={self.beta}"
