"""What every first pass shares: which items a user has seen, and must not be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates.reading import (
    Also,
    Items,
    num_existing,
    read_items,
    read_seen,
    read_times,
)
from pyg_negsamp.errors import invalid, short, whole_number
from pyg_negsamp.graph import edge_type_of, is_index
from pyg_negsamp.numerics import check_generator
from pyg_negsamp.pairs import Fingerprint, Pairs


class Candidates(torch.nn.Module, ABC):
    """First pass of negative sampling: unobserved item ids, no embeddings needed.

    A module without parameters, so that it moves to a device with the sampler that owns it.
    It is not part of any `state_dict`: it is rebuilt from the training graph.

    Args:
        data: Training graph; its `edge_index` says what each user has seen. In a homogeneous
            `Data` graph, or with an edge type from a node type to itself, every node is user and
            item, and its own id counts as seen.
        edge_type: Edge type to read from `HeteroData`. Default: the only one there is, see
            :func:`pyg_negsamp.graph.edge_type_of`.
        also: More links that users have seen, `[2, E]` or several such: the supervision links of
            `RandomLinkSplit(disjoint_train_ratio=...)`, say. Where `edge_index` holds the reverse
            of each of its links, these count in both directions, too. Default: none.
        items: The only items that may be drawn: a range, a slice, ids, or a bool for every item.
            In a homogeneous graph of users and items these are the items:
            `items=range(num_users, num_nodes)`, or `items=data.node_type == 1`. Default: all.
        relation: `[E]` the relation of every link, in a knowledge graph: homogeneous `Data`, as
            PyG's, with `relation=kg.edge_type`. A user is then a head with a relation,
            `head * R + relation`, also in `also`; the items are all entities. One that has no links
            has seen nothing, not even itself: that an entity is related to itself is as wrong an
            answer as others. Default: links are all alike.
        num_relations: How many relations there are, `R`. Default: one more than the largest in
            `relation`; to be said where a split may lack the last ones.
        time: `[I]` the time from which each item exists. Rows bring theirs, and no item is drawn
            for a row that happened before. Links are known whenever they occur. Default: items
            exist always.

    Attributes:
        edge_type: What the interactions are called.
        known: All pairs that are seen, of users as :meth:`known_as` numbers them.
        drawn: The seen pairs among items that may be drawn, in a numbering of these alone.
        items: `[n]` ids of the items that may be drawn, ascending, or by their time if they have
            one; `None` for all.
        fingerprint: Of the links in `edge_index` alone.

    Raises:
        ValueError: If the graph has no items, or so many that a pair does not fit in int64; if
            links or items are no ids of the graph; if a homogeneous graph is one of users and
            items, and `items` does not say which are which; if relations or times are not one for
            every link or item.
    """

    #: Whether it draws items that all users share, see :meth:`shared`.
    draws_shared: ClassVar[bool] = False

    #: Whether a draw makes a device wait, also without times.
    draws_wait: ClassVar[bool] = False

    items: Tensor | None
    position: Tensor | None
    linked: Tensor | None
    _since: Tensor | None

    def __init__(
        self,
        data: HeteroData | Data,
        edge_type: EdgeType | None = None,
        *,
        also: Also | None = None,
        items: Items | None = None,
        relation: Tensor | None = None,
        num_relations: int | None = None,
        time: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.edge_type = edge_type_of(data, edge_type)
        seen = read_seen(self, data, self.edge_type, also, items, relation, num_relations)
        self.num_users, self.num_items = seen.num_users, seen.num_items
        self.num_relations, self._one_kind = seen.num_relations, seen.one_kind
        self._items_of_links = seen.item
        self.register_buffer("linked", None, persistent=False)
        if relation is not None:  # the users with links, and an end that is nobody
            self.linked = pad(seen.every[0].unique(), (0, 1), value=self.num_users)
        own = self._pairs(seen.index)
        self.fingerprint: Fingerprint = own.fingerprint()
        self.known = self.drawn = own if seen.every is seen.index else self._pairs(seen.every)
        self.register_buffer("_since", None, persistent=False)
        self.register_buffer("items", None, persistent=False)
        self.register_buffer("position", None, persistent=False)
        if items is not None or time is not None:
            self._allow(items, time)

    @property
    def since(self) -> Tensor | None:
        """The times `[n]` of `items`, int64 or float64; `None` if items exist always."""
        # Kept as their bits, which `.half()` and the like of a whole model leave as they are.
        return None if self._since is None else self._since.view(self._time_type)

    def _pairs(self, index: Tensor) -> Pairs:
        """Pairs `[2, E]` of users, as :meth:`known_as` numbers them, and items."""
        if self.linked is None:
            return Pairs(index, self.num_users, self.num_items)
        lines = torch.stack([self.known_as(index[0]), index[1]])
        return Pairs(lines, len(self.linked), self.num_items)

    def _allow(self, items: Items | None, time: Tensor | None) -> None:
        """Numbers the items that may be drawn, and keeps what of them is seen."""
        device = self.known.key.device
        every = torch.arange(self.num_items, device="cpu")
        allowed = every if items is None else read_items(self, items, self.num_items)
        if time is not None:
            # Items that exist at a time are then the first ones.
            since, order = read_times(self, time, self.num_items).cpu()[allowed].sort(stable=True)
            self._time_type, allowed = since.dtype, allowed[order]
            self._since = since.to(device).view(torch.int64)
        self.items = allowed.to(device)
        self.position = self.items.new_full((self.num_items,), -1)
        self.position[self.items] = every[: len(allowed)].to(device)
        place = self.position[self.known.item]
        inside = torch.stack([self.known.user, place])[:, place >= 0]
        self.drawn = Pairs(inside, self.known.num_users, len(allowed))

    def known_as(self, user: Tensor) -> Tensor:
        """The numbers by which `known` and `drawn` know users, int64.

        Of a knowledge graph, only heads and relations that occur together are kept. All others
        share one number, as they have seen nothing.

        Args:
            user: User ids of any shape.
        """
        user = user.long()
        if self.linked is None:
            return user
        at = torch.searchsorted(self.linked, user.contiguous()).clamp_(max=len(self.linked) - 1)
        return torch.where(self.linked[at] == user, at, len(self.linked) - 1)

    def knows(self, user: Tensor, item: Tensor) -> Tensor:
        """Which pairs are known links, as bool.

        Args:
            user: User ids.
            item: Item ids, of a shape that goes with that of `user`.
        """
        return self.known.hold(self.known_as(user), item)

    def existing(self, user: Tensor, time: Tensor | None) -> Tensor | None:
        """How many of `items` existed when each row happened; `None` if items exist always.

        Args:
            user: The rows' users, of any shape.
            time: When they happened, of the same shape.

        Raises:
            ValueError: If only the rows or only the items have a time, or if shapes differ.
        """
        if self.since is not None:
            return num_existing(self, self.since, user, time)
        if time is not None:
            expected = "left out, as the items of these candidates have no times (time=...)"
            raise invalid(self, "time", expected, short(time))
        return None

    def forward(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None = None,
        pos: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """Draws candidates, independently and with replacement.

        Args:
            user: `[B]` int64 user ids.
            num: Number of candidates per row, `M`.
            generator: Source of randomness, on the device of `user`. Default: torch's own.
            pos: `[B]` the positives that negatives are for. Read by sources that depend on
                them, see :class:`PoolCandidates`; by the others not.
            time: `[B]` when each row happened, if items have times. A draw then waits for the
                device, to see that no row is left without.

        Returns:
            `[B, M]` int64 item ids, none of them seen by the row's user.

        Raises:
            ValueError: If `num < 1`, if `user` is not `[B]` integers, or (checked on CPU, where it
                is free) if one is out of range; if a row has nothing to draw, which may be with
                :class:`PoolCandidates` or where items have times.
        """
        whole_number(self, "num", num, least=1)
        if user.dim() != 1 or not is_index(user):
            expected = "[B] integers of int64 or int32"
            raise invalid(self, "user", expected, f"{[*user.shape]} {user.dtype}")
        check_generator(self, generator, user.device)
        draw = self._draw_on_cpu if user.device.type == "cpu" else self._draw_known
        item = draw(user, num, generator, pos, self.existing(user, time))
        return item if self.items is None else self.items[item]

    @torch.compiler.disable
    def _draw_on_cpu(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        """With numpy, and looking at numbers: nothing that torch could compile."""
        self._check_users(user)
        return self._draw_known(user, num, generator, pos, existing)

    def _check_users(self, user: Tensor) -> None:
        """Refuses ids out of range on CPU, where looking is free."""
        if user.device.type == "cpu" and user.numel():
            low, high = map(int, user.aminmax())
            if low < 0 or high >= self.num_users:
                raise invalid(self, "user", f"ids in [0, {self.num_users})", f"{low}..{high}")

    def _draw_known(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        """Draws for users as :meth:`known_as` numbers them, who have something left."""
        user = self.known_as(user)
        if existing is not None:
            self._check_existing(self._left(user, existing))
        return self._draw(user, num, generator, pos, existing)

    @abstractmethod
    def _draw(
        self,
        user: Tensor,
        num: int,
        generator: torch.Generator | None,
        pos: Tensor | None,
        existing: Tensor | None,
    ) -> Tensor:
        """What :meth:`forward` returns, for arguments that have been checked.

        Users are numbered as in `drawn`, and items too. Of these only the first `existing [B]`, if
        given, may be drawn.
        """

    @abstractmethod
    def _left(self, user: Tensor, existing: Tensor | None) -> Tensor:
        """`[B]` how much users have to draw from: items, or a length; 0 is nothing."""

    def can_draw(self, user: Tensor, time: Tensor | None = None) -> Tensor:
        """Which rows have something to draw, as bool `[B]`.

        Args:
            user: `[B]` user ids.
            time: `[B]` when each row happened, if items have times.

        Raises:
            ValueError: If a user is out of range (checked on CPU).
        """
        self._check_users(user)
        return self._left(self.known_as(user), self.existing(user, time)) > 0

    def who_can_draw(self) -> Tensor:
        """Ids `[n]` of the users who have something to draw, with links or without."""
        everybody = torch.arange(self.num_users, device=self.known.key.device)
        return everybody[self.can_draw(everybody)]

    def mask_(self, scores: Tensor, user: Tensor) -> None:
        """Sets the scores of items that are not to be drawn for the users to `-inf`, in place.

        Times do not count here.

        Args:
            scores: `[B, I]` scores of all items.
            user: `[B]` user ids.
        """
        row, item = self.known.of(self.known_as(user))
        scores[row, item] = -torch.inf
        if self.position is not None:
            scores.masked_fill_(self.position < 0, -torch.inf)

    def may_be_drawn(self, user: Tensor, item: Tensor, time: Tensor | None = None) -> Tensor:
        """Which items are neither seen nor left out by `items`, and existed.

        Args:
            user: User ids.
            item: Item ids, of a shape that goes with that of `user`.
            time: When each row happened, of the shape of `user`, if items have times.

        Returns:
            Bool, of the common shape.
        """
        unseen, existing = ~self.knows(user, item), self.existing(user, time)
        if self.position is None:
            return unseen
        place = self.position[item]
        there = place >= 0
        return unseen & (there if existing is None else there & (place < existing))

    def degree(self) -> Tensor:
        """How many of the links in `edge_index` each item has, repeated ones too: `[I]` int64.

        In a graph with one kind of nodes, where `items` says which of them are items, the others
        have 0: links back to users do not count.
        """
        degree = torch.bincount(self._items_of_links, minlength=self.num_items)
        degree = degree.to(self.known.key.device)
        if self._one_kind and self.position is not None:
            degree.masked_fill_(self.position < 0, 0)
        return degree

    def shared(self, num: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws items that all users share, whoever has seen them: `[num]` int64 ids.

        Only sources with :attr:`draws_shared` know how.
        """
        raise NotImplementedError

    def log_shared(self, item: Tensor) -> Tensor:
        """Logarithms of the probabilities of :meth:`shared`, float64 of the shape of `item`."""
        raise NotImplementedError

    def shared_weight(self, user: Tensor, item: Tensor, dtype: torch.dtype) -> Tensor:
        """Which of some items may be drawn for each of some users, as weights 1 and 0.

        The same as :meth:`may_be_drawn` of all pairs.

        Args:
            user: `[B]` user ids.
            item: `[K]` item ids. They must exist always.
            dtype: Of the weights.

        Returns:
            `[B, K]`.
        """
        if user.device.type != "cpu" or torch.compiler.is_compiling():
            return self.may_be_drawn(user.unsqueeze(1), item).to(dtype)
        weight = torch.ones(len(user), len(item), dtype=dtype, device="cpu")
        weight[self.known.among(self.known_as(user), item)] = 0
        if self.position is not None:
            weight *= self.position[item] >= 0
        return weight

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

    def log_mass_in(self, item: Tensor, pos: Tensor) -> Tensor | None:
        """As :meth:`log_mass`, of a draw in a batch, which may have a numbering of its own.

        Args:
            item: `[B, M]` item ids that were drawn.
            pos: `[B]` positives of the batch, in the same numbering.

        Returns:
            Float64 `[B, M]`, up to a constant of the row; or `None` if all are as likely.
        """
        return None if self.is_uniform else self.log_mass(item)

    @property
    def waits(self) -> bool:
        """Whether a draw makes a device wait."""
        return self.draws_wait or self.since is not None

    @property
    def is_uniform(self) -> bool:
        """Whether every item that may be drawn is as likely as any other."""
        return type(self).log_mass is Candidates.log_mass

    def log_q(self, user: Tensor, item: Tensor) -> Tensor:
        """Logarithm of the probability that a draw for a user is an item, which may be drawn.

        Times do not count here, nor, for :class:`BatchCandidates`, what is in a batch.

        Args:
            user: `[B]` user ids.
            item: `[B]` or `[B, K]` item ids.

        Returns:
            Float64, of the shape of `item`.
        """
        left = self._left(self.known_as(user), None).double().log()
        return self.log_mass(item) - left.view(-1, *[1] * (item.dim() - 1))

    def _check_all_can_draw(self, left: Tensor) -> None:
        """Refuses users who have nothing left, `left` being what they have, by :meth:`known_as`."""
        empty = (left <= 0).nonzero().flatten()
        without = (empty if self.linked is None else self.linked[empty]).tolist()
        if without:
            named = ", ".join(map(str, without[:5])) + ", ..." * (len(without) > 5)
            raise invalid(
                self,
                "data",
                "a graph in which every user has an unobserved item to draw (drop the links of "
                "users who have seen everything, or add items)",
                f"{len(without)} users without: {named}",
            )

    def _check_existing(self, left: Tensor) -> None:
        """Refuses rows for which nothing existed that is unseen, `left [B]` being what there is."""
        without = int((left <= 0).sum())
        if without:
            raise invalid(
                self,
                "time",
                "one at which every row has an unobserved item to draw (leave other rows out: "
                "can_draw(user, time) tells which have one)",
                f"{without} of {len(left)} rows without",
            )

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        some = "" if self.items is None else f", of which {len(self.items)} may be drawn"
        return f"num_users={self.num_users}, num_items={self.num_items}{some}"
