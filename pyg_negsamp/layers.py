"""Per-layer embeddings: reading rows of them, and turning them into the one that scores.

A node has `H = L + 1` vectors, one per layer; layer 0 is its ego embedding. A score is the
dot product of *pooled* vectors, whatever the pooling:

    mean     (x_0 + ... + x_L) / H          LightGCN (arXiv:2002.02126, eq. 8)
    sum      x_0 + ... + x_L
    concat   [x_0 ; ... ; x_L]              NGCF (arXiv:1905.08108, eq. 9)
    final    x_L

Tables come in the forms that PyG's models give. With `H = 3` layers of `D = 64` for 10 nodes:

    [10, 64]                       a single layer
    [x_0, x_1, x_2]                a tensor [10, 64] per layer
    [10, 3, 64]                    stacked
    [10, 192] and `layers=3`       side by side, as JumpingKnowledge('cat') has them

and for several node types, a dictionary of these, or a list of a dictionary per layer, which is
what `to_hetero` makes of a model that returns its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch_geometric.typing import NodeType

from pyg_negsamp.errors import invalid, one_of, short, whole_number

Pool: TypeAlias = Literal["mean", "sum", "concat", "final"]
POOLS: tuple[str, ...] = get_args(Pool)

#: The table of one node type, in any form: a tensor, or a tensor per layer.
Layers: TypeAlias = Tensor | Sequence[Tensor]
#: The tables of several node types; or one table alone, that of a homogeneous graph.
Embeddings: TypeAlias = Mapping[NodeType, Layers] | Sequence[Mapping[NodeType, Tensor]] | Layers


def check_pool(owner: object, pool: str) -> Pool:
    """Returns `pool` if it is one of `POOLS`, and raises `ValueError` for `owner` if not."""
    return one_of(owner, "pool", pool, POOLS)  # type: ignore[return-value]


def as_layers(
    x: Layers, layers: int = 1, owner: object = "as_layers", name: str = "x"
) -> Sequence[Tensor]:
    """Reads the table of one node type, in any form. Nothing is copied.

    Args:
        x: `[N, D]`, `[N, H, D]`, or `H` tensors `[N, D]`; with `layers`, also `[N, H * D]`.
        layers: Number of layers `H` that stand side by side in a table `[N, H * D]`. Default 1.
        owner: Who asks, for the errors.
        name: What `x` is called there.

    Returns:
        `H` tensors `[N, D]`.

    Raises:
        ValueError: If it has none of these forms, or another number of layers than `layers`.
    """
    layers = whole_number(owner, "layers", layers, least=1)
    if isinstance(x, Tensor) and x.dim() == 2:
        if x.size(1) % layers:
            expected = f"[N, {layers} * D], because layers={layers}"
            raise invalid(owner, name, expected, [*x.shape])
        return (x,) if layers == 1 else x.chunk(layers, dim=1)
    xs = x.unbind(1) if isinstance(x, Tensor) and x.dim() == 3 else x
    if not isinstance(xs, list | tuple) or not xs or not all(_is_table(x, xs[0]) for x in xs):
        expected = "a tensor [N, D], a stacked one [N, H, D], or a list of H tensors [N, D]"
        raise invalid(owner, name, expected, _described(x))
    if layers not in (1, len(xs)):
        expected = f"of {layers} layers, because layers={layers} (leave it out to take all)"
        raise invalid(owner, name, expected, f"{len(xs)} layers")
    return xs


def layers_by_type(
    x_dict: Embeddings,
    node_types: Sequence[NodeType],
    layers: int = 1,
    owner: object = "layers_by_type",
    name: str = "x_dict",
) -> list[Sequence[Tensor]]:
    """Reads the tables of some node types, in any form. Nothing is copied.

    Args:
        x_dict: A dictionary of tables, in the forms of :func:`as_layers`; a list of a dictionary
            `{node type: [N, D]}` per layer; or a table alone, which is that of every type.
        node_types: Whose tables to read.
        layers: As for :func:`as_layers`.
        owner: Who asks, for the errors.
        name: What `x_dict` is called there.

    Returns:
        `H` tensors `[N, D]` for each of `node_types`.

    Raises:
        ValueError: As :func:`as_layers`; if a type is missing, or dictionaries and tensors are
            mixed.
    """
    if not has_types(x_dict):
        return [as_layers(x_dict, layers, owner, name)] * len(node_types)  # type: ignore[arg-type]
    per_layer: Any = [x_dict] if isinstance(x_dict, Mapping) else x_dict
    if not all(isinstance(xs, Mapping) for xs in per_layer):
        expected = "a dictionary per layer, or a tensor per layer"
        raise invalid(owner, name, expected, "a list of both")
    for node_type in node_types:
        if not all(node_type in xs for xs in per_layer):
            expected = f"embeddings of {' and '.join(map(repr, dict.fromkeys(node_types)))}"
            raise invalid(owner, name, expected, f"those of {[*per_layer[0]]}")
    tables: list[Any] = [[xs[node_type] for xs in per_layer] for node_type in node_types]
    if isinstance(x_dict, Mapping):
        tables = [of_type for (of_type,) in tables]
    return [as_layers(table, layers, owner, name) for table in tables]


def has_types(x_dict: object) -> bool:
    """Whether tables are told apart by node type: a dictionary, or a list of such."""
    one_per_layer = x_dict if isinstance(x_dict, list | tuple) else [x_dict]
    return any(isinstance(xs, Mapping) for xs in one_per_layer)


def _is_table(x: object, first: object) -> bool:
    return isinstance(x, Tensor) and x.dim() == 2 and x.shape == getattr(first, "shape", None)


def _described(x: object) -> str:
    if isinstance(x, list | tuple) and x and len(x) <= 8:
        return f"[{', '.join(map(_described, x))}]"
    return str([*x.shape]) if isinstance(x, Tensor) else short(x)


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


def rows_at(x: Tensor, ids: Tensor) -> Tensor:
    """Rows `[..., D]` of a table `[N, D]` at ids `[...]`: what `x[ids]` is, and faster.

    On CPU, `x[ids]` copies number by number, and this whole rows. Negative ids are refused.
    """
    return x.index_select(0, ids.flatten()).view(*ids.shape, *x.shape[1:])


def gather_pooled(xs: Sequence[Tensor], ids: Tensor, pool: Pool) -> Tensor:
    """Rows of some nodes, pooled: `[R, D]` (`[R, H * D]` with `concat`).

    Args:
        xs: `H` tensors `[N, D]`.
        ids: `[R]` row ids.
        pool: How layers become the scoring embedding.
    """
    return pool_layers([rows_at(x, ids) for x in xs], pool)


def pool_rows(rows: Tensor, pool: Pool) -> Tensor:
    """Pools gathered rows `[..., H, D]` to `[..., D]` (`[..., H * D]` with `concat`).

    What :func:`pool_layers` makes of the layers, but by one sum, whose gradient copies none.
    """
    if rows.size(-2) == 1:
        return rows.squeeze(-2)  # a view, whose gradient is one as well
    if pool == "final":
        return rows.select(-2, -1)
    if pool == "concat":
        return rows.flatten(-2)
    total = rows.sum(-2)
    return total / rows.size(-2) if pool == "mean" else total


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
    rows = [rows_at(x, i) for x, i in zip(xs, ids, strict=True)]
    return torch.stack(rows, dim=1) if len(rows) > 1 else rows[0].unsqueeze(1)
