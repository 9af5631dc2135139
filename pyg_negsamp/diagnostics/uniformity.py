r"""Alignment and uniformity: whether what belongs together lies together, and the rest apart.

Example. On the unit circle, two users at 0 and 180 degrees, each with an item at the same place:

    alignment  (0 + 0) / 2 = 0             every user lies on the own item
    uniformity ln exp(-2 * 2^2) = -8       the two are as far apart as can be

Wang and Isola (ICML 2020, arXiv:2005.10242), for recommendation as DirectAU has it (Wang et al.,
KDD 2022, arXiv:2206.12811, eq. 2 to 5), of vectors with length 1:

.. math::
    \text{alignment} = \mathop{\mathbb{E}}_{(u, i)} \|u - i\|^2, \quad
    \text{uniformity} = \ln \mathop{\mathbb{E}}_{x \ne y} e^{-2 \|x - y\|^2}

Both are better the lower they are, and each alone is easily had: of equal vectors the alignment is
0, and random ones are uniform. The arithmetic is that of the loss,
:class:`pyg_negsamp.losses.DirectAULoss`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.losses.direct_au import distances, spread
from pyg_negsamp.numerics import wide

#: Rows of a table that the uniformity looks at: 130,816 pairs.
ROWS = 512


def alignment(user: Tensor, item: Tensor) -> Tensor:
    """The mean squared distance between users and their items, at length 1.

    Args:
        user: `[n, D]` embeddings of the users of some links.
        item: `[n, D]` embeddings of their items.

    Returns:
        A scalar in [0, 4]; NaN of no links.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes("alignment", user=(user, "numbers n D"), item=(item, "numbers n D"))
    return distances(normalize(wide(user), dim=1), normalize(wide(item), dim=1)).mean()


def uniformity(table: Tensor) -> Tensor:
    """How close together the rows of a table lie, at length 1.

    Of a table with more than :data:`ROWS` rows it is that of as many, the same at every call:
    evenly spaced ones, from the first row on.

    Args:
        table: `[N, D]` embeddings of users, or of items.

    Returns:
        A scalar in [-8, 0]: 0 if all rows are equal; also 0 of fewer than two.

    Raises:
        ValueError: If it is not of this shape.
    """
    check_shapes("uniformity", table=(table, "numbers N D"))
    size = len(table)
    if size > ROWS:
        table = table[torch.arange(ROWS, device=table.device) * size // ROWS]
    return spread(normalize(wide(table), dim=1))


def look_at_uniformity(look: Look) -> dict[str, Tensor]:
    """`alignment/pairs` of the sample's links; `uniformity/users` and `/items` of the tables."""
    return {
        "alignment/pairs": alignment(look.users[look.user], look.items[look.pos]),
        "uniformity/users": uniformity(look.users),
        "uniformity/items": uniformity(look.items),
    }
