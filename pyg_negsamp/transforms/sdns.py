"""SDNS: a hard negative, most of which is the positive."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in
from pyg_negsamp.layers import Pool
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.dns import DNS


class SDNS(DNS):
    r"""Mixes the hardest candidate with a fixed, large share of the positive.

    Shi et al., 2022 (arXiv:2211.13912), eq. 5, on top of :class:`DNS`:

    .. math:: e_- = \alpha \, e_p + (1 - \alpha) \, e_j, \quad
              j = \arg\max_{k \in C} \; e_u \cdot e_k

    at every layer. With BPR this equals :class:`DNS` with
    :class:`~pyg_negsamp.losses.SoftBPRLoss` of the same `alpha` (eq. 7 and 10): same ranking loss,
    same gradients; an L2 penalty falls on the mixture here, on the item there. `alpha = 0` is DNS.
    Gradients flow through the positive and the chosen rows. Cost: that of DNS.

    When to use it: where :class:`DNS` is too hard, with another loss than BPR. With BPR, DNS and
    :class:`~pyg_negsamp.losses.SoftBPRLoss` do the same without a mixture.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        alpha: Share of the positive, in [0, 1). Default 0.7; the paper finds 0.7 and above to
            work best.
        num_candidates: Candidates per positive, `M`. Default 16; the paper searches 8 to 64.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `alpha` is out of range, besides what the base class raises.
    """

    #: The paper's grid: its tau is `1 - alpha`.
    search_space: ClassVar[Space] = {
        **DNS.search_space,
        "alpha": Choice((0.6, 0.7, 0.8, 0.9, 0.95)),
    }

    def __init__(
        self,
        candidates: Source = None,
        *,
        alpha: float = 0.7,
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
        self.alpha = number_in(self, "alpha", alpha, "[0, 1)")

    def synthesize(self, user: Tensor, pos: Tensor, neg: Tensor, state: Any = None) -> Tensor:
        """Mixes with the positive by a fixed share (eq. 5)."""
        return torch.lerp(neg, pos.unsqueeze(1), self.alpha)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, alpha={self.alpha}"
