"""LightGCN: neighbourhood averaging and nothing else."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.pooling import Pool
from pyg_negsamp.nn.propagation import Adjacency, propagate, read_rows


class LightGCN(Encoder):
    r"""LightGCN (He et al., SIGIR 2020, arXiv:2002.02126), all layers kept.

    .. math:: X_l = D^{-1/2} A D^{-1/2} X_{l-1}, \quad X_0 = \text{ego embeddings}

    Same values and gradients as :class:`torch_geometric.nn.models.LightGCN` on the graph with
    both edge directions; `embedding` has its layout, so that
    `encoder.embedding.load_state_dict(pyg_model.embedding.state_dict())` takes its weights.
    PyG sums the layers inside; here they are returned one by one, and `pool='mean'` is PyG's
    default weighting.

    Cost of a training step: `2 L` products of the sparse matrix with an `[N, D]` table, of
    `4 * E * D` operations each.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 3,
        pool: Pool = "mean",
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type)
        self.adjacency = Adjacency(known_links(data, edge_type))

    def forward(self) -> XDict:
        """Per-layer embeddings with gradient, `H` tensors `[U, D]` and `[I, D]`."""
        return self._propagate(self.embedding.weight)

    def tables(self) -> XDict:
        """Per-layer embeddings without gradient: :meth:`rows` supplies it."""
        return self._propagate(self.embedding.weight.detach())

    def _propagate(self, x: Tensor) -> XDict:
        return self._as_x_dict(propagate(x, self.adjacency(), self.num_layers))

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows in one operation, see :func:`read_rows`."""
        both = (tables[self.user_type], tables[self.item_type])
        return read_rows(self.embedding.weight, self.adjacency(), both, user, item)
