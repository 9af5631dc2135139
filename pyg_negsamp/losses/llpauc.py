"""LLPAUC: the lower left corner of the ROC curve, where short lists are."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, average
from pyg_negsamp.losses.bpr import BPRLoss
from pyg_negsamp.numerics import reverse_gradient, wide
from pyg_negsamp.space import Choice, Space

#: How close to a maximum with 0 the softplus is.
KAPPA = 5.0


class LLPAUCLoss(RankingLoss):
    r"""The highest positives should score above the highest negatives; the rest is left alone.

    LLPAUC (Shi et al., WWW 2024, arXiv:2403.00844, eq. 11) maximises the part of the AUC where the
    rate of true positives is at most :math:`\alpha` and that of false ones at most :math:`\beta`.
    With :math:`f = \sigma(s)` of dot products:

    .. math:: \min_{a, b, s^-} \max_{\gamma, s^+} \; \frac{1}{B} \sum_b \left[
              -s^+ - \frac{1}{\alpha} r(-\ell_+(f_b) - s^+)
              + s^- + \frac{1}{\beta K} \sum_k r(\ell_-(f_{bk}) - s^-) \right] - \gamma^2

    .. math:: \ell_+(f) = (f - a)^2 - 2 (1 + \gamma) f, \quad
              \ell_-(f) = (f - b)^2 + 2 (1 + \gamma) f, \quad
              r(x) = \ln(1 + e^{\kappa x}) / \kappa, \quad \kappa = 5

    The five scalars are parameters of the loss. The optimiser of the model lowers `a`, `b` and
    :math:`s^-`; through reversed gradients it raises :math:`\gamma` and :math:`s^+`. Each step
    begins within :math:`a, b \in [0, 1]`, :math:`s^- \in [0, 5]`, :math:`s^+ \in [-1, 4]`,
    :math:`\gamma \in [\max(-a, b - 1), 1]`. The further term :math:`-w \gamma^2` of the paper,
    which its proof needs, is left out, as in the released code.

    New users are placed by :class:`BPRLoss`: both are of pairs of scores.

    Cost: `O(B * K)`.

    When to use it: where lists are short. Among few negatives there is no lower left corner: take
    `K` of `1 / beta` or more.

    Args:
        alpha: :math:`\alpha`, in (0, 1]. Default 0.7.
        beta: :math:`\beta`, in (0, 1]. Default 0.1.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: Within the paper's grid, of tenths.
    search_space: ClassVar[Space] = {
        "alpha": Choice((0.1, 0.3, 0.5, 0.7, 0.9)),
        "beta": Choice((0.1, 0.3, 0.5, 0.7, 0.9)),
    }

    def __init__(self, alpha: float = 0.7, beta: float = 0.1) -> None:
        super().__init__()
        self.alpha = number_in(self, "alpha", alpha, "(0, 1]")
        self.beta = number_in(self, "beta", beta, "(0, 1]")
        self.a, self.b, self.gamma, self.s_pos, self.s_neg = (
            torch.nn.Parameter(torch.tensor(start)) for start in (1.0, 0.0, 0.0, 0.5, 0.5)
        )

    @torch.no_grad()
    def _keep_within(self) -> None:
        """Brings the scalars back to where they may be."""
        self.a.clamp_(0, 1)
        self.b.clamp_(0, 1)
        self.s_pos.clamp_(-1, 4)
        self.s_neg.clamp_(0, 5)
        least = torch.maximum(-self.a, self.b - 1)
        self.gamma.copy_(torch.maximum(self.gamma, least).clamp(max=1))

    def forward(
        self, pos: Tensor, neg: Tensor, weight: Tensor | None = None, **needed: Any
    ) -> Tensor:
        """As of any loss, but that each step begins within; also on a rank without rows."""
        self._keep_within()
        return super().forward(pos, neg, weight, **needed)

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """Both sides; the scalars are the same for all rows."""
        a, b, s_neg = (wide(x) for x in (self.a, self.b, self.s_neg))
        gamma, s_pos = (reverse_gradient(wide(x)) for x in (self.gamma, self.s_pos))
        pos, neg = pos.sigmoid(), neg.sigmoid()
        of_pos = 2 * (1 + gamma) * pos - (pos - a).square() - s_pos
        of_neg = 2 * (1 + gamma) * neg + (neg - b).square() - s_neg
        above = -s_pos - softplus(of_pos, KAPPA) / self.alpha
        below = s_neg + average(softplus(of_neg, KAPPA), weight) / self.beta
        return above + below - gamma.square()

    def of_new_users(self) -> RankingLoss:
        """Another loss of pairs."""
        return BPRLoss()
