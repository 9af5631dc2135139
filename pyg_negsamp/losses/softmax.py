"""Softmax of a positive against its negatives."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_negsamp.errors import invalid, number_in, one_of
from pyg_negsamp.numerics import mean, wide
from pyg_negsamp.space import Range, Space


class SampledSoftmaxLoss(torch.nn.Module):
    r"""The positive should have all of the probability among itself and its negatives.

    SSM (Wu et al., arXiv:2201.02327); with RNS and `K > 1` the baseline of that name:

    .. math:: L = -\frac{1}{B} \sum_b \ln
              \frac{\exp(s_b / \tau)}{\exp(s_b / \tau) + \sum_k w_{bk} \exp(s_{bk} / \tau)}

    Weights default to 1; 0 leaves a negative out.

    Args:
        temperature: :math:`\tau`, above 0. Default 0.1, to be tuned: the method is known to
            depend on it.
        similarity: `'cosine'` or `'dot'`: what the scores should be. The loss only sees scores;
            training reads this to compute them, and ranks by the same.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: Ours.
    search_space: ClassVar[Space] = {"temperature": Range(0.03, 0.5, log=True)}

    def __init__(self, temperature: float = 0.1, similarity: str = "cosine") -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.similarity = one_of(self, "similarity", similarity, ("cosine", "dot"))

    def forward(self, pos: Tensor, neg: Tensor, weight: Tensor | None = None) -> Tensor:
        """Computes the loss.

        Args:
            pos: `[B]` scores of the positives.
            neg: `[B, K]` scores of their negatives.
            weight: `[B, K]` weights of the negatives, at least 0. Default: 1 each. A negative one
                makes the loss NaN.

        Returns:
            A scalar, in single precision at least; 0 for no positives.

        Raises:
            ValueError: If the shapes disagree.
        """
        if neg.dim() != 2 or pos.shape != neg.shape[:1]:
            raise invalid(self, "pos, neg", "[B] and [B, K]", f"{[*pos.shape]}, {[*neg.shape]}")
        logit = (wide(neg) - wide(pos).unsqueeze(1)) / self.temperature
        if weight is not None:
            if weight.shape != neg.shape:
                raise invalid(self, "weight", f"{[*neg.shape]}, as neg", [*weight.shape])
            logit = logit + wide(weight).log()
        # The positive's own logit, 0, keeps a row without any weight from a gradient of NaN.
        return mean(-pad(logit, (1, 0)).log_softmax(dim=1)[:, 0])


class KPairBPRLoss(SampledSoftmaxLoss):
    r"""BPR of a positive against the sum of its negatives, as several released codes compute it.

    .. math:: L = \frac{1}{B} \sum_b \ln \left( 1 + \sum_k \exp(s_{bk} - s_b) \right)

    A sampled softmax of dot products with temperature 1; with `K = 1`, BPR.
    """

    search_space: ClassVar[Space] = {}

    def __init__(self) -> None:
        super().__init__(temperature=1.0, similarity="dot")
