"""EASE: the best linear model of items from items, in closed form. A point of reference."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.csr import binary_matrix, dense_rows
from pyg_negsamp.errors import invalid, number_in
from pyg_negsamp.graph import known_links
from pyg_negsamp.memory import check_memory
from pyg_negsamp.references.base import ItemWeights
from pyg_negsamp.space import Choice, Space


class EASE(ItemWeights):
    r"""Embarrassingly shallow autoencoders (Steck, WWW 2019, arXiv:1905.03375, eq. 8).

    .. math:: s(u, \cdot) = x_u B, \quad B_{ij} = -P_{ij} / P_{jj}, \quad B_{jj} = 0, \quad
        P = (X^T X + \lambda I)^{-1}

    To be handed to :func:`pyg_negsamp.evaluation.evaluate`.

    Memory: three dense `[I, I]` matrices in single precision while it is computed, one after.
    Cost: `O(I^3)`.

    Args:
        data: Training graph; repeated links count once.
        l2: :math:`\lambda`. Default 500, in the paper's range; to be tuned.
        edge_type: The interactions in `data`.

    Raises:
        ValueError: If `l2` is not finite and above 0, or too small or large to calculate with, or
            if the matrices do not fit into the memory that is free.
    """

    #: Ours: powers of ten on both sides of the default.
    search_space: ClassVar[Space] = {"l2": Choice((10.0, 100.0, 1e3, 1e4))}

    def __init__(
        self, data: HeteroData, l2: float = 500.0, edge_type: EdgeType | None = None
    ) -> None:
        self.l2 = number_in(self, "l2", l2, "(0, inf)")
        num_items = known_links(data, edge_type).num_items
        check_memory(self, "data", f"{num_items} items", self.bytes_needed(num_items))
        self.seen = seen = binary_matrix(data, edge_type)
        by_item = seen.to_sparse_csc().t()
        gram = torch.empty(num_items, num_items)
        for item in torch.arange(num_items).split(1024):
            gram[:, item] = by_item @ dense_rows(by_item, item).t()
        gram.diagonal().add_(l2)
        factor, failed = torch.linalg.cholesky_ex(gram)
        del gram
        expected = "neither too small nor too large to invert a matrix in single precision"
        beyond_precision = invalid(self, "l2", expected, l2)
        if failed:
            raise beyond_precision
        inverse = torch.cholesky_inverse(factor)
        del factor
        #: `[I, I]` how much each item (row) speaks for each other one (column).
        self.weight = inverse.div_(-inverse.diagonal().clone())
        self.weight.fill_diagonal_(0)
        if not self.weight.isfinite().all():
            raise beyond_precision

    @staticmethod
    def bytes_needed(num_items: int) -> int:
        """Memory while it is computed: three `[I, I]` matrices in single precision."""
        return 3 * 4 * num_items**2
