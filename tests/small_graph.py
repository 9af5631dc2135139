"""A small graph with the awkward cases, and what the tests of encoders compare on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.graph import EDGE_TYPE

NUM_USERS, NUM_ITEMS = 8, 11
NUM_NODES = NUM_USERS + NUM_ITEMS

#: A batch with repetitions among users and among items.
BATCH_USER = torch.tensor([0, 3, 3, 5, 1, 0])
BATCH_ITEM = torch.tensor([2, 0, 0, 7, 9, 4])

T = TypeVar("T")


def graph(edge_type: EdgeType = EDGE_TYPE) -> HeteroData:
    """User 7 and item 10 are isolated; link (0, 0) comes three times, (3, 4) twice."""
    generator = torch.Generator().manual_seed(0)
    user = torch.randint(NUM_USERS - 1, (25,), generator=generator)
    item = torch.randint(NUM_ITEMS - 1, (25,), generator=generator)
    links = torch.stack([user, item]).unique(dim=1)
    more = torch.tensor([[0, 0, 0, 3, 3], [0, 0, 0, 4, 4]])
    known = (links[0] * NUM_ITEMS + links[1]).unsqueeze(1) == more[0] * NUM_ITEMS + more[1]
    links = torch.cat([links[:, ~known.any(dim=1)], more], dim=1)
    data = HeteroData()
    data[edge_type[0]].num_nodes, data[edge_type[2]].num_nodes = NUM_USERS, NUM_ITEMS
    order = torch.randperm(links.size(1), generator=generator)
    data[edge_type].edge_index = links[:, order]
    return data


def edges(data: HeteroData) -> list[tuple[int, int]]:
    """The links as pairs, repetitions included, as the oracles take them."""
    return [(user, item) for user, item in data[EDGE_TYPE].edge_index.t().tolist()]


def dense_adjacency(links: Iterable[tuple[int, int]]) -> Tensor:
    """`D^(-1/2) A D^(-1/2)` `[N, N]` in double precision; repeated links count repeatedly."""
    matrix = torch.zeros(NUM_NODES, NUM_NODES, dtype=torch.double)
    for user, item in links:
        matrix[user, NUM_USERS + item] += 1
        matrix[NUM_USERS + item, user] += 1
    root = matrix.sum(dim=1).clamp(min=1).rsqrt()
    return root[:, None] * matrix * root


def in_double(make: type[T], *args: Any, **kwargs: Any) -> T:
    """Builds a module in double precision from seed 0.

    `.double()` afterwards would keep what the adjacency was rounded to in single precision.
    """
    torch.manual_seed(0)
    with double_precision():
        return make(*args, **kwargs)


@contextmanager
def double_precision() -> Iterator[None]:
    """Double precision where nothing else is said."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def seeded(seed: int) -> torch.Generator:
    """A stream; the same for the same seed."""
    return torch.Generator().manual_seed(seed)


def weighted(tensors: Iterable[Tensor]) -> Tensor:
    """A scalar that every entry enters with a coefficient of its own, always the same."""
    generator = seeded(99)
    parts = [
        (x * torch.randn(x.shape, generator=generator, dtype=torch.double).to(x)).sum()
        for x in tensors
    ]
    return torch.stack(parts).sum()


def gradients(scalar: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Gradients towards all parameters, zeros where there is none."""
    parameters = list(parameters)
    found = torch.autograd.grad(scalar, parameters, allow_unused=True, retain_graph=True)
    return [
        torch.zeros_like(p) if grad is None else grad
        for p, grad in zip(parameters, found, strict=True)
    ]


def stacked(x_dict: dict[str, Sequence[Tensor]]) -> list[Tensor]:
    """Layers `[N, D]` of all nodes, users first."""
    users, items = x_dict.values()
    return [torch.cat(pair) for pair in zip(users, items, strict=True)]


def same(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
