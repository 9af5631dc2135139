"""A training step as one CUDA graph.

A step consists of a few hundred short operations, and a GPU is done with each before Python has
started the next. A CUDA graph is the list of these operations, recorded once; to replay it takes a
single call. What is replayed is the same work on the same memory: so batches are copied into the
recorded one, and random numbers go on in the generators that the recorded step drew from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch_geometric.data import HeteroData

from pyg_negsamp.errors import invalid

#: A loss, and a gradient for each parameter, or `None` where it has none.
Found: TypeAlias = tuple[Tensor, tuple[Tensor | None, ...]]


def recorded(
    work: Callable[[], Found], generators: Sequence[torch.Generator]
) -> tuple[Callable[[], None], Found]:
    """Records work as a CUDA graph, without doing it.

    Args:
        work: What to record.
        generators: What it draws from, besides torch's own generator of the device.

    Returns:
        What does the work, and the tensors in which its results are then.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    stream = torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            found = work()
    except BaseException:
        torch.cuda.set_stream(stream)  # torch leaves its own where the recording fails
        raise
    return graph.replay, found


class Replay:
    """Steps on batches of one form, recorded at the second of them and replayed from then on.

    The first step is taken as it is, so that what is made once is made by then. So is a step on a
    batch of another size, as the last one of an epoch often is.

    Args:
        step: From a batch on the GPU to the loss `[]`. May not wait for the GPU. What it keeps from
            step to step it writes into tensors that stay; a new tensor, or a number of Python's,
            is not seen.
        parameters: What to differentiate the loss towards; those that are frozen are left alone.
        generators: What a step draws from.
    """

    def __init__(
        self,
        step: Callable[[HeteroData], Tensor],
        parameters: Sequence[torch.nn.Parameter],
        generators: Sequence[torch.Generator],
    ) -> None:
        self.step = step
        self.parameters = [x for x in parameters if x.requires_grad]
        self.generators = list(generators)
        self.batch: HeteroData | None = None
        self.kept: list[Tensor] = []
        self.again: Callable[[], None] | None = None

    def __call__(self, batch: HeteroData) -> Tensor:
        """The loss `[]` of a batch, differentiable towards the parameters."""
        if self.batch is None:
            self.batch = batch.clone()
            self.kept = tensors_of(self.batch)
            return self.step(batch)
        given = tensors_of(batch)
        if [x.shape for x in self.kept] != [x.shape for x in given]:
            return self.step(batch)
        for to, x in zip(self.kept, given, strict=True):
            to.copy_(x)
        if self.again is None:
            try:
                self.again, self.found = recorded(self._work, self.generators)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                cause: BaseException = error  # the end of a failed recording fails as well
                while cause.__context__ is not None:
                    cause = cause.__context__
                expected = f"False, as a step cannot be recorded ({str(cause).splitlines()[0]})"
                raise invalid("fit", "cuda_graph", expected, True) from error
        return _Replayed.apply(self, *self.parameters)

    def _work(self) -> Found:
        assert self.batch is not None
        with torch.enable_grad():
            loss = self.step(self.batch)
            grads = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        return loss.detach(), grads


class _Replayed(torch.autograd.Function):
    """The recorded loss, whose gradients were found along with it."""

    @staticmethod
    def forward(ctx: Any, replay: Replay, *parameters: Tensor) -> Tensor:
        assert replay.again is not None
        replay.again()
        loss, ctx.grads = replay.found
        return loss.clone()  # the next step writes where this one did

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(None if x is None else x * grad for x in ctx.grads)


def tensors_of(batch: HeteroData) -> list[Tensor]:
    """All tensors of a batch, in an order that depends on their names alone."""
    named = {
        (str(store._key), name): value
        for store in batch.stores
        for name, value in store.items()
        if isinstance(value, Tensor)
    }
    return [named[name] for name in sorted(named)]
