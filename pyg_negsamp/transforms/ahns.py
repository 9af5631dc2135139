"""AHNS: as hard as the positive needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in
from pyg_negsamp.layers import Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection


class AHNS(NegativeSampling):
    r"""Takes the candidate whose score is closest to a target that falls as the positive's rises.

    Lai et al., AAAI 2024 (arXiv:2401.05191), eq. 2 and 3, algorithm 1:

    .. math:: j = \arg\min_{m} \; | e_u \cdot e_m - \beta (e_u \cdot e_p + \alpha)^{p + 1} |

    The paper assumes positives to score above 0; the formula needs no more than :math:`-\alpha`.
    Where one scores less, the power is not a real number (for fractional `p`), or one of the wrong
    sign or trend (for `p = -2`, a target below 0); here the base is taken as 0 then. For `p < -1`
    the target is thereby the hardest candidate, the limit of what the paper asks for as a
    positive's score falls (its criterion C2); for `p = -1` it is `beta`, for `p > -1` it is zero.

    `beta = 0` takes the score closest to zero. For `K > 1`, the `K` closest. Gradients flow
    through the chosen rows only. Cost: that of :class:`DNS`.

    When to use it: where one hardness does not suit all positives. Those that score low get hard
    negatives, those that score high easy ones, which spares likely false ones. `alpha` and `beta`
    go by the scale of the scores: tune them anew with another encoder or loss.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        alpha: Shift of the positive's score, above 0. Default 1; the paper searches 0.1 to 1.
        beta: Scale of the target, at least 0. Default 0.1; the paper searches 0.1 to 1.
        p: Power: how fast the target falls, below 0. Default -2; the paper reports -1 and -2.
        num_candidates: Candidates per positive, `M`. Default 16; the paper searches 4 to 64.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `alpha`, `beta` or `p` is out of range, besides what the base class raises.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16

    #: The paper's grid, in steps of 0.1 there.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((4, 8, 16, 32, 64)),
        "alpha": Range(0.1, 1.0),
        "beta": Range(0.1, 1.0),
        "p": Choice((-1.0, -2.0)),
    }

    def __init__(
        self,
        candidates: Source = None,
        *,
        alpha: float = 1.0,
        beta: float = 0.1,
        p: float = -2.0,
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
        self.alpha = number_in(self, "alpha", alpha, "(0, inf)")
        self.beta = number_in(self, "beta", beta, "[0, inf)")
        self.p = number_in(self, "p", p, "(-inf, 0)")

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The candidates rated best (smallest) by eq. 2."""
        users = gather_pooled(user_xs, user, self.pool)
        items = pool_layers(item_xs, self.pool)
        scores = self.scores(users, items, candidates)
        target = self.target(self.pair_scores(users, rows_at(items, pos).unsqueeze(1)))
        # A target beyond the candidates' scores selects the outermost ones, and does so without
        # losing their differences to rounding once it is moved to the edge.
        target = target.clamp(scores.amin(1, keepdim=True), scores.amax(1, keepdim=True))
        closest = (scores - target).abs().topk(self.num_negatives, dim=1, largest=False)
        return Selection(candidates.gather(1, closest.indices))

    def target(self, pos_score: Tensor) -> Tensor:
        """The score of an ideal negative (eq. 4), of the shape of `pos_score`."""
        if self.beta == 0:
            return torch.zeros_like(pos_score)
        return self.beta * (pos_score + self.alpha).clamp(min=0).pow(self.p + 1)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, alpha={self.alpha}, beta={self.beta}, p={self.p}"
