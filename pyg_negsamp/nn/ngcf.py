"""NGCF: propagation with weights and an interaction of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu
from torch_geometric.data import HeteroData
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.typing import Adj, EdgeType, OptTensor
from torch_geometric.utils import is_sparse, spmm

from pyg_negsamp.errors import number_in
from pyg_negsamp.graph import check_taken, known_links
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.memory import check_memory
from pyg_negsamp.nn.adjacency import Adjacency
from pyg_negsamp.nn.dropout import check_rate, dropout
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.folding import new_link_weights, sum_by_owner
from pyg_negsamp.nn.propagation import propagate_once
from pyg_negsamp.numerics import unit_rows
from pyg_negsamp.space import Choice, Space


class NGCFConv(MessagePassing):
    r"""The layer of NGCF (eq. 3-4, 7) before its activation, as a PyG convolution.

    .. math:: x'_u = W_1 x_u + \sum_{i \in N_u} \frac{1}{\sqrt{|N_u| |N_i|}}
        \left( W_1 x_i + W_2 (x_i \odot x_u) \right)

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(aggr="add")
        self.lin_self = torch.nn.Linear(in_channels, out_channels, bias=False)
        self.lin_interaction = torch.nn.Linear(in_channels, out_channels, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws both matrices anew (Xavier, as in the paper)."""
        torch.nn.init.xavier_uniform_(self.lin_self.weight)
        torch.nn.init.xavier_uniform_(self.lin_interaction.weight)

    def forward(self, x: Tensor, edge_index: Adj, edge_weight: OptTensor = None) -> Tensor:
        r"""Propagates once.

        Args:
            x: `[N, in_channels]`.
            edge_index: `[2, E]` with both directions of every link; or a sparse matrix (CSR
                tensor or `SparseTensor`), symmetric, whose entries are the weights.
            edge_weight: `[E]`. Default, for `[2, E]`: :math:`1 / \sqrt{|N_u| |N_i|}`.

        Returns:
            `[N, out_channels]`.
        """
        if edge_weight is None and not is_sparse(edge_index):
            edge_index, edge_weight = gcn_norm(
                edge_index, None, x.size(0), add_self_loops=False, dtype=x.dtype
            )
        around = self.propagate(edge_index, x=x, edge_weight=edge_weight)
        return self.combine(x, around)

    def combine(self, x: Tensor, around: Tensor) -> Tensor:
        """The layer's output for nodes `[N, in_channels]` and the sums over their neighbours."""
        # The user's own vector does not depend on the neighbour, and leaves the sum.
        return self.lin_self(x + around) + self.lin_interaction(around * x)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """A neighbour's vector, weighted."""
        return edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(self, adj_t: Adj, x: Tensor) -> Tensor:
        """All of it as one sparse product."""
        if isinstance(adj_t, Tensor) and adj_t.layout == torch.sparse_csr:
            return propagate_once(x, adj_t)
        return spmm(adj_t, x, reduce=self.aggr)


class NGCF(Encoder):
    r"""Neural graph collaborative filtering (Wang et al., SIGIR 2019, arXiv:1905.08108).

    .. math:: X_l = \text{LeakyReLU}\big( (\mathcal{L} + I) X_{l-1} W_1
        + (\mathcal{L} X_{l-1} \odot X_{l-1}) W_2 \big), \quad
        \mathcal{L} = D^{-1/2} A D^{-1/2}

    Every layer has the width of the first. As in the released code and not in the paper, the
    layers above the ego layer are returned with L2-normalised rows, while the next layer reads
    them as they are; that code also adds biases, which this leaves out, as the paper does.
    Of the two dropouts of section 2.4.2 there is the one on messages.

    Gradients flow through autograd, not through the shortcut of :class:`LightGCN`.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`. Default 3, as in the paper.
        pool: How layers become the scoring embedding. Default `'concat'`, eq. 9.
        edge_type: The interactions in `data`.
        message_dropout: Share of entries dropped from each propagated layer while training.
            Default 0.1, as in the paper.
        negative_slope: Of the LeakyReLU. Default 0.2, as in the released code.

    Raises:
        ValueError: If an argument is out of range.
    """

    #: The papers' range.
    search_space: ClassVar[Space] = {
        "num_layers": Choice((1, 2, 3)),
    }

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 3,
        pool: Pool = "concat",
        edge_type: EdgeType | None = None,
        *,
        message_dropout: float = 0.1,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type)
        self.message_dropout = check_rate(self, "message_dropout", message_dropout)
        number_in(self, "negative_slope", negative_slope, "(-inf, inf)")
        self.negative_slope = negative_slope
        check_memory(self, "num_layers", num_layers, 32 * num_layers * dim * dim)
        self.adjacency = Adjacency(known_links(data, self.edge_type))
        self.convs = torch.nn.ModuleList(NGCFConv(dim, dim) for _ in range(num_layers))

    def reset_parameters(self) -> None:
        """Draws the ego embeddings and the matrices of all layers anew."""
        super().reset_parameters()
        for conv in getattr(self, "convs", ()):  # made after the embeddings, and drawn then
            conv.reset_parameters()

    def forward(self) -> XDict:
        """Per-layer embeddings with gradient, `L + 1` tensors `[U, D]` and `[I, D]`."""
        return self._as_x_dict(self._returned(self._layers(drop=self.training)))

    def _layers(self, drop: bool) -> list[Tensor]:
        """The layers `0..L` as the next one reads them, `[U + I, D]`."""
        adjacency = self.adjacency()
        xs = [self.embedding.weight]
        for conv in self.convs:
            x = leaky_relu(conv(xs[-1], adjacency), self.negative_slope)
            if drop and self.message_dropout:
                x = dropout(x, self.message_dropout, self.generator)
            xs.append(x)
        return xs

    def _returned(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """The layers as they are returned."""
        return [xs[0], *map(unit_rows, xs[1:])]

    @torch.no_grad()
    def fold_in(
        self, owner: Tensor, item: Tensor, num: int, loss: torch.nn.Module, l2: float = 0.0
    ) -> Tensor:
        r"""Rows of persons who were not met: new nodes, through which the others do not change.

        .. math:: x_0 = 0, \quad x_l = \text{LeakyReLU}\big( W_1 (x_{l-1} + a_l)
            + W_2 (a_l \odot x_{l-1}) \big), \quad
            a_l = \sum_{i \text{ taken}} \frac{1}{\sqrt{n} \sqrt{\deg(i)}} \, x_{i, l-1}

        with `n` items taken.

        Args:
            owner: `[E]` which person took an item, in `[0, num)`.
            item: `[E]` the item taken. Repeated ones count repeatedly, as in training.
            num: Number of persons.
            loss: Not read.
            l2: Not read.

        Returns:
            `[num, W]`, pooled.
        """
        check_taken(self, owner, item, num, self.num_items)
        xs = self._layers(drop=False)
        weight = new_link_weights(self.adjacency, owner, item + self.num_users)
        rows = [xs[0].new_zeros(num, self.dim)]
        for conv, x in zip(self.convs, xs[:-1], strict=True):
            assert isinstance(conv, NGCFConv)
            around = sum_by_owner(self._split(x)[1], owner, item, weight, num)
            rows.append(leaky_relu(conv.combine(rows[-1], around), self.negative_slope))
        return pool_layers(self._returned(rows), self.pool)
