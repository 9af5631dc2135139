r"""The sampled area: where the negatives of some positives come from, and where they lie.

Example. In two dimensions a positive is at (0, 0), and the boundary item, the hardest candidate, at
(2, 1). They span a box of area 2 * 1 = 2. A point-wise sampler (DNS) takes its corner, (2, 1); a
line-wise one (MixGCF, SDNS) some point of the diagonal, such as (1, 0.5); an area-wise one
(DINS) any point of the box, such as (0.4, 0.9).

DINS (Wu et al., CIKM 2023, arXiv:2306.15905), figures 1, 3 and 7. Section 4.4.3 says what the
volume of the area is: the absolute differences between positive and boundary item in every
dimension, multiplied. Of 64 differences of 0.1 that is 1e-64, so here are logarithms:

.. math:: \ln V = \sum_d \ln |e^d_{i_*} - e^d_i|

The edge of a cube of that volume, `exp(log_volume / D)`, is in the unit of the embeddings. It is
the volume that the items span. A sampler that takes a corner, or mixes on a line, has one, too,
though it explores no more of it.

The paper has one vector for each item. With several layers there is a box at each, and here are
pooled vectors, as they score. A negative of DINS is in its box at each layer, but the pooled one
need not be in the pooled box; `pool='concat'` puts the boxes side by side, whatever the model
pools by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.layers import Pool, as_layers, check_pool, gather_pooled, gather_rows, pool_rows
from pyg_negsamp.numerics import wide
from pyg_negsamp.transforms import Negatives


@dataclass(frozen=True)
class SampledArea:
    """Positives, and what their negatives were made from and became, as pooled vectors.

    Attributes:
        positive: `[B, D]`.
        boundary: `[B, K, D]` the items that the negatives are, or are made of.
        negative: `[B, K, D]` the negatives.
    """

    positive: Tensor
    boundary: Tensor
    negative: Tensor

    @property
    def groups(self) -> dict[str, Tensor]:
        """`'positive'`, `'boundary'` and `'negative'`, `[n, D]` each: what `in_plane` draws."""
        boundary, negative = self.boundary.flatten(0, 1), self.negative.flatten(0, 1)
        return {"positive": self.positive, "boundary": boundary, "negative": negative}

    @property
    def log_volume(self) -> Tensor:
        """`[B, K]` logarithms of the volumes, see :func:`log_volume`."""
        return log_volume(self.positive, self.boundary)


def sampled_area(
    negatives: Negatives, pos: Tensor, item_xs: Tensor | Sequence[Tensor], pool: Pool = "mean"
) -> SampledArea:
    """The area that negatives were sampled from.

    For a picture, the positives are those of one user, or one positive many times over.

    Args:
        negatives: What a sampler gave for `B` positives; an item stands behind each.
        pos: `[B]` the positives' item ids.
        item_xs: The items' table or layers, in any form of
            :func:`pyg_negsamp.layers.as_layers`: those that the sampler read.
        pool: How layers become one vector. Default `'mean'`; see above for `'concat'`.

    Raises:
        ValueError: If no items stand behind the negatives, or shapes do not agree.
    """
    pool = check_pool("sampled_area", pool)
    if not isinstance(negatives, Negatives) or negatives.index is None:
        got = "index=None" if isinstance(negatives, Negatives) else short(negatives)
        raise invalid("sampled_area", "negatives", "Negatives made of items, with an index", got)
    layers, index = as_layers(item_xs, owner="sampled_area", name="item_xs"), negatives.index
    check_shapes(
        "sampled_area",
        pos=(pos, "ids B"),
        index=(index, "ids B K H" if index.dim() == 3 else "ids B K"),
        xs=(negatives.xs, "numbers B K H D"),
    )
    made_of, given = [*negatives.xs.shape[2:]], [len(layers), layers[0].size(1)]
    if made_of != given:
        expected = f"{made_of[0]} layers of width {made_of[1]}, as the negatives have"
        raise invalid("sampled_area", "item_xs", expected, f"{given[0]} of width {given[1]}")
    rows = gather_rows(layers, index.flatten(0, 1)).unflatten(0, index.shape[:2])
    return SampledArea(
        wide(gather_pooled(layers, pos, pool)).detach(),
        wide(pool_rows(rows, pool)).detach(),
        wide(pool_rows(negatives.xs, pool)).detach(),
    )


def log_volume(positive: Tensor, boundary: Tensor) -> Tensor:
    """The logarithm of the volume between positives and boundary items (DINS, section 4.4.3).

    Args:
        positive: `[B, D]` vectors of the positives.
        boundary: `[B, K, D]` vectors of the boundary items.

    Returns:
        `[B, K]`, in nats; `-inf` where the two agree in a dimension.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "log_volume", positive=(positive, "numbers B D"), boundary=(boundary, "numbers B K D")
    )
    return (wide(boundary) - wide(positive).unsqueeze(1)).abs().log().sum(dim=2)
