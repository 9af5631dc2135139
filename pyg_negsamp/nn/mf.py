"""Matrix factorisation: the ego embeddings themselves."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.pooling import Pool
from pyg_negsamp.nn.propagation import read_rows


class MF(Encoder):
    """Matrix factorisation (Rendle et al., UAI 2009, arXiv:1205.2618, section 5.1), no biases.

    A single layer, `H = 1`; every pooling gives the same score.

    Args:
        data: Training graph; only its numbers of users and items are read.
        dim: Width of the embeddings, `D`.
        pool: Accepted for the sake of one signature.
        edge_type: The interactions in `data`.
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        pool: Pool = "mean",
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        super().__init__(data, dim, num_layers=0, pool=pool, edge_type=edge_type)

    def forward(self) -> XDict:
        """The embeddings, one tensor `[U, D]` and one `[I, D]`, with gradient."""
        return self._as_x_dict([self.embedding.weight])

    def tables(self) -> XDict:
        """The embeddings without gradient: :meth:`rows` supplies it."""
        return self._as_x_dict([self.embedding.weight.detach()])

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows in one operation, see :func:`read_rows`."""
        both = (tables[self.user_type], tables[self.item_type])
        return read_rows(self.embedding.weight, None, both, user, item)
