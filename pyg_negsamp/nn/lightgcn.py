"""LightGCN: neighbourhood averaging and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.nn import LGConv
from torch_geometric.nn.models import LightGCN as PyGLightGCN
from torch_geometric.typing import EdgeType, NodeType

from pyg_negsamp.errors import invalid, number_in, short, yes_or_no
from pyg_negsamp.graph import check_taken, known_links, link_weights
from pyg_negsamp.layers import Pool, pool_layers
from pyg_negsamp.nn.adjacency import Adjacency, Thinning
from pyg_negsamp.nn.dropout import check_rate, dropout, kept
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.folding import new_link_weights, sum_by_owner
from pyg_negsamp.nn.propagation import propagate, read_rows, read_rows_and_items
from pyg_negsamp.space import Choice, Space


class Drawn(dict[NodeType, Sequence[Tensor]]):
    """Layers by node type, and the entries of the matrix that they came from; `None`: its own."""

    def __init__(self, layers: XDict, entries: Tensor | None) -> None:
        super().__init__(layers)
        self.entries = entries


class LightGCN(Encoder):
    r"""LightGCN (He et al., SIGIR 2020, arXiv:2002.02126), all layers kept.

    .. math:: X_l = D^{-1/2} A D^{-1/2} X_{l-1}, \quad X_0 = \text{ego embeddings}

    It holds PyG's :class:`torch_geometric.nn.models.LightGCN` as `model`, whose embedding and
    `alpha` are its parameters; values and gradients are PyG's on the graph with both edge
    directions. PyG sums the layers inside; here they are returned one by one. After training,
    PyG's methods work on what was learned:

    ```python
    edge_index, edge_weight = encoder.adjacency.links()
    encoder.model.get_embedding(edge_index, edge_weight)  # equals encoder.scorer() in pairs
    ```

    That holds for every pooling but `'concat'`, for which PyG has no counterpart: its `alpha` is
    then that of the mean.

    The matrix is symmetric, so that forward and backward are products with one matrix, see
    :mod:`pyg_negsamp.nn.propagation`: values and gradients are those of PyG's message passing. With
    an `alpha` that learns, gradients go through autograd, as PyG's do.

    Cost of a training step: `2 L` products of the sparse matrix with an `[N, D]` table, of
    `4 * E * D` operations each. Message dropout gives up the shortcut of the backward and is
    about twice as slow.

    Args:
        data: Training graph. If its links have an `edge_weight [E]`, they count by it, in both
            directions alike, as in PyG's `LGConv`.
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
            Default: `1 / H` each. They may change later, or learn, as `encoder.model.alpha`: a
            tensor or parameter of `L + 1` weights, that of layer 0 included.
        normalize: Whether to divide by the roots of the degrees, as PyG's `LGConv`. Default: yes.

    Attributes:
        model: PyG's model.
        adjacency: The matrix, see :class:`pyg_negsamp.nn.adjacency.Adjacency`.

    Raises:
        ValueError: If an argument is out of range, or the graph's weights are no weights.
    """

    #: The papers' range.
    search_space: ClassVar[Space] = {
        "num_layers": Choice((1, 2, 3)),
    }
    reads_weights: ClassVar[bool] = True

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
        normalize: bool = True,
    ) -> None:
        super().__init__(data, dim, num_layers, pool, edge_type)
        if num_layers < 1 and not include_ego:
            raise invalid(self, "num_layers", "at least 1 without the ego layer", num_layers)
        self.edge_dropout = check_rate(self, "edge_dropout", edge_dropout)
        self.message_dropout = check_rate(self, "message_dropout", message_dropout)
        self.include_ego = yes_or_no(self, "include_ego", include_ego)
        self.normalize = yes_or_no(self, "normalize", normalize)
        self._hold(self._new_model(alpha))
        weight = link_weights(data, self.edge_type)
        self.adjacency = Adjacency(known_links(data, self.edge_type), weight, normalize)
        if edge_dropout:
            self.thinning = Thinning(self.adjacency, self.num_users)

    @classmethod
    def from_pyg(
        cls, model: PyGLightGCN, data: HeteroData, edge_type: EdgeType | None = None
    ) -> LightGCN:
        """Takes PyG's model as it is: its weights are shared, not copied, and trained in place.

        ```python
        model = torch_geometric.nn.models.LightGCN(num_users + num_items, 64, num_layers=3)
        encoder = LightGCN.from_pyg(model, train_data)
        fit(Recommender(encoder, DNS(train_data, num_candidates=32)), train_data, val_data)
        model.get_embedding(edge_index)  # trained
        ```

        Args:
            model: PyG's model over users and then items. Its `alpha` may be a parameter, and learn.
            data: Training graph, of as many users and items.
            edge_type: The interactions in `data`.

        Raises:
            ValueError: If it is no such model, has another number of nodes than the graph, or
                has convolutions that are not all `LGConv`, normalised or not.
        """
        if not isinstance(model, PyGLightGCN):
            raise invalid(cls, "model", "a torch_geometric.nn.models.LightGCN", short(model))
        if cls is not LightGCN:
            expected = "taken by LightGCN.from_pyg, whose model it is"
            raise invalid(cls, "model", expected, f"{cls.__name__}.from_pyg")
        normalize = {type(conv) is LGConv and conv.normalize for conv in model.convs}
        if not all(type(conv) is LGConv for conv in model.convs) or len(normalize) > 1:
            raise invalid(cls, "model", "of LGConv layers, normalised or not", model.convs)
        if model.alpha.requires_grad and all(x is not model.alpha for x in model.parameters()):
            expected = "one whose alpha is a torch.nn.Parameter, if it is to learn"
            raise invalid(cls, "model", expected, "a buffer with gradient, in no optimiser")
        if not isinstance(data, HeteroData):
            expected = "a HeteroData graph of users and items, whose nodes are the model's in order"
            raise invalid(cls, "data", expected, short(data))
        links = known_links(data, edge_type)
        if model.num_nodes != links.num_users + links.num_items:
            expected = f"of {links.num_users} users and {links.num_items} items"
            raise invalid(cls, "model", expected, f"{model.num_nodes} nodes")
        with torch.random.fork_rng(devices=[]):
            encoder = cls(
                data,
                model.embedding_dim,
                model.num_layers,
                edge_type=edge_type,
                normalize=normalize != {False},
            )
        encoder.to(model.embedding.weight.dtype)
        encoder._hold(model)
        return encoder

    def _new_model(self, alpha: float | Sequence[float] | Tensor | None) -> PyGLightGCN:
        """PyG's model around the embeddings that are there."""
        weights = self._layer_weights(alpha)
        with torch.device("meta"):  # to draw no second table
            model = PyGLightGCN(
                self.num_users + self.num_items, self.dim, self.num_layers, normalize=self.normalize
            )
        model.embedding = self.embedding
        model.alpha = torch.tensor(weights, dtype=torch.get_default_dtype())
        return model

    def _layer_weights(self, alpha: Any) -> list[float]:
        """PyG's `alpha`: a weight for each of the layers `0..L`."""
        H = self.num_layers + self.include_ego
        left_out = [0.0] * (self.num_layers + 1 - H)
        if alpha is None:
            one = {"sum": [1.0] * H, "final": [0.0] * (H - 1) + [1.0]}
            return left_out + one.get(self.pool, [1 / H] * H)
        if isinstance(alpha, Tensor):
            if alpha.requires_grad:
                expected = "numbers; to learn them: encoder.model.alpha = torch.nn.Parameter(...)"
                raise invalid(self, "alpha", expected, "a tensor with gradient")
            alpha = alpha.tolist()
        single = isinstance(alpha, Real) and not isinstance(alpha, bool)
        if not single and not isinstance(alpha, list | tuple):
            raise invalid(self, "alpha", f"a number, or one for each of {H} layers", short(alpha))
        weights = [alpha] * H if single else [*alpha]
        if len(weights) != H:
            raise invalid(self, "alpha", f"a number, or one for each of {H} layers", weights)
        if self.pool != "mean":
            raise invalid(self, "alpha", "left out unless pool='mean'", f"pool={self.pool!r}")
        return left_out + [number_in(self, "alpha", weight, "(-inf, inf)") for weight in weights]

    def _hold(self, model: PyGLightGCN) -> None:
        """Makes a model of PyG's, and its embedding, this encoder's own."""
        self.model, self.embedding = model, model.embedding

    @property
    def weighted(self) -> bool:
        """Whether layers are multiplied: not on a CPU while `model.alpha` has them count alike."""
        alpha, usual = self.model.alpha, self._layer_weights(None)
        if alpha.shape != (len(usual),):
            expected = f"[{len(usual)}], a weight for each layer"
            raise invalid(self, "model.alpha", expected, [*alpha.shape])
        if alpha.device.type != "cpu":  # to look would make it wait for longer than to multiply
            left_out, other = False, alpha.requires_grad or self.pool == "mean"
        else:
            unusual = ~torch.isclose(alpha, alpha.new_tensor(usual), rtol=1e-6, atol=0)
            left_out = not self.include_ego and bool(unusual[0])
            other = alpha.requires_grad or bool(unusual.any())
        if other and (left_out or self.pool != "mean"):
            expected = f"{usual}, with pool={self.pool!r} and include_ego={self.include_ego}"
            raise invalid(self, "model.alpha", expected, short(alpha))
        return other

    @property
    def alpha(self) -> list[float] | None:
        """Weights of the layers returned, `H` numbers; `None` if they count alike."""
        shares = self.model.alpha.detach()[-self.num_layers - self.include_ego :]
        alike = torch.allclose(shares, torch.full_like(shares, 1 / len(shares)), rtol=1e-6, atol=0)
        return shares.tolist() if self.weighted and not alike else None

    # The embedding has two names, and is saved under that of every encoder. `alpha` may be written
    # to; with another pooling than the mean it is always the same.

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """What learns or may be changed: `embedding.weight`, and `model.alpha`."""
        state, prefix = super().state_dict(*args, **kwargs), kwargs.get("prefix", "")
        del state[f"{prefix}model.embedding.weight"]
        if self.pool != "mean":
            del state[f"{prefix}model.alpha"]
        return state

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if self.pool != "mean":
            state_dict.pop(f"{prefix}model.alpha", None)
        for name, value in self.model.state_dict(prefix=f"{prefix}model.").items():
            state_dict.setdefault(name, value)
        if (embedding := f"{prefix}embedding.weight") in state_dict:
            state_dict[f"{prefix}model.embedding.weight"] = state_dict[embedding]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self) -> XDict:
        """Per-layer embeddings with gradient, `H` tensors `[U, D]` and `[I, D]`."""
        return self._layers(self.embedding.weight, self._matrices(self._draw()))

    def tables(self) -> XDict:
        """Per-layer embeddings, without gradient where :meth:`rows` can supply it."""
        entries = self._draw()
        return Drawn(self._layers(self._source(), self._matrices(entries)), entries)

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows in one operation, see :func:`read_rows`."""
        entries = tables.entries if isinstance(tables, Drawn) else None
        return self._read(tables, self._matrices(entries), user, item)

    def rows_and_items(self, tables: XDict, user: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Reads users' rows and all items in one operation, see :func:`read_rows_and_items`."""
        if tables[self.user_type][-1].requires_grad:
            return super().rows_and_items(tables, user)
        entries = tables.entries if isinstance(tables, Drawn) else None
        both = tables[self.user_type], tables[self.item_type]
        return read_rows_and_items(
            self.embedding.weight, self._matrices(entries), both, user, self._scale()
        )

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
        check_taken(self, owner, item, num, self.num_items)
        xs = propagate(self.embedding.weight, self._matrices())
        weight = new_link_weights(self.adjacency, owner, item + self.num_users)
        rows = [sum_by_owner(self._split(x)[1], owner, item, weight, num) for x in xs[:-1]]
        return pool_layers(self._returned([xs[0].new_zeros(num, self.dim), *rows]), self.pool)

    def _source(self) -> Tensor:
        """The ego embeddings, without gradient where :meth:`_read` can supply it."""
        autograd = self.model.alpha.requires_grad or (self.training and self.message_dropout)
        return self.embedding.weight if autograd else self.embedding.weight.detach()

    def _read(
        self, tables: XDict, matrices: Sequence[Tensor], user: Tensor, item: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Reads rows of tables that were made of :meth:`_source` by these matrices."""
        if tables[self.user_type][-1].requires_grad:
            return super().rows(tables, user, item)
        both = tables[self.user_type], tables[self.item_type]
        return read_rows(self.embedding.weight, matrices, both, user, item, self._scale())

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
        scale = self._scale()
        return xs if scale is None else [x * s for x, s in zip(xs, scale, strict=True)]

    def _scale(self) -> Tensor | None:
        """What the `H` layers are multiplied with, so that their mean is PyG's sum."""
        H = self.num_layers + self.include_ego
        return H * self.model.alpha[-H:] if self.weighted else None

    def _drop_messages(self, x: Tensor) -> Tensor:
        return dropout(x, self.message_dropout, self.generator)
