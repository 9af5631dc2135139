"""Popularity: whether negatives are drawn from the head of the catalogue.

Chen et al., KDD 2017 (doi:10.1145/3097983.3098202), draw by popularity (:class:`PNS`), which AHNS
(arXiv:2401.05191) sets against uniform draws and hard ones. Unit: training links per item.
"""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes


def mean_popularity(count: Tensor, item: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean number of training links of some items.

    Args:
        count: `[I]` training links of each item.
        item: `[n, K]` item ids, or `[n, K, H]` with one per layer.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        A scalar; NaN if no negative counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    per_layer = isinstance(item, Tensor) and item.dim() == 3
    check_shapes(
        "mean_popularity",
        count=(count, "counts I"),
        item=(item, "ids n K H" if per_layer else "ids n K"),
        weight=(weight, "numbers n K"),
    )
    return mean_where(count[item].double(), weight)


def look_at_popularity(look: Look) -> dict[str, Tensor]:
    """That of the items drawn, of the positives, and of all items."""
    found = {
        "popularity/positive": mean_popularity(look.count, look.pos.unsqueeze(1)),
        "popularity/catalogue": mean_where(look.count.double()),
    }
    if look.chosen is not None:
        found["popularity/chosen"] = mean_popularity(look.count, look.chosen, look.weight)
    return found
