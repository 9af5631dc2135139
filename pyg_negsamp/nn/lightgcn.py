"""LightGCN: neighbourhood averaging and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, number_in, short, yes_or_no
from pyg_negsamp.graph import known_links
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.nn.adjacency import Adjacency, Thinning
from pyg_negsamp.nn.dropout import check_rate, dropout, kept
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.folding import new_link_weights, sum_by_owner
from pyg_negsamp.nn.propagation import propagate, read_rows
from pyg_negsamp.space import Choice, Space


class LightGCN(Encoder):
    r"""LightGCN (He et al., SIGIR 2020, arXiv:2002.02126), all layers kept.

    .. math:: X_l = D^{-1/2} A D^{-1/2} X_{l-1}, \quad X_0 = \text{ego embeddings}

    Same values and gradients as :class:`torch_geometric.nn.models.LightGCN` on the graph with
    both edge directions; `embedding` has its layout, so that
    `encoder.embedding.load_state_dict(pyg_model.embedding.state_dict())` takes its weights.
    PyG sums the layers inside; here they are returned one by one, and `pool='mean'` is PyG's
    default weighting.

    Cost of a training step: `2 L` products of the sparse matrix with an `[N, D]` table, of
    `4 * E * D` operations each. Message dropout gives up the shortcut of the backward and is
    about twice as slow.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of propagations, `L`.
        pool: How layers become the scoring embedding.
        edge_type: The interactions in `data`.
        edge_dropout: Share of links left out of each training step, in both directions alike,
            the others rescaled. Default 0. (Released codes drop each direction by itself, which
            makes the matrix asymmetric.)
        message_dropout: Share of entries dropped from each propagated layer. Default 0.
        include_ego: Whether layer 0 is among the layers returned, so `H = L + 1`. Default: yes.
            Without it, `H = L`, as in the released code of DINS, and the L2 penalty of training
            falls on layer 1.
        alpha: Weights of the layers returned, as PyG's `alpha`: a number for all, or `H` of
            them. With `pool='mean'` only: layer `l` comes back times `H * alpha[l]`, so that the
            mean is the weighted sum; the L2 penalty of training falls on layer 0 as it comes back.
            Default: `1 / H` each.

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
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
        *,
        edge_dropout: float = 0.0,
        message_dropout: float = 0.0,
        include_ego: bool = True,
        alpha: float | Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type)
        self.drawn: Tensor | None = None  # the entries that the tables of this step came from
        if num_layers < 1 and not include_ego:
            raise invalid(self, "num_layers", "at least 1 without the ego layer", num_layers)
        self.edge_dropout = check_rate(self, "edge_dropout", edge_dropout)
        self.message_dropout = check_rate(self, "message_dropout", message_dropout)
        self.include_ego = yes_or_no(self, "include_ego", include_ego)
        self.alpha = alpha.tolist() if isinstance(alpha, Tensor) else alpha
        self.scale = None if self.alpha is None else self._scale(self.alpha)
        self.adjacency = Adjacency(known_links(data, self.edge_type))
        if edge_dropout:
            self.thinning = Thinning(self.adjacency, self.num_users)

    def _scale(self, alpha: Any) -> list[float]:
        H = self.num_layers + self.include_ego
        one = isinstance(alpha, Real) and not isinstance(alpha, bool)
        if not one and not isinstance(alpha, list | tuple):
            raise invalid(self, "alpha", f"a number, or one for each of {H} layers", short(alpha))
        weights = [alpha] * H if one else [*alpha]
        if len(weights) != H:
            raise invalid(self, "alpha", f"a number, or one for each of {H} layers", weights)
        if self.pool != "mean":
            raise invalid(self, "alpha", "left out unless pool='mean'", f"pool={self.pool!r}")
        return [H * number_in(self, "alpha", weight, "(-inf, inf)") for weight in weights]

    def forward(self) -> XDict:
        """Per-layer embeddings with gradient, `H` tensors `[U, D]` and `[I, D]`."""
        return self._layers(self.embedding.weight, self._matrices(self._draw()))

    def tables(self) -> XDict:
        """Per-layer embeddings, without gradient where :meth:`rows` can supply it."""
        self.drawn = self._draw()
        x = self.embedding.weight
        if not (self.training and self.message_dropout):
            x = x.detach()
        return self._layers(x, self._matrices(self.drawn))

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows in one operation, see :func:`read_rows`."""
        if tables[self.user_type][-1].requires_grad:
            return super().rows(tables, user, item)
        both, matrices = self._both(tables), self._matrices(self.drawn)
        return read_rows(self.embedding.weight, matrices, both, user, item, self.scale)

    @torch.no_grad()
    def fold_in(
        self, owner: Tensor, item: Tensor, num: int, loss: torch.nn.Module, l2: float = 0.0
    ) -> Tensor:
        r"""Rows of persons who were not met: new nodes, through which the others do not change.

        .. math:: x_0 = 0, \quad x_l = \sum_{i \text{ taken}}
            \frac{1}{\sqrt{n} \sqrt{\deg(i)}} \, x_{i, l-1}

        with `n` items taken. For what a training user took, layers `1..L` are the user's own; only
        the ego layer, which nobody has learned for a new person, is missing.

        Args:
            owner: `[E]` which person took an item, in `[0, num)`.
            item: `[E]` the item taken. Repeated ones count repeatedly, as in training.
            num: Number of persons.
            loss: Not read.
            l2: Not read.

        Returns:
            `[num, W]`, pooled.
        """
        xs = propagate(self.embedding.weight, self._matrices())
        weight = new_link_weights(self.adjacency, owner, item + self.num_users)
        rows = [sum_by_owner(self._split(x)[1], owner, item, weight, num) for x in xs[:-1]]
        return pool_layers(self._returned([xs[0].new_zeros(num, self.dim), *rows]), self.pool)

    def _both(self, tables: XDict) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        return tables[self.user_type], tables[self.item_type]

    def _draw(self) -> Tensor | None:
        """In training with edge dropout, the matrix's entries with links left out."""
        if not (self.training and self.edge_dropout):
            return None
        links = self.thinning.user
        keep = kept(len(links), self.edge_dropout, links, self.generator)
        return self.thinning.rescaled(keep, self.edge_dropout)

    def _matrices(self, value: Tensor | None = None) -> list[Tensor]:
        """The matrix of every layer, with entries `value` if given."""
        return [self.adjacency(value)] * self.num_layers

    def _layers(
        self,
        x: Tensor,
        matrices: Sequence[Tensor],
        then: Callable[[Tensor], Tensor] | None = None,
    ) -> XDict:
        """Propagates `x` and splits the layers to return; `then` works on every propagated one."""
        if then is None and self.training and self.message_dropout:
            then = self._drop_messages
        return self._as_x_dict(self._returned(propagate(x, matrices, then)))

    def _returned(self, xs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Of the layers `0..L`, those that are returned, weighted."""
        xs = xs[0 if self.include_ego else 1 :]
        if self.scale is not None:
            xs = [x * scale for x, scale in zip(xs, self.scale, strict=True)]
        return xs

    def _drop_messages(self, x: Tensor) -> Tensor:
        return dropout(x, self.message_dropout, self.generator)
