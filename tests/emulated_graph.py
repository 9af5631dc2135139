"""A CUDA graph without CUDA: operations are recorded, and done again on the same memory.

Python does not run again, so that what a step keeps elsewhere than in its tensors is missed as it
would be by a GPU. Draws and choices that this library makes otherwise on a CPU are those of a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pyg_negsamp.candidates.base
import pyg_negsamp.losses.base
import pyg_negsamp.scoring
from pyg_negsamp.candidates import UniformCandidates, numbers
from pyg_negsamp.candidates.numbers import integers_below
from pyg_negsamp.nn import contrast, sgl, simgcl
from pyg_negsamp.numerics import uniform
from pyg_negsamp.training import replay, replayable, step
from pyg_negsamp.training.replay import Found


class Recording(TorchDispatchMode):
    """Notes every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Does it, and notes it."""
        out = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, out))
        return out


def tensors(found: Any) -> list[Tensor]:
    """All tensors in it."""
    return [x for x in tree_leaves(found) if isinstance(x, Tensor)]


def place(x: Tensor) -> int:
    """Where it lies; 0 where that cannot be told."""
    return x.untyped_storage().data_ptr() if x.layout == torch.strided else 0


def emulated(
    work: Callable[[], Found], generators: Sequence[torch.Generator]
) -> tuple[Callable[[], None], Found]:
    """As `recorded`; what is recorded is done as well, which counts as the first replay."""
    with Recording() as recording:
        found = work()
    again = []
    for func, args, kwargs, out in recording.done:
        written = tensors(out)
        if func._schema.is_mutable:  # writes into what it was given
            again.append((func, args, kwargs, []))
        elif all(x.layout == torch.strided for x in written):
            places = {place(x) for x in tensors((args, kwargs))} - {0}
            if places.isdisjoint(map(place, written)):  # else a view
                again.append((func, args, kwargs, written))
    is_first = True

    @torch.no_grad()
    def replays() -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            return
        for func, args, kwargs, written in again:
            new = func(*args, **kwargs)
            if written:
                for to, x in zip(written, tensors(new), strict=True):
                    to.detach().copy_(x)

    return replays, found


class _Torch:
    """Torch, as it is while it compiles: then nothing looks at numbers."""

    class compiler:  # noqa: N801
        is_compiling = staticmethod(lambda: True)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has runs on a CPU take the ways of a GPU, and record by :func:`emulated`."""

    def distinct(ids: Tensor) -> contrast.Distinct:
        ids = ids.sort().values
        return contrast.Distinct(ids, pad(ids[1:] == ids[:-1], (1, 0)))

    def draw(self: Any, user: Tensor, num: int, generator: Any, pos: Any, existing: Any) -> Tensor:
        left = self._left(user, existing).unsqueeze(1)
        return self._outcome(user.unsqueeze(1), integers_below(left, num, generator))

    def doubles(size: Any, device: Any, generator: Any) -> Tensor:
        return uniform(size, torch.double, device, generator)

    for module in (pyg_negsamp.scoring, pyg_negsamp.losses.base, pyg_negsamp.candidates.base):
        monkeypatch.setattr(module, "torch", _Torch())
    monkeypatch.setattr(numbers, "random_doubles", doubles)
    monkeypatch.setattr(UniformCandidates, "_draw", draw)
    monkeypatch.setattr(sgl, "distinct", distinct)
    monkeypatch.setattr(simgcl, "distinct", distinct)
    monkeypatch.setattr(step, "scores_where_they_lie", lambda *_: False)
    monkeypatch.setattr(replayable, "on_cuda", lambda device: True)
    monkeypatch.setattr(replay, "recorded", emulated)
