r"""Entropy of embeddings: how evenly they spread over their dimensions.

Example. Four embeddings of two dimensions; the softmax of each is a distribution over the two:

    [0, 0]      1/2, 1/2    entropy ln 2 = 0.69    nothing learned
    [3, 3]      1/2, 1/2    entropy ln 2 = 0.69    equal dimensions say as little
    [0, ln 3]   1/4, 3/4    entropy 0.56
    [0, 50]     0, 1        entropy 0.00           all in one dimension

"Dynamic Negative Sampling for Contrastive Recommendation" (2022), eq. 6 and figure 3:

.. math:: H = - \frac{1}{D} \sum \sigma(E) \ln \sigma(E), \quad E = [E_u ; E_i]

By section 3.5 :math:`\sigma` is the softmax that makes *all embeddings* positive before their
logarithm is taken; over what it sums to 1 is left open. It is here each embedding, over its
dimensions. As printed, `H` grows with the number of embeddings, so section 4.2 compares
groups of equal size. Here it is divided by that number, so that any groups compare: times it, this
is the paper's number. Figure 3 has the embeddings of negative items, without users. For those of
a group of users and items, as eq. 6 has it, concatenate both.
"""

from __future__ import annotations

from torch import Tensor

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.numerics import wide


def entropy(rows: Tensor, weight: Tensor | None = None) -> Tensor:
    """The entropy of a group of embeddings, per embedding and dimension (eq. 6).

    Args:
        rows: `[N, D]` embeddings.
        weight: `[N]`; an embedding of weight 0 does not count. Default: all count.

    Returns:
        A scalar in `[0, ln(D) / D]`, in nats; NaN if no embedding counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes("entropy", rows=(rows, "numbers N D"), weight=(weight, "numbers N"))
    log_share = wide(rows).log_softmax(dim=1)
    of_each = -(log_share.exp() * log_share).sum(dim=1) / max(rows.size(1), 1)
    return mean_where(of_each, weight)


def look_at_entropy(look: Look) -> dict[str, Tensor]:
    """`entropy/chosen`: of the embeddings of the chosen items, each as often as it was chosen."""
    if look.chosen is None:
        return {}
    weight = look.weight
    if weight is not None:
        per_item = weight.view(*weight.shape, *[1] * (look.chosen.dim() - 2))
        weight = per_item.expand_as(look.chosen).flatten()
    return {"entropy/chosen": entropy(look.items[look.chosen.flatten()], weight)}
