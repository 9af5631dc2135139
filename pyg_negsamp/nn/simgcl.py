"""SimGCL and XSimGCL: contrast without graph augmentation, by noise on the embeddings."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.layers import Pool, pool_rows
from pyg_negsamp.nn.contrast import check_contrast, contrast, distinct
from pyg_negsamp.nn.encoder import XDict
from pyg_negsamp.nn.lightgcn import LightGCN
from pyg_negsamp.numerics import uniform, unit_rows
from pyg_negsamp.space import Choice, Space


class SimGCL(LightGCN):
    r"""SimGCL (Yu et al., SIGIR 2022, arXiv:2112.08679).

    LightGCN without the ego layer (section 3.1 leaves it out of all encoders), and two more
    passes over the graph in which every propagated vector is shifted within its orthant by
    noise of length :math:`\epsilon` (eq. 5-7):

    .. math:: x \leftarrow A x + \epsilon \, \text{sign}(A x) \odot r / \|r\|, \quad
        r \sim U(0, 1)^D

    The pooled embeddings of the two passes are contrasted on the distinct users, and on the
    distinct positive items, of the batch, as in :class:`SGL`. Noise passes no gradient, so that
    the shortcut of LightGCN's backward holds.

    Cost: LightGCN's step three times, and `O(B^2 D)`.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`; `H = L`.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        epsilon: Length of the noise. Default 0.1, as in the paper.
        weight: :math:`\lambda` of the contrast. Default 0.5, the paper's for Yelp2018.
        temperature: :math:`\tau`. Default 0.2, as in the paper.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: Around the paper's values.
    search_space: ClassVar[Space] = {
        "num_layers": Choice((1, 2, 3)),
        "epsilon": Choice((0.01, 0.05, 0.1, 0.2, 0.5)),
        "weight": Choice((0.01, 0.05, 0.1, 0.2, 0.5, 1.0)),
        "temperature": Choice((0.1, 0.15, 0.2, 0.25)),
    }

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 3,
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
        *,
        epsilon: float = 0.1,
        weight: float = 0.5,
        temperature: float = 0.2,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type, include_ego=False)
        number_in(self, "epsilon", epsilon, "[0, inf)")
        check_contrast(self, weight, temperature)
        self.epsilon, self.weight, self.temperature = epsilon, weight, temperature

    def auxiliary_loss(self, tables: XDict, user: Tensor, item: Tensor) -> Tensor:
        """The contrast of two noisy passes on the batch, times `weight`."""
        users, items = nodes = distinct(user), distinct(item)
        views = [self.rows(self._noisy_tables(), users.ids, items.ids) for _ in range(2)]
        first, second = ([pool_rows(rows, self.pool) for rows in view] for view in views)
        return self.weight * contrast(first, second, nodes, self.temperature)

    def _noisy_tables(self) -> XDict:
        """Layers with noise, as :meth:`tables` has them without."""
        return self._layers(self._source(), self._matrices(), self._perturb)

    def _perturb(self, x: Tensor) -> Tensor:
        """Eq. 5-6: shifts every row by noise of length `epsilon`, within its orthant."""
        noise = uniform(x.shape, x.dtype, x.device, self.generator)
        return x + self.epsilon * x.sign() * unit_rows(noise)


class XSimGCL(SimGCL):
    r"""XSimGCL (Yu et al., TKDE 2023, arXiv:2209.02544): SimGCL in a single pass.

    In training the noisy pass is also the one that scores; its pooled embedding is contrasted
    with its own layer :math:`l^*` (eq. 8-9). Ranking uses the pass without noise.

    Cost: LightGCN's step twice in the backward, once in the forward, and `O(B^2 D)`.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`; `H = L`.
        pool: How layers become the scoring embedding; not `'concat'`, of another width than a
            layer.
        edge_type: The interactions in `data`.
        epsilon: Length of the noise. Default 0.2, as in the paper.
        weight: :math:`\lambda` of the contrast. Default 0.2, as in the paper.
        temperature: :math:`\tau`. Default 0.2.
        contrast_layer: :math:`l^*`, from 1 to `L`. Default 1.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 3,
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
        *,
        epsilon: float = 0.2,
        weight: float = 0.2,
        temperature: float = 0.2,
        contrast_layer: int = 1,
    ) -> None:
        super().__init__(
            data,
            dim,
            num_layers,
            pool,
            edge_type,
            epsilon=epsilon,
            weight=weight,
            temperature=temperature,
        )
        if pool == "concat":
            raise invalid(self, "pool", "not 'concat', whose width is not that of a layer", pool)
        self.contrast_layer = whole_number(self, "contrast_layer", contrast_layer, least=1)
        if contrast_layer > num_layers:
            raise invalid(self, "contrast_layer", f"in [1, {num_layers}]", contrast_layer)

    def forward(self) -> XDict:
        """Layers with gradient, `L` tensors `[U, D]` and `[I, D]`; noisy in training."""
        noise = self._perturb if self.training else None
        return self._layers(self.embedding.weight, self._matrices(), noise)

    def tables(self) -> XDict:
        """Layers without gradient, which :meth:`rows` supplies; noisy in training."""
        return self._noisy_tables() if self.training else super().tables()

    def auxiliary_loss(self, tables: XDict, user: Tensor, item: Tensor) -> Tensor:
        """The contrast of the pooled embedding with layer `contrast_layer`, times `weight`."""
        users, items = nodes = distinct(user), distinct(item)
        rows = self.rows(tables, users.ids, items.ids)
        pooled = [pool_rows(x, self.pool) for x in rows]
        layer = [x[:, self.contrast_layer - 1] for x in rows]
        return self.weight * contrast(pooled, layer, nodes, self.temperature)
