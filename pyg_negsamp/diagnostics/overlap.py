r"""What one method finds, or takes, and another does not.

Example. Of six links held out, method x finds the first four, method y the third and the fifth:

    PER(x, y) = |{1, 2, 4}| / 4 = 0.75    of what x finds, y misses three quarters
    PER(y, x) = |{5}| / 2 = 0.5           y has something of its own, though it finds less

*Pairwise exclusive-hit ratio*: ANS (Zhao et al., RecSys 2023, arXiv:2308.05972), eq. 2 of section
3.3 and figure 2, with :math:`H_x` the test links that `x` predicts correctly:

.. math:: PER(x, y) = \frac{|H_x \setminus H_y|}{|H_x|}

When a link counts as predicted correctly, the paper leaves open. It is here whatever was given as
a hit; `hits.npz` of a run has a link's item among the first `K` of its user's list.

*Overlap*: ANS, table 4. Its title says common high-score items, section 5.4.2 says percentage of
negative samples that ANS and DNS have in common. It is here the share of the one's choices that the
other makes, too, out of the same candidates. Of which epochs it is a mean, the paper leaves open.
`examples/overlap.py` measures it in training.
"""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes


def exclusive_hit_ratio(x: Tensor, y: Tensor) -> Tensor:
    """Of the links that method `x` finds, the share that method `y` does not find: PER(x, y).

    Args:
        x: `[E]` whether `x` finds each held-out link, as bool.
        y: `[E]` the same of `y`, of the same links in the same order.

    Returns:
        A scalar in [0, 1]; NaN if `x` finds nothing.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes("exclusive_hit_ratio", x=(x, "flags E"), y=(y, "flags E"))
    return mean_where((~y).float(), x)


def overlap(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The share of the choices of `x` that `y` makes, too.

    Args:
        x: `[n, K]` item ids that one method chose for each link.
        y: `[n, L]` item ids that the other chose; in any order.
        weight: `[n, K]`; a choice of weight 0 does not count. Default: all count.

    Returns:
        A scalar in [0, 1]; NaN if no choice counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes("overlap", x=(x, "ids n K"), y=(y, "ids n L"), weight=(weight, "numbers n K"))
    common = (x.unsqueeze(2) == y.unsqueeze(1)).any(dim=2)
    return mean_where(common.float(), weight)
