"""Per-layer embeddings: reading rows of them, and turning them into the one that scores.

A node has `H = L + 1` vectors, one per layer; layer 0 is its ego embedding. A score is the
dot product of *pooled* vectors, whatever the pooling:

    mean     (x_0 + ... + x_L) / H          LightGCN (arXiv:2002.02126, eq. 8)
    sum      x_0 + ... + x_L
    concat   [x_0 ; ... ; x_L]              NGCF (arXiv:1905.08108, eq. 9)
    final    x_L
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from pyg_negsamp.errors import one_of

Pool: TypeAlias = Literal["mean", "sum", "concat", "final"]
POOLS: tuple[str, ...] = get_args(Pool)


def check_pool(owner: object, pool: str) -> Pool:
    """Returns `pool` if it is one of `POOLS`, and raises `ValueError` for `owner` if not."""
    return one_of(owner, "pool", pool, POOLS)  # type: ignore[return-value]


def as_layers(x: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Reads embeddings in either form: a single tensor is a single layer."""
    return (x,) if isinstance(x, Tensor) else x


def pool_layers(xs: Sequence[Tensor], pool: Pool) -> Tensor:
    """Pools `H` tensors `[..., D]` to one `[..., D]` (`[..., H * D]` with `concat`).

    A single layer comes back as it is, uncopied.
    """
    if len(xs) == 1 or pool == "final":
        return xs[-1]
    if pool == "concat":
        return torch.cat(tuple(xs), dim=-1)
    total = xs[0] + xs[1]
    for x in xs[2:]:
        total = total + x
    return total / len(xs) if pool == "mean" else total


def pool_rows(rows: Tensor, pool: Pool) -> Tensor:
    """Pools gathered rows `[..., H, D]` to `[..., D]` (`[..., H * D]` with `concat`)."""
    if rows.size(-2) == 1:
        return rows.squeeze(-2)  # a view, whose gradient is one as well
    return pool_layers(rows.unbind(-2), pool)


def ego_rows(rows: Tensor) -> Tensor:
    """The ego embeddings `[..., D]` among gathered rows `[..., H, D]`."""
    return rows.squeeze(-2) if rows.size(-2) == 1 else rows.select(-2, 0)


def facing_layers(xs: Sequence[Tensor], pool: Pool) -> list[Tensor]:
    """The user vectors that meet the layers of an item in the score, `H` tensors `[..., D]`.

    The score splits over the item's layers, `s(u, i) = c * sum_l <v_l, i_l>`. With `concat`,
    `v_l` is the user's own layer `l`; with the other pools it is the pooled user embedding,
    for every `l`. Samplers that choose or mix layer by layer (MixGCF, DINS) do it by `v_l`.
    """
    return list(xs) if pool == "concat" else [pool_layers(xs, pool)] * len(xs)


def gather_rows(xs: Sequence[Tensor], index: Tensor) -> Tensor:
    """Reads rows of all layers, with gradient.

    Args:
        xs: `H` tensors `[N, D]`.
        index: `[R]` row ids, or `[R, H]` with an id per layer.

    Returns:
        `[R, H, D]`.
    """
    ids = index.unbind(1) if index.dim() == 2 else (index,) * len(xs)
    rows = [x.index_select(0, i) for x, i in zip(xs, ids, strict=True)]
    return torch.stack(rows, dim=1) if len(rows) > 1 else rows[0].unsqueeze(1)
