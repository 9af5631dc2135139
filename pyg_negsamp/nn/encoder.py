"""What an encoder owes to the rest of the library."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType, NodeType

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import check_taken, edge_type_of, known_links, link_weights
from pyg_negsamp.layers import Pool, check_pool, gather_rows, pool_layers
from pyg_negsamp.memory import check_memory
from pyg_negsamp.nn.folding import fitted_rows
from pyg_negsamp.pairs import Pairs
from pyg_negsamp.scoring import scores_by, settled
from pyg_negsamp.space import Space

XDict: TypeAlias = dict[NodeType, Sequence[Tensor]]


class Encoder(torch.nn.Module, ABC):
    """Turns the training graph into per-layer embeddings of users and items.

    A subclass writes :meth:`forward`. Training calls :meth:`tables` once per step, lets the
    sampler choose from them, and then :meth:`rows` once, for the few rows that the loss needs, or
    :meth:`rows_and_items`, if it needs most items. By default all go through :meth:`forward` and
    autograd; an encoder that knows a cheaper way to the same gradient overrides them. A
    self-supervised encoder adds its own loss in :meth:`auxiliary_loss`; what it draws for a whole
    epoch, in :meth:`start_epoch`.

    Dropout, noise and the like come from `generator` and only while training, as with
    :class:`torch.nn.Dropout`.

    Args:
        data: Training graph.
        dim: Width of the embeddings, `D`.
        num_layers: Number of layers above the ego embedding, `L`.
        pool: How layers become the scoring embedding, see :mod:`pyg_negsamp.layers`.
        edge_type: The interactions in `data`. Default: the only ones there are, see
            :func:`pyg_negsamp.graph.edge_type_of`.

    Attributes:
        embedding: The ego embeddings `[U + I, D]`, users before items, as in PyG's `LightGCN`.
        width: Width of the vectors that :meth:`forward` returns, usually `D`.
        decoder: How pooled rows of users `[B, W]` and items `[B, K, W]` become scores `[B, K]`, if
            not by the loss's similarity. Default: none.
        links: The distinct links of the graph; `None` if the encoder does not read them.
        generator: Source of randomness of the current epoch. Default: torch's own.
    """

    #: Arguments to search; the source stands beside it.
    search_space: ClassVar[Space] = {}
    #: Whether the encoder reads the links of its graph, and not only its numbers of nodes.
    reads_links: ClassVar[bool] = True
    #: Whether it reads the weights of the links, if they have some; one that does not says so.
    reads_weights: ClassVar[bool] = False
    #: Neighbours per hop that training samples; `None` if it reads the whole graph.
    num_neighbors: list[int] | None = None
    generator: torch.Generator | None = None

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        num_layers: int = 0,
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
    ) -> None:
        super().__init__()
        # Set here and not on the class, which would hide a module.
        self.decoder: torch.nn.Module | None = None
        self.dim = self.width = dim = whole_number(self, "dim", dim, least=1)
        self.num_layers = whole_number(self, "num_layers", num_layers)
        self.pool: Pool = check_pool(self, pool)
        if not isinstance(data, HeteroData):
            expected = (
                "a HeteroData graph: data['user'].num_nodes, data['item'].num_nodes, and "
                "data['user', 'interacts', 'item'].edge_index with items numbered from 0"
            )
            raise invalid(self, "data", expected, short(data))
        self.edge_type = edge_type_of(data, edge_type)
        self.user_type, _, self.item_type = self.edge_type
        if self.user_type == self.item_type:
            expected = (
                "interactions between two node types, as users and items have a table each (for "
                "nodes of one type, call a sampler in a loop of your own: sampler(batch, x))"
            )
            raise invalid(self, "edge_type", expected, self.edge_type)
        links = known_links(data, self.edge_type)
        self.num_users, self.num_items = links.num_users, links.num_items
        size = (self.num_users, self.num_items)
        self.links = Pairs(links.index, *size) if self.reads_links else None
        if not self.reads_weights and link_weights(data, self.edge_type) is not None:
            name = type(self).__name__
            warnings.warn(f"{name}: edge_weight of the graph is not read", stacklevel=3)
        self._make_embedding()

    def _make_embedding(self) -> None:
        """Makes the ego embeddings, and draws them."""
        num_nodes = self.num_users + self.num_items
        # Parameters, their gradient, and the two moments of Adam.
        check_memory(self, "dim", self.dim, 16 * num_nodes * self.dim)
        self.embedding = torch.nn.Embedding(num_nodes, self.dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the ego embeddings anew: Xavier, for users and items apart, as the papers do."""
        with torch.no_grad():
            for part in self._split(self.embedding.weight):
                torch.nn.init.xavier_uniform_(part)

    @abstractmethod
    def forward(self) -> XDict:
        """The embeddings of all layers, differentiable.

        Returns:
            For users and for items, `H` tensors `[U, D]` and `[I, D]`, under the names of
            their node types.
        """

    def tables(self) -> XDict:
        """The same values as :meth:`forward`, for :meth:`rows` to read from."""
        return self()

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows of all layers, with gradient.

        Args:
            tables: What :meth:`tables` returned.
            user: `[B]` user ids.
            item: `[R]` item ids, or `[R, H]` with an id per layer.

        Returns:
            `[B, H, D]` and `[R, H, D]`.
        """
        return (
            gather_rows(tables[self.user_type], user),
            gather_rows(tables[self.item_type], item),
        )

    def rows_and_items(self, tables: XDict, user: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Reads users' rows of all layers, and those of all items, with gradient.

        Args:
            tables: What :meth:`tables` returned.
            user: `[B]` user ids.

        Returns:
            `[B, H, D]`, and `H` tensors `[I, D]`.
        """
        if type(self).rows is Encoder.rows:
            return gather_rows(tables[self.user_type], user), tables[self.item_type]
        item = torch.arange(self.num_items, device=user.device)
        user_rows, item_rows = self.rows(tables, user, item)
        return user_rows, item_rows.unbind(1)

    def holds(self, links: Tensor) -> Tensor:
        """Which links `[2, E]` the encoder's graph holds: `[E]` bool.

        None, if the encoder does not read the links of its graph.
        """
        if self.links is None:
            return torch.zeros(links.size(1), dtype=torch.bool, device=links.device)
        return self.links.hold(*links.to(self.links.key.device)).to(links.device)

    @torch.no_grad()
    def settled_tables(self) -> XDict:
        """The layers of :meth:`tables` without dropout and noise, whatever the mode."""
        with settled(self):
            return self.tables()

    @torch.no_grad()
    def pooled_tables(self) -> dict[NodeType, Tensor]:
        """The pooled vectors of all users and items, without dropout and noise."""
        tables = self.settled_tables()
        return {name: pool_layers(xs, self.pool).detach() for name, xs in tables.items()}

    def own_stream(self) -> AbstractContextManager[None]:
        """Has what modules draw from torch's global generator come from the epoch's own stream.

        Here there are none.
        """
        return nullcontext()

    def scorer(self) -> dict[NodeType, Tensor] | Callable[[Tensor], Tensor]:
        """What :func:`pyg_negsamp.evaluation.evaluate` ranks by: pooled vectors, or the decoder."""
        tables = self.pooled_tables()
        if self.decoder is None:
            return tables
        return scores_by(self.decoder, tables[self.user_type], tables[self.item_type])

    def auxiliary_loss(self, tables: XDict, user: Tensor, item: Tensor) -> Tensor | None:
        """What the encoder itself wants minimised on a batch, weighted. Here, nothing.

        Args:
            tables: What :meth:`tables` returned in this step.
            user: `[B]` users of the batch, with repetitions.
            item: `[B]` its positive items, with repetitions.
        """
        return None

    @torch.no_grad()
    def fold_in(
        self, owner: Tensor, item: Tensor, num: int, loss: torch.nn.Module, l2: float = 0.0
    ) -> Tensor:
        r"""Scoring rows of persons whom the model has not met, from the items that they took.

        For one person who took items 3 and 7: `owner = [0, 0]`, `item = [3, 7]`, `num = 1`. Here,
        the vector that minimises the training loss on those items, while the items stay:

        .. math:: v = \arg\min_v \sum_{i \text{ taken}} \ell\big( s(v, i), s(v, j_1), \ldots
            \big) + \frac{\lambda}{2} \, n \, \|v\|^2

        with `n` items taken, and negatives `j` as in :func:`pyg_negsamp.nn.folding.fitted_rows`.
        The L2 penalty falls on the scoring row, which with one layer is the ego embedding. An
        encoder over a graph overrides this with its own propagation.

        Args:
            owner: `[E]` int64, which person took an item, in `[0, num)`.
            item: `[E]` int64, the item taken.
            num: Number of persons; each took at least one.
            loss: The loss that the encoder was trained with.
            l2: Coefficient of :func:`pyg_negsamp.losses.l2_penalty` in training. Default 0.

        Returns:
            `[num, W]`, pooled: its products, or cosines, with the pooled items are the scores.

        Raises:
            ValueError: If a person took every item, so that there are no negatives.
        """
        check_taken(self, owner, item, num, self.num_items)
        items = self.pooled_tables()[self.item_type]
        return fitted_rows(items, owner, item, num, loss, l2, score=self.decoder)

    def start_epoch(self, generator: torch.Generator) -> None:
        """Gives the epoch its random stream, so that a resumed run draws what it would have."""
        self.generator = generator

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Views of the users' and the items' part of an `[N, D]` table."""
        return x[: self.num_users], x[self.num_users :]

    def _as_x_dict(self, xs: Sequence[Tensor]) -> XDict:
        users, items = zip(*map(self._split, xs), strict=True)
        return {self.user_type: users, self.item_type: items}
