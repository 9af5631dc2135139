"""SGL: LightGCN that also tells nodes apart across two thinned graphs."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import one_of
from pyg_negsamp.layers import Pool, pool_rows
from pyg_negsamp.nn.adjacency import Thinning
from pyg_negsamp.nn.contrast import check_contrast, contrast, distinct
from pyg_negsamp.nn.dropout import check_rate, kept
from pyg_negsamp.nn.encoder import XDict
from pyg_negsamp.nn.lightgcn import LightGCN
from pyg_negsamp.space import Choice, Space

VIEWS = ("edge", "node", "walk")


class SGL(LightGCN):
    r"""Self-supervised graph learning (Wu et al., SIGIR 2021, arXiv:2010.10783) on LightGCN.

    Every epoch two views of the training graph are drawn. Each has links missing, and degrees
    of its own. Their pooled embeddings `z'`, `z''` of the batch's users, and of its positive
    items, are contrasted (eq. 10-11):

    .. math:: \lambda \Big( -\frac{1}{|U_B|} \sum_{u \in U_B} \log
        \frac{\exp(\cos(z'_u, z''_u) / \tau)}
        {\sum_{v \in U_B} \exp(\cos(z'_u, z''_v) / \tau)} + \text{the same over items} \Big)

    The sums run over the distinct users and items of the batch, as in later codes; the paper
    writes all users and items, and a sum where this takes a mean. Ranking uses the whole graph.

    Cost: LightGCN's step three times, and `O(B^2 D)`.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        view: What is left out of a view: `'edge'` (links), `'node'` (nodes, with their links)
            or `'walk'` (links, others at each layer). Default `'edge'`, the paper's best.
        dropout: Share of links or nodes left out, the paper's :math:`\rho`. Default 0.1.
        weight: :math:`\lambda`. Default 0.1, as in the paper on Yelp2018.
        temperature: :math:`\tau`. Default 0.2, as in the paper.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: Around the paper's values.
    search_space: ClassVar[Space] = {
        "num_layers": Choice((1, 2, 3)),
        "dropout": Choice((0.1, 0.2, 0.3, 0.4, 0.5)),
        "weight": Choice((0.005, 0.01, 0.05, 0.1, 0.5, 1.0)),
        "temperature": Choice((0.1, 0.2, 0.5, 1.0)),
    }

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 3,
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
        *,
        view: str = "edge",
        dropout: float = 0.1,
        weight: float = 0.1,
        temperature: float = 0.2,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type)
        one_of(self, "view", view, VIEWS)
        check_contrast(self, weight, temperature)
        self.view, self.dropout = view, check_rate(self, "dropout", dropout)
        self.weight, self.temperature = weight, temperature
        self.thinning = Thinning(self.adjacency, self.num_users)
        self.views: list[list[Tensor]] = []

    def start_epoch(self, generator: torch.Generator) -> None:
        """Draws the two views of the epoch."""
        super().start_epoch(generator)
        self.views = [self._draw_view(), self._draw_view()]

    def _draw_view(self) -> list[Tensor]:
        """The entries of the matrices of a view: one per layer for a walk, else one for all."""
        draws = self.num_layers if self.view == "walk" else 1
        return [self.thinning.renormalised(self._keep()) for _ in range(draws)]

    def _keep(self) -> Tensor:
        user, item = self.thinning.user, self.thinning.item
        if self.view == "node":
            keep = kept(self.adjacency.num_nodes, self.dropout, user, self.generator)
            return keep[user] & keep[item + self.num_users]
        return kept(len(user), self.dropout, user, self.generator)

    def auxiliary_loss(self, tables: XDict, user: Tensor, item: Tensor) -> Tensor:
        """The contrast of the two views on the batch, times `weight`."""
        if not self.views:
            self.views = [self._draw_view(), self._draw_view()]
        users, items = nodes = distinct(user), distinct(item)
        first, second = (self._read_view(view, users.ids, items.ids) for view in self.views)
        return self.weight * contrast(first, second, nodes, self.temperature)

    def _read_view(self, view: list[Tensor], user: Tensor, item: Tensor) -> list[Tensor]:
        """Pooled rows of users and items in a view."""
        matrices = [self.adjacency(value) for value in view]
        matrices = matrices if self.view == "walk" else matrices * self.num_layers
        tables = self._layers(self._source(), matrices)
        rows = self._read(tables, matrices, user, item)
        return [pool_rows(x, self.pool) for x in rows]
