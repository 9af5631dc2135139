"""Matrix factorisation: the ego embeddings themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import yes_or_no
from pyg_negsamp.graph import check_taken
from pyg_negsamp.layers import Pool
from pyg_negsamp.nn.encoder import Encoder, XDict
from pyg_negsamp.nn.folding import fitted_rows
from pyg_negsamp.nn.propagation import read_rows, read_rows_and_items


class MF(Encoder):
    r"""Matrix factorisation (Rendle et al., UAI 2009, arXiv:1205.2618, section 5.1).

    A single layer, `H = 1`; every pooling gives the same score. With `bias`, the score is

    .. math:: \langle u, i \rangle + b_u + b_i + b

    as in the BPR baseline of "Dynamic Negative Sampling for Contrastive Recommendation", section
    4.1. It is still a dot product, so that every sampler works: of `[u, b_u + b, 1]` with
    `[i, 1, b_i]`, of width `D + 2`. Losses on differences of scores, BPR among them, leave
    `b_u` and `b` where they started, at zero. The L2 penalty of training falls on these wider
    vectors, biases included.

    Args:
        data: Training graph; only its numbers of users and items are read.
        dim: Width of the embeddings, `D`.
        pool: Accepted for the sake of one signature.
        edge_type: The interactions in `data`.
        bias: Whether to learn a bias per user, per item, and for all. Default: no.
    """

    reads_links = False

    def __init__(
        self,
        data: HeteroData,
        dim: int = 64,
        pool: Pool = "mean",
        edge_type: EdgeType | None = None,
        *,
        bias: bool = False,
    ) -> None:
        super().__init__(data, dim, num_layers=0, pool=pool, edge_type=edge_type)
        self.bias = yes_or_no(self, "bias", bias)
        if bias:
            self.biases = torch.nn.Parameter(torch.zeros(self.num_users + self.num_items))
            self.global_bias = torch.nn.Parameter(torch.zeros(()))
            self.width = dim + 2

    def reset_parameters(self) -> None:
        """Draws the ego embeddings anew; biases start at zero."""
        super().reset_parameters()
        for name in ("biases", "global_bias"):
            if getattr(self, name, None) is not None:
                torch.nn.init.zeros_(getattr(self, name))

    def forward(self) -> XDict:
        """The embeddings, one tensor `[U, width]` and one `[I, width]`, with gradient."""
        return self._widen(*self._split(self.embedding.weight))

    def tables(self) -> XDict:
        """The embeddings without gradient: :meth:`rows` supplies it."""
        with torch.no_grad():
            return self._widen(*self._split(self.embedding.weight.detach()))

    def rows(self, tables: XDict, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Reads users' and items' rows in one operation, see :func:`read_rows`."""
        users, items = self._split(self.embedding.weight.detach())
        user_rows, item_rows = read_rows(
            self.embedding.weight, (), ((users,), (items,)), user, item
        )
        if self.bias:
            x_dict = self._widen(user_rows, item_rows, user, item)
            return x_dict[self.user_type][0], x_dict[self.item_type][0]
        return user_rows, item_rows

    def rows_and_items(self, tables: XDict, user: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Reads users' rows and all items in one operation, see :func:`read_rows_and_items`."""
        users, items = self._split(self.embedding.weight.detach())
        user_rows, (of_items,) = read_rows_and_items(
            self.embedding.weight, (), ((users,), (items,)), user
        )
        x_dict = self._widen(user_rows, of_items, user)
        return x_dict[self.user_type][0], x_dict[self.item_type]

    @torch.no_grad()
    def fold_in(
        self, owner: Tensor, item: Tensor, num: int, loss: torch.nn.Module, l2: float = 0.0
    ) -> Tensor:
        """Rows of persons who were not met, see :meth:`Encoder.fold_in`.

        With biases, the row is `[v, b, 1]`: `v` and `b` are fitted, and the items' biases count.
        """
        check_taken(self, owner, item, num, self.num_items)
        items = self.tables()[self.item_type][0]
        return fitted_rows(items, owner, item, num, loss, l2, ones=1 if self.bias else 0)

    def _widen(
        self, users: Tensor, items: Tensor, user: Tensor | None = None, item: Tensor | None = None
    ) -> XDict:
        """Appends the biases of `user` and `item`, ids or all, to their vectors `[..., D]`."""
        if self.bias:
            of_user, of_item = self._split(self.biases)
            of_user = of_user if user is None else of_user[user]
            of_item = of_item if item is None else of_item[item]
            of_user = (of_user + self.global_bias).view(*users.shape[:-1], 1)
            of_item = of_item.view(*items.shape[:-1], 1)
            users = torch.cat([users, of_user, torch.ones_like(of_user)], dim=-1)
            items = torch.cat([items, torch.ones_like(of_item), of_item], dim=-1)
        return {self.user_type: [users], self.item_type: [items]}
