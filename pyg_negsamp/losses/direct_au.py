"""DirectAU: no negatives at all."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.errors import number_in
from pyg_negsamp.losses.base import RankingLoss
from pyg_negsamp.losses.cosine_contrastive import CosineContrastiveLoss
from pyg_negsamp.numerics import wide
from pyg_negsamp.space import Choice, Space


class DirectAULoss(RankingLoss):
    r"""Users and their positives should lie together, and each kind spread over the sphere.

    DirectAU (Wang et al., KDD 2022, arXiv:2206.12811, eq. 4 and 5), of vectors with length 1:

    .. math:: L = \frac{1}{B} \sum_b \|u_b - i_b\|^2 + \frac{\gamma}{2} (V(u) + V(i)), \quad
              V(x) = \ln \frac{2}{B (B - 1)} \sum_{a < b} \exp(-2 \|x_a - x_b\|^2)

    There are no negatives in it: any sampler will do, and :class:`~pyg_negsamp.transforms.RNS`
    costs least. Weights of negatives are ignored. Ranking is by cosines, since lengths are not
    trained; the released code ranks by dot products. Cost: `O(B^2 * D)`, and `B^2` numbers.

    New users are placed by the first part alone, in the middle of what they took.

    When to use it: where nothing is known of what is not liked, or false negatives are many.
    Batches should be large, since the spread is that within a batch.

    Args:
        gamma: How much spreading counts, at least 0. Default 1; the paper's best are 0.5 to 5.

    Raises:
        ValueError: If `gamma` is out of range.
    """

    #: The range of the paper's grid.
    search_space: ClassVar[Space] = {"gamma": Choice((0.2, 0.5, 1.0, 2.0, 5.0, 10.0))}
    similarity = "cosine"
    needs = ("user_rows", "pos_rows")
    least_negatives = 0

    def __init__(self, gamma: float = 1.0) -> None:
        super().__init__()
        self.gamma = number_in(self, "gamma", gamma, "[0, inf)")

    def forward(
        self, pos: Tensor, neg: Tensor, weight: Tensor | None = None, **needed: Any
    ) -> Tensor:
        """As of any loss, but every positive counts, with negatives or without."""
        if neg.dim() == 2 and not neg.size(1):
            neg = neg.new_zeros(len(neg), 1)
        return super().forward(pos, neg, None, **needed)

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        user_rows: Tensor,
        pos_rows: Tensor,
    ) -> Tensor:
        """Each positive's distance, and what all of them spread."""
        user, item = (normalize(wide(rows), dim=1) for rows in (user_rows, pos_rows))
        return distances(user, item) + self.gamma / 2 * (spread(user) + spread(item))

    def of_new_users(self) -> RankingLoss:
        """What the first part is of cosines."""
        return CosineContrastiveLoss(negative_weight=0.0)


def distances(user: Tensor, item: Tensor) -> Tensor:
    """`[B]` how far apart users and their items lie, two `[B, W]`, squared."""
    return (user - item).square().sum(dim=1)


def spread(x: Tensor) -> Tensor:
    """How close together rows `x [B, W]` of length 1, or 0, lie: a scalar, 0 for fewer than two."""
    size = len(x)
    if size < 2:
        return x.new_zeros(())
    # -2 |x_a - x_b|^2 by one product, and then in place: at least -8, so no largest is needed.
    norm = 2 * x.square().sum(dim=1, keepdim=True)
    one = torch.ones_like(norm)
    left, right = torch.cat([2 * x, -norm, one], dim=1), torch.cat([2 * x, one, -norm], dim=1)
    exponents = (left @ right.t()).fill_diagonal_(-math.inf)
    return exponents.exp().sum().log() - math.log(size * (size - 1))
