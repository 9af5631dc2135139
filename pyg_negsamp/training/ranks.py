"""Several processes that train one model: who is who, which rows are whose, and what they exchange.

Every rank holds all parameters and every whole batch. Rows are shared out where each stands for
itself; what was found for them is joined again, in the order of the batch. So every rank goes on
from the same numbers, and parameters stay the same on all without being exchanged.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

from pyg_negsamp.errors import invalid, whole_number

T = TypeVar("T")
#: What says by hand which machine of several this is, and where the first one listens.
BY_HAND = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


class RankLostError(RuntimeError):
    """Another rank of the run has ended, so that this one cannot go on."""


@dataclass(frozen=True)
class Ranks:
    """Which process of how many this one is.

    Attributes:
        rank: Its number, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls, devices: int = 1, num_nodes: int = 1) -> Ranks:
        """What this process is, by its environment: lightning's, torchrun's or Slurm's.

        Args:
            devices: Processes on a machine.
            num_nodes: Machines.

        Raises:
            ValueError: If a number is less than 1, if other numbers of processes were started, if
                there is no script to start the others with, or if nothing says which of several
                machines this is.
        """
        devices = whole_number("fit", "devices", devices, least=1)
        num_nodes = whole_number("fit", "num_nodes", num_nodes, least=1)
        size, environment = devices * num_nodes, os.environ
        if TorchElasticEnvironment.detect():
            started = int(environment["WORLD_SIZE"])
            if size != started:
                each = int(environment.get("LOCAL_WORLD_SIZE", started))
                expected = f"{each}, as torchrun has started ({started} on all machines, num_nodes)"
                raise invalid("fit", "devices", expected, devices)
            return cls(int(environment["RANK"]), size)
        if size == 1:
            return cls()
        if SLURMEnvironment.detect():
            if size != (started := int(environment["SLURM_NTASKS"])):
                expected = f"so many that, times num_nodes, they are the {started} tasks of Slurm"
                raise invalid("fit", "devices", expected, devices)
            return cls(int(environment["SLURM_PROCID"]), size)
        if "LOCAL_RANK" not in environment and not Path(sys.argv[0]).is_file():
            expected = "1, unless there is a script to start again for the others (or torchrun)"
            raise invalid("fit", "devices", expected, devices)
        if num_nodes > 1 and not environment.keys() >= {*BY_HAND}:
            expected = f"1, unless torchrun or Slurm starts the machines, or {', '.join(BY_HAND)}"
            raise invalid("fit", "num_nodes", f"{expected} say which one this is", num_nodes)
        node = environment.get("NODE_RANK", "0")
        if node not in map(str, range(num_nodes)):
            expected = f"more than NODE_RANK, which counts from 0 and is {node}"
            raise invalid("fit", "num_nodes", expected, num_nodes)
        return cls(int(node) * devices + int(environment.get("LOCAL_RANK", 0)), size)

    @property
    def first(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0

    # Rows -----------------------------------------------------------------------------------

    def rows(self, num: int) -> slice:
        """Which of `num` rows are this rank's; the last ranks may have fewer, or none."""
        each = -(-num // self.size)
        return slice(self.rank * each, (self.rank + 1) * each)

    def number_of_rows(self, num: int) -> int:
        """How many of `num` rows are this rank's."""
        return len(range(num)[self.rows(num)])

    def joined(self, own: Tensor, num: int) -> Tensor:
        """All `num` rows, of which each rank gives its own, in their order."""
        each = -(-num // self.size)
        missing = own.new_zeros(each - len(own), *own.shape[1:])
        found = own.new_empty(self.size * each, *own.shape[1:])
        distributed.all_gather([*found.chunk(self.size)], torch.cat([own, missing]))
        return found[:num]

    def own(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """This rank's part of tensors `[B, ...]`; their gradients are joined of all ranks'.

        So what lies before, such as a gather or a propagation, gets the gradient of the whole batch
        on every rank.
        """
        found: tuple[Tensor, ...] = _Own.apply(self, *rows)
        return found

    # Numbers --------------------------------------------------------------------------------

    def sum(self, x: Tensor) -> Tensor:
        """The sum of what all ranks give."""
        x = x.detach().clone()
        distributed.all_reduce(x)
        return x

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Puts the sums of all ranks in the place of gradients, but where none has one."""
        parameters = [p for p in parameters if p.requires_grad]
        if not parameters:
            return
        there = [p.grad is not None for p in parameters]
        known = self.sum(torch.tensor(there, dtype=torch.uint8, device=parameters[0].device))
        for parameter, ranks in zip(parameters, known.tolist(), strict=True):
            if ranks and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if ranks:
                distributed.all_reduce(parameter.grad)

    def alike(self, tensors: Iterable[Tensor]) -> None:
        """Has all ranks begin with the first one's values."""
        for x in tensors:
            distributed.broadcast(x.detach(), 0)

    def told(self, make: Callable[[], T]) -> T:
        """What the first rank makes, on all of them."""
        if self.size == 1:
            return make()
        found: list[Any] = [make() if self.first else None]
        distributed.broadcast_object_list(found)
        told: T = found[0]
        return told


#: A process that has all rows to itself.
ALONE = Ranks()


class _Own(torch.autograd.Function):
    """Takes rows; backwards, joins the gradients of all ranks, in one exchange."""

    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *rows: Tensor) -> tuple[Tensor, ...]:
        ctx.ranks, ctx.num = ranks, len(rows[0])
        return tuple(x[ranks.rows(len(x))] for x in rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        flat = [grad.flatten(1) for grad in grads]
        joined = ctx.ranks.joined(torch.cat(flat, dim=1), ctx.num)
        parts = joined.split([x.size(1) for x in flat], dim=1)
        shaped = (x.unflatten(1, g.shape[1:]) for x, g in zip(parts, grads, strict=True))
        return (None, *shaped)
