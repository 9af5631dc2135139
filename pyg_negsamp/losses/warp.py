"""WARP: how long it takes to find a violating negative tells the rank of a positive."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.errors import whole_number
from pyg_negsamp.losses.base import RankingLoss
from pyg_negsamp.losses.hinge import HingeLoss

#: Euler's constant: the harmonic number of `r` is `digamma(r + 1)` and this.
EULER = 0.5772156649015329


class WARPLoss(RankingLoss):
    r"""The first negative within a margin of 1, weighted by the rank that it lets one guess.

    WARP (Weston et al., IJCAI 2011, doi:10.5591/978-1-57735-516-8/IJCAI11-460). The `K` negatives
    are tries, in their order; with RNS they are drawn as in the paper. Where
    `q` is the first with :math:`s_{bq} > s_b - 1`:

    .. math:: L = \frac{1}{B} \sum_b \Phi(r_b) \, (1 - s_b + s_{bq}), \quad
              r_b = \left\lfloor \frac{I - 1}{q} \right\rfloor, \quad
              \Phi(r) = \sum_{i=1}^{r} \frac{1}{i}

    and 0 where there is none. No gradient flows through :math:`\Phi`, which jumps: new users are
    placed by :class:`HingeLoss`.

    A negative of weight 2 is two tries (weights are rounded up), one of weight 0 is none.

    Here all tries are scored at once, in the time of the longest search; the paper stops at the
    first. Take `--num-negatives 10` or more.

    Cost: `O(B * K)`.

    When to use it: where the top of the list is what matters, with negatives as cheap as those of
    :class:`~pyg_negsamp.transforms.RNS`.

    Args:
        num_items: `I`, the size of the catalogue.

    Raises:
        ValueError: If `num_items` is out of range.
    """

    by_row = True
    smooth = False
    least_negatives = 2

    def __init__(self, num_items: int) -> None:
        super().__init__()
        self.num_items = whole_number(self, "num_items", num_items, least=2)

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The weighted hinge of the first violating try."""
        # Counted in whole numbers, whose running sums are deterministic on GPUs, too.
        times = (torch.ones_like(neg) if weight is None else weight.ceil()).long()
        # Not `>`: what is no number violates, so that a diverged model has no loss of 0.
        violates = ~(neg <= pos.unsqueeze(1) - 1) & (times > 0)
        first = violates & (violates.cumsum(dim=1) == 1)
        found = first.any(dim=1)
        before = times.cumsum(dim=1) - times
        tries = (before * first).sum(dim=1) + 1
        rank = torch.div(self.num_items - 1, tries, rounding_mode="floor")
        # A mask, not a product: what is not the first may be infinite.
        violation = neg.masked_fill(~first, 0).sum(dim=1)
        phi = torch.digamma((rank + 1).to(pos)) + EULER
        return phi * (1 - pos + violation).where(found, 0)

    def of_new_users(self) -> RankingLoss:
        """A hinge with the same margin."""
        return HingeLoss(1.0)
