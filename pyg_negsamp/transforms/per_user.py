"""What some samplers keep for each user: a row of items, for users who have something to draw."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_negsamp.candidates import Candidates
from pyg_negsamp.errors import invalid
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import uniform

#: The seed of what a memory begins with.
FIRST = 0

#: Numbers that are looked at together, to bound memory.
BLOCK = 2**22


def first_items(owner: object, argument: str, candidates: Candidates, size: int) -> Tensor:
    """`[U, size]` unseen items to begin with, the same for the same graph.

    Args:
        owner: Who asks, for the errors.
        argument: What says how many.
        candidates: What they are drawn from; users who have nothing to draw get zeros.
        size: How many per user.

    Raises:
        ValueError: If pools are by item, or if the rows do not fit into memory.
    """
    if getattr(candidates, "by", "user") == "item":
        expected = "pools by user: the memory is one per user, whatever the positive"
        raise invalid(owner, "candidates", expected, "pools by item")
    check_memory(owner, argument, size, 8 * candidates.num_users * size)
    device = candidates.known.key.device
    items = torch.zeros(candidates.num_users, size, dtype=torch.long, device=device)
    able = candidates.who_can_draw()
    items[able] = candidates(able, size, torch.Generator(device).manual_seed(FIRST))
    return items


def unseen_again(memory: Tensor, candidates: Candidates) -> None:
    """Redraws what users may not be given any more, in place: the graph may have grown.

    Args:
        memory: `[U]` or `[U, S]` item ids; below 0 where there is none yet.
        candidates: What is drawn from.
    """
    generator = torch.Generator(memory.device).manual_seed(FIRST)
    rows = memory.unsqueeze(1) if memory.dim() == 1 else memory
    for ids in candidates.who_can_draw().split(max(1, BLOCK // rows.size(1))):
        kept = rows[ids]
        inside = kept < candidates.num_items
        usable = inside & candidates.may_be_drawn(ids.unsqueeze(1), kept.where(inside, 0).clamp(0))
        stale = (kept >= 0) & ~usable
        if bool(stale.any()):
            rows[ids] = candidates(ids, rows.size(1), generator).where(stale, kept)


def stream_of(epoch: int, device: torch.device) -> torch.Generator:
    """The random numbers of an epoch, which are not those of :func:`first_items`."""
    return torch.Generator(device).manual_seed(FIRST + 1 + epoch)


def remember(memory: Tensor, user: Tensor, items: Tensor) -> None:
    """Writes rows `items [B, S]` of users `[B]` into `memory [U, S]`, in place.

    Of rows with the same user, the last one writes, on every device.
    """
    row = torch.arange(len(user), device=user.device)
    writer = row.new_zeros(len(memory)).scatter_reduce_(0, user, row, "amax")
    memory[user] = items[writer[user]]


def draw_without_replacement(
    item: Tensor, logit: Tensor, num: int, generator: torch.Generator | None = None
) -> Tensor:
    """`[B, num]` of the items `[B, S]`, one by one in proportion to `exp(logit)`.

    An item that is there twice counts once, unless fewer than `num` are left then.
    """
    # The largest of logit + Gumbel noise are so drawn.
    noise = uniform(item.shape, torch.double, item.device, generator)
    gumbel = -(-noise.clamp(min=1e-300).log()).log()
    value = (logit.double() + gumbel).masked_fill(is_repeat(item), -torch.inf)
    return item.gather(1, value.topk(num, dim=1).indices)


def is_repeat(item: Tensor) -> Tensor:
    """`[B, S]` bool: which items `[B, S]` stand in the same row before."""
    ordered, place = item.sort(dim=1, stable=True)
    same = torch.zeros_like(item, dtype=torch.bool)
    same[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.empty_like(same).scatter_(1, place, same)
