"""DCL and HCL: a softmax that allows for false negatives, and looks at hard ones."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, count, log_sum_exp
from pyg_negsamp.space import Choice, Range, Space


class HardContrastiveLoss(RankingLoss):
    r"""InfoNCE with hard negatives counting more, and the share of false ones taken off.

    DCL (Chuang et al., NeurIPS 2020, arXiv:2007.00224) and HCL (Robinson et al., ICLR 2021,
    arXiv:2010.04592, eq. 4 and 5). With :math:`E_k = \exp(s_{bk} / \tau)` and
    :math:`w_k = E_k^\beta`:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{e^{s_b / \tau}}{e^{s_b / \tau} + G_b}, \quad
              G_b = \max\left( \frac{R_b - K \tau^+ e^{s_b / \tau}}{1 - \tau^+}, \;
              K e^{-1 / \tau} \right), \quad
              R_b = K \frac{\sum_k w_k E_k}{\sum_k w_k}

    `beta = 0` is DCL. With `tau_plus = 0` too it is :class:`SampledSoftmaxLoss`, and nothing new.

    Cost: `O(B * K)`.

    When to use it: with many random negatives, some of which are surely false: their share is taken
    off before the hard ones count more.

    Args:
        temperature: :math:`\tau`, above 0. Default 0.1.
        beta: How much hard negatives count, at least 0. Default 1; the paper tries 0.5 to 2.
        tau_plus: :math:`\tau^+`, the share of false negatives that is expected, in [0, 1).
            Default 0.1, the papers'.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: The temperatures are ours, the others the papers'.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.03, 0.5, log=True),
        "beta": Choice((0.0, 0.5, 1.0, 2.0)),
        "tau_plus": Choice((0.0, 0.01, 0.05, 0.1)),
    }
    similarity = "cosine"
    least_negatives = 2
    smooth = False

    def __init__(self, temperature: float = 0.1, beta: float = 1.0, tau_plus: float = 0.1) -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.beta = number_in(self, "beta", beta, "[0, inf)")
        self.tau_plus = number_in(self, "tau_plus", tau_plus, "[0, 1)")

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """In logarithms throughout, since exponentials overflow."""
        pos, neg = pos / self.temperature, neg / self.temperature
        log_count = count(neg, weight).log()
        log_mean = log_sum_exp((1 + self.beta) * neg, weight) - log_sum_exp(self.beta * neg, weight)
        rest = log_mean
        if self.tau_plus:
            false = math.log(self.tau_plus) + pos - log_mean
            # Where more is taken off than there is, the floor stays; what is no number stays, too.
            too_much = false >= 0
            left = torch.log(-torch.expm1(false.masked_fill(too_much, -1)))
            rest = log_mean + left - math.log(1 - self.tau_plus)
            rest = rest.masked_fill(too_much, -torch.inf)
        log_negatives = log_count + rest.clamp(min=-1 / self.temperature)
        return softplus(log_negatives - pos)
