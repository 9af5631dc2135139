"""Bayesian personalised ranking."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import invalid


class BPRLoss(torch.nn.Module):
    r"""Pairwise loss: a positive should score above each of its negatives.

    Rendle et al., UAI 2009 (arXiv:1205.2618), with `K` negatives per positive:

    .. math:: L = \frac{1}{B} \sum_b \sum_k w_{bk} \, \left[ -\ln \sigma(s_b - s_{bk}) \right],
              \quad w_{bk} = 1 / K \text{ by default}
    """

    def forward(self, pos: Tensor, neg: Tensor, weight: Tensor | None = None) -> Tensor:
        """Computes the loss.

        Args:
            pos: `[B]` scores of the positives.
            neg: `[B, K]` scores of their negatives.
            weight: `[B, K]` weights of the negatives. Default: `1 / K` each.

        Returns:
            A scalar.

        Raises:
            ValueError: If the shapes disagree.
        """
        if neg.dim() != 2 or pos.shape != neg.shape[:1]:
            raise invalid(self, "pos, neg", "[B] and [B, K]", f"{[*pos.shape]}, {[*neg.shape]}")
        loss = softplus(neg - pos.unsqueeze(1))
        if weight is None:
            return loss.mean()
        if weight.shape != neg.shape:
            raise invalid(self, "weight", f"{[*neg.shape]}, as neg", [*weight.shape])
        return (loss * weight).sum(dim=1).mean()
