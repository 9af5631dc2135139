"""What every first pass shares: which items a user has seen, and must not be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random.bit_generator import ISeedSequence
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import check_links, edge_type_of, is_integer, known_links
from pyg_negsamp.numerics import uniform
from pyg_negsamp.pairs import Fingerprint, Pairs

#: More known links: `[2, E]`, or several such.
Also: TypeAlias = Tensor | Sequence[Tensor]
#: Items that may be drawn: their ids, or a bool for every item.
Items: TypeAlias = range | slice | Tensor

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
        edge_type: Edge type to read from `HeteroData`. Default: the only one there is, see
            :func:`pyg_negsamp.graph.edge_type_of`.
        also: More links that users have seen, `[2, E]` or several such: the supervision links of
            `RandomLinkSplit(disjoint_train_ratio=...)`, say. Default: none.
        items: The only items that may be drawn: a range, a slice, ids, or a bool for every item.
            In a homogeneous graph of users and items these are the items:
            `items=range(num_users, num_nodes)`, or `items=data.node_type == 1`. Default: all.

    Attributes:
        edge_type: What the interactions are called.
        known: All pairs that are seen.
        drawn: The seen pairs among items that may be drawn, in a numbering of these alone.
        items: `[n]` ids of the items that may be drawn, ascending; `None` for all.
        fingerprint: Of the links in `edge_index` alone.

    Raises:
        ValueError: If the graph has no items, or so many that a pair does not fit in int64; if
            links or items are no ids of the graph; if a homogeneous graph is one of users and
            items, and `items` does not say which are which.
    """

    items: Tensor | None
    position: Tensor | None

    def __init__(
        self,
        data: HeteroData | Data,
        edge_type: EdgeType | None = None,
        *,
        also: Also | None = None,
        items: Items | None = None,
    ) -> None:
        super().__init__()
        self.edge_type = edge_type_of(data, edge_type)
        links = known_links(data, self.edge_type)
        if links.num_items == 0:
            raise invalid(self, "data", "a graph with at least one item", "0 items")
        self.num_users, self.num_items = links.num_users, links.num_items
        self._check_fits(self.num_items)
        if items is None and isinstance(data, Data):
            self._check_one_kind(data, links.index)
        seen = Pairs(links.index, self.num_users, self.num_items)
        self.fingerprint: Fingerprint = seen.fingerprint()
        several = also if isinstance(also, list | tuple) else [also]
        more: list[Any] = [index for index in several if index is not None]
        for index in more:
            check_links(self, "also", index, self.num_users, self.num_items)
        if isinstance(data, Data):
            more.append(torch.arange(self.num_items).expand(2, -1))
        if more:
            index = torch.cat([links.index, *(x.to(links.index) for x in more)], dim=1)
            seen = Pairs(index, self.num_users, self.num_items)
        self.known = seen
        self.drawn = seen
        allowed = None if items is None else self._ids(items).to(links.index.device)
        self.register_buffer("items", allowed, persistent=False)
        self.register_buffer("position", None, persistent=False)
        if allowed is not None:
            self.position = allowed.new_full((self.num_items,), -1)
            self.position[allowed] = torch.arange(len(allowed)).to(allowed)
            user, place = seen.user, self.position[seen.item]
            inside = torch.stack([user, place])[:, place >= 0]
            self.drawn = Pairs(inside, self.num_users, len(allowed))

    def _ids(self, items: Items) -> Tensor:
        """The ids of items that may be drawn, ascending."""
        every = torch.arange(self.num_items)
        expected = f"a range, a slice, ids in [0, {self.num_items}), or [{self.num_items}] bool"
        if isinstance(items, slice):
            found = every[items]
        elif isinstance(items, range):
            found = torch.tensor(items, dtype=torch.long)
        elif not isinstance(items, Tensor):
            raise invalid(self, "items", expected, short(items))
        elif items.dtype == torch.bool and items.shape == every.shape:
            found = every[items.cpu()]
        elif items.is_floating_point() or items.dtype == torch.bool or items.dim() != 1:
            raise invalid(self, "items", expected, f"{[*items.shape]} {items.dtype}")
        else:
            found = items.long().cpu()
        found = found.unique()
        if not found.numel():
            raise invalid(self, "items", "at least one item", "none")
        if found[0] < 0 or found[-1] >= self.num_items:
            raise invalid(self, "items", expected, f"{int(found[0])}..{int(found[-1])}")
        return found

    def _check_one_kind(self, data: Data, index: Tensor) -> None:
        """Refuses a homogeneous graph of which some nodes are users and others items."""
        say = "given, because some nodes of this graph are no items"
        kinds = data.get("node_type")
        if isinstance(kinds, Tensor) and len(found := kinds.unique().tolist()) > 1:
            way = f"items=(data.node_type == {found[-1]})"
            raise invalid(self, "items", f"{say}, such as {way}", f"node types {found}")
        starts, ends = index[0].unique(), index[1].unique()
        if ends.numel() and not torch.isin(starts, ends).any():
            way = f"items=range({int(ends[0])}, {int(ends[-1]) + 1})"
            raise invalid(
                self,
                "items",
                f"{say}: no node is both source and target of a link; such as {way}",
                None,
            )

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
            ValueError: If `num < 1`, if `user` is not `[B]` integers, or (checked on CPU, where it
                is free) if one is out of range; of :class:`PoolCandidates`, if a row has nothing
                to draw.
        """
        whole_number(self, "num", num, least=1)
        if user.dim() != 1 or not is_integer(user):
            raise invalid(self, "user", "[B] integers", f"{[*user.shape]} {user.dtype}")
        draw = self._draw_on_cpu if user.device.type == "cpu" else self._draw
        # As int64, because ids are multiplied.
        item = draw(user.long(), num, generator, pos)
        return item if self.items is None else self.items[item]

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
        """What :meth:`forward` returns, for arguments that have been checked.

        Items are numbered as in `drawn`.
        """

    def who_can_draw(self) -> Tensor:
        """Ids `[n]` of the users who have something to draw; here all, with links or without."""
        return torch.arange(self.num_users, device=self.known.key.device)

    def mask_(self, scores: Tensor, user: Tensor) -> None:
        """Sets the scores of items that are not to be drawn for the users to `-inf`, in place.

        Args:
            scores: `[B, I]` scores of all items.
            user: `[B]` user ids.
        """
        row, item = self.known.of(user)
        scores[row, item] = -torch.inf
        if self.position is not None:
            scores.masked_fill_(self.position < 0, -torch.inf)

    def may_be_drawn(self, user: Tensor, item: Tensor) -> Tensor:
        """Which items are neither seen nor left out by `items`.

        Args:
            user: User ids.
            item: Item ids, of a shape that goes with that of `user`.

        Returns:
            Bool, of the common shape.
        """
        unseen = ~self.known.hold(user, item)
        return unseen if self.position is None else unseen & (self.position[item] >= 0)

    def log_mass(self, item: Tensor) -> Tensor:
        """Logarithm of the probability of drawing `item`, up to a constant of the user.

        Args:
            item: Item ids of any shape.

        Returns:
            Float64 of the same shape; `-inf` for items that are never drawn. Here 0: sources are
            uniform, unless they say otherwise.
        """
        mass = torch.zeros(item.shape, dtype=torch.float64, device=item.device)
        if self.position is not None:
            mass.masked_fill_(self.position[item] < 0, -torch.inf)
        return mass

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
        some = "" if self.items is None else f", of which {len(self.items)} may be drawn"
        return f"num_users={self.num_users}, num_items={self.num_items}{some}"


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
