"""ItemKNN: items like those the user has seen. A point of reference without training."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.csr import binary_matrix, csr, dense_rows
from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.references.base import ItemWeights
from pyg_negsamp.space import Choice, Space

#: Bytes of similarities held at a time while neighbours are looked for.
BLOCK_BYTES = 2**28


class ItemKNN(ItemWeights):
    r"""Item-based neighbourhoods with cosines (Sarwar et al., WWW 2001, doi:10.1145/371920.372071).

    .. math:: s(u, i) = \sum_{j \in N_k(i), \, j \text{ seen by } u} \text{sim}(i, j), \quad
        \text{sim}(i, j) = \frac{|U_i \cap U_j|}{\sqrt{|U_i|} \sqrt{|U_j|} + \text{shrink}}

    :math:`N_k(i)` are the `k` items most similar to `i`, without `i`; ties are broken anyhow.
    Nothing is learned. To be handed to :func:`pyg_negsamp.evaluation.evaluate`.

    Memory: `I * k` neighbours. Cost: `O(E * I)` to find them.

    Args:
        data: Training graph; repeated links count once.
        k: Neighbours per item. Default 100.
        shrink: Added to the denominator, against similarities of rare items. Default 0.
        edge_type: The interactions in `data`.

    Raises:
        ValueError: If `k < 1`, or if `shrink` is negative or not finite.
    """

    #: Few and many neighbours, with and without shrinkage: ours.
    search_space: ClassVar[Space] = {"k": Choice((50, 200)), "shrink": Choice((0.0, 10.0))}

    def __init__(
        self,
        data: HeteroData,
        k: int = 100,
        shrink: float = 0.0,
        edge_type: EdgeType | None = None,
    ) -> None:
        self.k = whole_number(self, "k", k, least=1)
        self.shrink = number_in(self, "shrink", shrink, "[0, inf)")
        seen = binary_matrix(data, edge_type)
        num_items = seen.size(1)
        by_item = seen.to_sparse_csc().t()  # [I, U], sparse CSR
        norm = by_item.crow_indices().diff().to(seen.dtype).sqrt()
        k = min(k, max(num_items - 1, 0))
        weight, neighbour = [torch.zeros(0, k)], [torch.zeros(0, k, dtype=torch.long)]
        for item in torch.arange(num_items).split(max(1, BLOCK_BYTES // (4 * num_items + 1))):
            # Columns of X^T X: how many users each item shares with those of the block.
            columns = dense_rows(by_item, item).t()
            similarity = (by_item @ columns).t() / (norm[item, None] * norm + shrink).clamp(min=1)
            similarity[torch.arange(len(item)), item] = -1
            best = similarity.topk(k, dim=1)
            weight.append(best.values)
            neighbour.append(best.indices)
        pointer = torch.arange(num_items + 1) * k
        size = (num_items, num_items)
        self.seen = seen
        #: `[I, I]` sparse: row `i` holds the similarities of its neighbours.
        self.weight = csr(
            pointer, torch.cat(neighbour).flatten(), torch.cat(weight).flatten(), size
        )
