"""What every first pass shares: which items a user has seen, and must not be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType
from torch_geometric.utils import coalesce

from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE, is_in, known_links
from pyg_negsamp.numerics import uniform
from pyg_negsamp.ragged import entries_of

MAX_INT64 = 2**63 - 1
#: Numbers so small that a float64 has random bits enough for two of them.
SMALL = 2**20


class Candidates(torch.nn.Module, ABC):
    """First pass of negative sampling: unobserved item ids, no embeddings needed.

    A module without parameters, so that it moves to a device with the sampler that owns it.
    It is not part of any `state_dict`: it is rebuilt from the training graph.

    Args:
        data: Training graph; its `edge_index` says what each user has seen. In a homogeneous
            `Data` graph every node is user and item, and its own id counts as seen.
        edge_type: Edge type to read from `HeteroData`.

    Attributes:
        key: The seen pairs as `user * num_items + item`, sorted, each once; int64.
        first: `[U + 1]` where each user's pairs start in `key`.

    Raises:
        ValueError: If the graph has no items, or so many that a pair does not fit in int64.
    """

    key: Tensor
    first: Tensor

    def __init__(self, data: HeteroData | Data, edge_type: EdgeType = EDGE_TYPE) -> None:
        super().__init__()
        links = known_links(data, edge_type)
        if links.num_items == 0:
            raise invalid(self, "data", "a graph with at least one item", "0 items")
        self.num_users, self.num_items = links.num_users, links.num_items
        self._check_fits(self.num_items)
        seen = links.index
        if isinstance(data, Data):
            seen = torch.cat([seen, torch.arange(links.num_items).expand(2, -1).to(seen)], dim=1)
        # Sorted by user, then item; each pair once.
        user, item = coalesce(seen, num_nodes=max(self.num_users, self.num_items))
        self.register_buffer("key", user * self.num_items + item, persistent=False)
        first = torch.searchsorted(user, torch.arange(self.num_users + 1).to(user))
        self.register_buffer("first", first, persistent=False)

    def forward(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None = None,
        pos: Tensor | None = None,
    ) -> Tensor:
        """Draws candidates, independently and with replacement.

        Args:
            user: `[B]` int64 user ids.
            num: Number of candidates per row, `M`.
            generator: Source of randomness, on the device of `user`. Default: torch's own.
            pos: `[B]` the positives that negatives are for. Read by sources that depend on
                them, see :class:`PoolCandidates`; by the others not.

        Returns:
            `[B, M]` int64 item ids, none of them seen by the row's user.

        Raises:
            ValueError: If `num < 1`, if user ids are no integers, or (checked on CPU, where it is
                free) if one is out of range; of :class:`PoolCandidates`, if a row has nothing to
                draw.
        """
        if num < 1:
            raise invalid(self, "num", "at least 1", num)
        if user.is_floating_point() or user.dtype == torch.bool:
            raise invalid(self, "user", "integers", user.dtype)
        draw = self._draw_on_cpu if user.device.type == "cpu" else self._draw
        # As int64, because ids are multiplied.
        return draw(user.long(), num, generator, pos)

    @torch.compiler.disable
    def _draw_on_cpu(
        self, user: Tensor, num: int, generator: torch.Generator | None, pos: Tensor | None
    ) -> Tensor:
        """With numpy, and looking at numbers: nothing that torch could compile."""
        if user.numel():
            low, high = map(int, user.aminmax())
            if low < 0 or high >= self.num_users:
                raise invalid(self, "user", f"ids in [0, {self.num_users})", f"{low}..{high}")
        return self._draw(user, num, generator, pos)

    @abstractmethod
    def _draw(
        self, user: Tensor, num: int, generator: torch.Generator | None, pos: Tensor | None
    ) -> Tensor:
        """What :meth:`forward` returns, for arguments that have been checked."""

    def who_can_draw(self) -> Tensor:
        """Ids `[n]` of the users who have something to draw; here all, with links or without."""
        return torch.arange(self.num_users, device=self.key.device)

    def seen(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """The known links of some users.

        Args:
            user: `[B]` user ids.

        Returns:
            Positions in `user` and item ids, two int64 `[E]`, in that order.
        """
        first = self.first[user]
        row, entry = entries_of(first, self.first[user + 1] - first)
        return row, self.key[entry] - user[row] * self.num_items

    def is_seen(self, user: Tensor, item: Tensor) -> Tensor:
        """Which items the users have seen.

        Args:
            user: `[B]` user ids.
            item: `[B, M]` item ids.

        Returns:
            `[B, M]` bool.
        """
        return is_in(user.long().unsqueeze(1) * self.num_items + item, self.key)

    def mask_(self, scores: Tensor, user: Tensor) -> None:
        """Sets the scores of items that are not to be drawn for the users to `-inf`, in place.

        Args:
            scores: `[B, I]` scores of all items.
            user: `[B]` user ids.
        """
        row, item = self.seen(user)
        scores[row, item] = -torch.inf

    def log_mass(self, item: Tensor) -> Tensor:
        """Logarithm of the probability of drawing `item`, up to a constant of the user.

        Args:
            item: Item ids of any shape.

        Returns:
            Float64 of the same shape; `-inf` for items that are never drawn. Here 0: sources are
            uniform, unless they say otherwise.
        """
        return torch.zeros(item.shape, dtype=torch.float64, device=item.device)

    def _check_fits(self, total: int) -> None:
        """Refuses lines of `total` points per user that together do not fit in int64."""
        if self.num_users * total > MAX_INT64:
            got = f"{self.num_users} x {total}"
            raise invalid(self, "data", "a graph whose users x items (or points) fit in int64", got)

    def _check_all_can_draw(self, left: Tensor) -> None:
        """Refuses users who have nothing left, `left [U]` being what they have."""
        without = (left <= 0).nonzero().flatten().tolist()
        if without:
            named = ", ".join(map(str, without[:5])) + ", ..." * (len(without) > 5)
            raise invalid(
                self,
                "data",
                "a graph in which every user has an unobserved item to draw (drop the links of "
                "users who have seen everything, or add items)",
                f"{len(without)} users without: {named}",
            )

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"num_users={self.num_users}, num_items={self.num_items}"


def integers_below(limit: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws `[B, num]` integers, row b uniform in `[0, limit[b])`, for `limit [B, 1]`.

    A float64 in [0, 1) has 53 random bits: for limits up to 2**53 the product stays below the
    limit, and no value is favoured by more than `limit / 2**53` relative.
    """
    return random_doubles((limit.size(0), num), limit.device, generator).mul_(limit).long()


def small_integers_below(
    limit: Tensor, num: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draws as :func:`integers_below`, int32 and faster, on CPU and for limits up to `SMALL`.

    What is behind the product's point is random still, and makes a second integer. No value is
    favoured by more than `limit**2 / 2**53` relative, about a ten-thousandth at most.
    """
    limit, half = limit.double(), (num + 1) // 2
    unit = random_doubles((limit.size(0), half), limit.device, generator).mul_(limit)
    number = torch.empty(limit.size(0), num, dtype=torch.int32)
    number[:, :half] = unit
    number[:, half:] = unit.frac_().mul_(limit)[:, : num - half]
    return number


def random_doubles(
    size: tuple[int, int], device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Draws float64 in [0, 1)."""
    if device.type != "cpu":
        return uniform(size, torch.float64, device, generator)
    # Torch's generator says where to start; numpy's is three times as fast from there.
    start: Any = _StartOf(generator)  # numpy's types know only its own class
    return torch.from_numpy(np.random.Generator(np.random.SFC64(start)).random(size))


class _StartOf(ISeedSequence):
    """Starts a generator of numpy's with words of torch's; numpy's hash of a seed takes longer."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray[Any, Any]:
        """Random words, of which numpy asks for as many as it needs."""
        word = torch.randint(-(2**63), 2**63 - 1, (n_words,), generator=self.generator)
        return word.numpy().view(dtype)[:n_words]
