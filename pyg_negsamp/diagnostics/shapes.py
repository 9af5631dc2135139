"""One check of what a diagnostic is given: its kind and its shape."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid, short
from pyg_negsamp.graph import is_integer


def check_shapes(owner: str, /, **given: tuple[object, str]) -> None:
    """Refuses tensors of the wrong kind, or of sizes that do not agree.

        check_shapes("overlap", x=(x, "ids n K"), y=(y, "ids n L"), weight=(None, "numbers n K"))

    Equal letters are equal sizes, whatever they are; the first tensor that has a letter says it.
    Looks at shapes and types alone, so that nothing waits for the device.

    Args:
        owner: Who asks, for the error.
        given: By the argument's name: what came, and what it is to be: `'ids'`, `'numbers'`,
            `'counts'` (whole or not) or `'flags'`, then a letter for each dimension. `None` passes.

    Raises:
        ValueError: If one is something else.
    """
    sizes: dict[str, int] = {}
    for name, (x, said) in given.items():
        if x is None:
            continue
        kind, *letters = said.split()
        shape = x.shape if isinstance(x, Tensor) and _is(x, kind) else ()
        alike = len(shape) == len(letters) and isinstance(x, Tensor)
        if not alike or any(
            sizes.setdefault(a, n) != n for a, n in zip(letters, shape, strict=True)
        ):
            expected = ", ".join(str(sizes.get(letter, letter)) for letter in letters)
            raise invalid(owner, name, f"{kind} [{expected}]", short(x))


def _is(x: Tensor, kind: str) -> bool:
    if kind == "flags":
        return x.dtype == torch.bool
    if kind == "ids":
        return is_integer(x)
    return x.is_floating_point() or (kind == "counts" and is_integer(x))
