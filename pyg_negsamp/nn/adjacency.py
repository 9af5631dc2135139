"""The normalised adjacency of the training graph, and what is left of it without some links."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.csr import csr
from pyg_negsamp.graph import Links


def inverse_root(degree: Tensor) -> Tensor:
    """`1 / sqrt(degree)` in double precision, `[N]`; 1 where a node has no link."""
    return degree.double().masked_fill(degree == 0, 1).rsqrt()


class Adjacency(torch.nn.Module):
    r"""The symmetric matrix :math:`D^{-1/2} A D^{-1/2}` of LightGCN, users before items.

    The entry of a link is :math:`1 / \sqrt{\deg(u) \deg(i)}`, times its weight if links have
    weights, with degrees as sums of weights: as PyG's `LGConv` computes it. Repeated links add up;
    isolated nodes have empty rows. Not part of any `state_dict`: it is rebuilt from the training
    graph.

    Args:
        links: The training links; the matrix is `[N, N]` with `N = U + I`.
        weight: `[E]` their weights. Default: 1 each.
        normalize: Whether to divide by the roots of degrees; otherwise the matrix is `A`.

    Attributes:
        pointer: `[N + 1]` where each row starts.
        column: `[nnz]` node ids.
        value: `[nnz]` entries.
        root: `[N]` inverse roots of the degrees; ones unless normalised.
    """

    pointer: Tensor
    column: Tensor
    value: Tensor
    root: Tensor

    def __init__(self, links: Links, weight: Tensor | None = None, normalize: bool = True) -> None:
        super().__init__()
        self.num_nodes = num_nodes = links.num_users + links.num_items
        self.normalize = normalize
        user, item = links.index[0], links.index[1] + links.num_users
        row, column = torch.cat([user, item]), torch.cat([item, user])
        both_ways = None if weight is None else weight.double().repeat(2)
        root = inverse_root(torch.bincount(row, both_ways, minlength=num_nodes))
        if not normalize:
            root = torch.ones_like(root)

        pair = row * num_nodes + column
        if both_ways is None:
            key, total = torch.unique(pair, return_counts=True)
        else:
            key, entry = torch.unique(pair, return_inverse=True)
            total = torch.bincount(entry, both_ways)
        row, column = key // num_nodes, key % num_nodes
        value = (root[row] * root[column] * total).to(torch.get_default_dtype())
        pointer = torch.bincount(row, minlength=num_nodes).cumsum(0)
        pointer = torch.nn.functional.pad(pointer, (1, 0))
        if max(num_nodes, key.numel()) < 2**31:  # half the index traffic
            pointer, column = pointer.int(), column.int()
        # Dense parts rather than one sparse buffer, which `copy.deepcopy` cannot copy.
        self.register_buffer("pointer", pointer, persistent=False)
        self.register_buffer("column", column, persistent=False)
        self.register_buffer("value", value, persistent=False)
        self.register_buffer("root", root, persistent=False)

    def forward(self, value: Tensor | None = None) -> Tensor:
        """The matrix, sparse CSR `[N, N]`, over the module's buffers.

        Args:
            value: `[nnz]` entries in place of the module's own, see :class:`Thinning`.
        """
        size = (self.num_nodes, self.num_nodes)
        return csr(self.pointer, self.column, self.value if value is None else value, size)

    def links(self) -> tuple[Tensor, Tensor]:
        """The distinct links in both directions, `[2, nnz]`, and their weights `[nnz]`."""
        node = torch.arange(self.num_nodes, device=self.pointer.device)
        row = node.repeat_interleave(self.pointer.long().diff())
        column = self.column.long()
        weight = self.value / (self.root[row] * self.root[column])
        return torch.stack([row, column]), weight.to(self.value.dtype)

    def user_links(self, num_users: int) -> tuple[Tensor, Tensor]:
        """The distinct links as users and items `[2, E]`, and their weights `[E]`."""
        (row, column), weight = self.links()
        of_users = row < num_users
        return torch.stack([row, column - num_users])[:, of_users], weight[of_users]


class Thinning(torch.nn.Module):
    """Entries of an adjacency from which some links are left out, in both directions alike.

    The pattern stays and the entries become zero, so that nothing is sorted or rebuilt: cheap
    enough for every step. What it takes to know which two entries belong to one link is worked
    out once; 16 bytes per link, and twice that for :meth:`renormalised`.

    Args:
        adjacency: The whole matrix.
        num_users: Number of users, `U`.

    Attributes:
        user: `[E]` users of the distinct links, sorted.
        item: `[E]` their items.
    """

    user: Tensor
    item: Tensor
    mirror: Tensor
    value: Tensor
    root: Tensor

    def __init__(self, adjacency: Adjacency, num_users: int) -> None:
        super().__init__()
        self.num_users, self.num_nodes = num_users, adjacency.num_nodes
        num_links = adjacency.column.numel() // 2  # users' rows come first: half of the entries
        degree = adjacency.pointer[: num_users + 1].long().diff()
        item = adjacency.column[:num_links].long() - num_users
        node = torch.arange(num_users, device=item.device)
        # Items' rows list the same links, by item and then by user.
        for name, buffer in (
            ("user", node.repeat_interleave(degree)),
            ("item", item),
            ("mirror", item.argsort(stable=True)),
            ("value", adjacency.value),
            ("root", adjacency.root),
        ):
            self.register_buffer(name, buffer, persistent=False)

    def rescaled(self, keep: Tensor, rate: float) -> Tensor:
        """Entries `[2 E]` as they were, divided by `1 - rate`: the same in expectation.

        Args:
            keep: `[E]` whether to keep a link.
            rate: The share that is dropped.
        """
        return self.value * self._both_ways(keep) / (1 - rate)

    def renormalised(self, keep: Tensor) -> Tensor:
        """Entries `[2 E]` for the degrees that are left, as if only those links had been there.

        Args:
            keep: `[E]` whether to keep a link.
        """
        row = torch.cat([self.user, self.item[self.mirror] + self.num_users])
        column = torch.cat([self.item + self.num_users, self.user[self.mirror]])
        root = self.root.double()  # of a model in half precision, whose sums would stop at 256
        weight = self.value / (root[row] * root[column]) * self._both_ways(keep)
        # Not `bincount`, whose order of summing on GPUs is anybody's guess.
        degree = weight.new_zeros(self.num_nodes).scatter_add_(0, row, weight)
        root = inverse_root(degree)
        return (root[row] * root[column] * weight).to(self.value.dtype)

    def _both_ways(self, keep: Tensor) -> Tensor:
        return torch.cat([keep, keep[self.mirror]])
