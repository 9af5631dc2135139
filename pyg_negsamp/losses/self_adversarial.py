"""The loss of RotatE: negatives count as much as the model believes in them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss, log_weight
from pyg_negsamp.space import Choice, Space


class SelfAdversarialLoss(RankingLoss):
    r"""Scores of positives should be high, and those of negatives low, the highest first of all.

    Sun et al., ICLR 2019 (arXiv:1902.10197, eq. 5 and 6), with the scores of `K` negatives:

    .. math:: L = -\frac{1}{2 B} \sum_b \left[ \ln \sigma(s_b)
              + \sum_k p_{bk} \ln \sigma(-s_{bk}) \right], \quad
              p_{bk} = \frac{w_{bk} \exp(\alpha s_{bk})}{\sum_j w_{bj} \exp(\alpha s_{bj})}

    No gradient flows through `p`. Weights `w` default to 1. A row without any weight counts with a
    loss of 0.

    Scores are compared with 0. A distance, which is never above it, needs the paper's margin:
    `loss(margin + pos, margin + neg)`. PyG's `RotatE` adds its own.

    As `p` is a constant, this is the gradient of no function: what minimises a value, such as the
    `fold_in` of encoders, comes near the end and no nearer.

    Cost: `O(B * K)`.

    When to use it: in knowledge graphs, with the scores of :class:`~pyg_negsamp.kge.KGEScore`, and
    with many cheap negatives: the loss itself looks for the hard ones.

    Args:
        alpha: How much the highest scores count beyond the others, at least 0. Default 1; with 0
            all count the same.

    Raises:
        ValueError: If `alpha` is out of range.
    """

    by_row = True
    least_negatives = 2
    #: The paper's grid.
    search_space: ClassVar[Space] = {"alpha": Choice((0.5, 1.0))}

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = number_in(self, "alpha", alpha, "[0, inf)")

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """Half the positive's part and the weighted mean of the negatives'."""
        logit = self.alpha * neg.detach()
        share = (logit if weight is None else logit + log_weight(weight)).softmax(dim=1)
        return (softplus(-pos) + (share * softplus(neg)).sum(dim=1)) / 2
