"""Seeded synthetic interactions with known preferences: something to train on, offline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.interactions import InteractionDataset
from pyg_negsamp.datasets.log import InteractionLog, Repeats, pair_key, sorted_order
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE

MIN_LINKS = 3  # of a user, so that training, validation and test can have one each
NOT_SHOWN = -1  # in place of an item id
BLOCK = 1 << 21  # proposals judged at a time; bounds memory


@dataclass(frozen=True)
class SyntheticPreset:
    """Size and temper of a synthetic world.

    Attributes:
        num_users: Number of users, `U`.
        num_items: Number of items, `I`.
        num_links: Wanted number of links; the result comes within a few percent, unless a
            few users would have most of them.
        num_factors: Width of the true factors, `F`.
        num_tastes: Number of clusters that items belong to. Fewer are easier to learn.
        proposals: Items that a user sees for every item kept. More proposals mean more taste
            and less popularity in the links, and more time to generate.
        popularity_spread: Standard deviation of log popularity: the long tail of items.
        activity_spread: Standard deviation of log activity: the long tail of users.
        noise: Scale of the Gumbel noise added to affinities, which have deviation one.
    """

    num_users: int
    num_items: int
    num_links: int
    num_factors: int = 16
    num_tastes: int = 80
    proposals: int = 30
    popularity_spread: float = 1.8
    activity_spread: float = 0.8
    noise: float = 0.5


PRESETS: dict[str, SyntheticPreset] = {
    "tiny": SyntheticPreset(60, 80, 900, 4, 8, 10, 1.2, activity_spread=0.5, noise=0.3),
    "small": SyntheticPreset(3_000, 4_000, 90_000, 32, 400),
    "medium": SyntheticPreset(10_000, 12_000, 400_000, 16, 160, 30, 1.7),
    "yelp2018-like": SyntheticPreset(31_668, 38_048, 1_561_406, 16, 320, 20, 1.5),
    "large": SyntheticPreset(120_000, 100_000, 10_000_000, 16, 640, 8, 1.2),
}


class SyntheticInteractions(InteractionDataset):
    """Interactions of users whose true preferences are known.

    Each user is shown items in proportion to their popularity and keeps those liked best:
    affinity plus Gumbel noise decides. Affinity itself knows no popularity, so a link says
    something about both, as in real logs, and `affinity` tells whether a negative is one.

    Args:
        preset: Name of a size in `PRESETS`: `"tiny"`, `"small"`, `"medium"`, `"yelp2018-like"` or
            `"large"`.
        seed: Seed of the world; the same seed gives the same links bit by bit.
        split: Transform that gives train, validation and test. Default: `RandomSplit()`.
        transform: Applied to each of the three graphs on access.
        edge_type: Edge type of the links.
        **changes: Fields of `SyntheticPreset` to change, such as `num_users=500`.

    Attributes:
        user_factors: `[U, F]` float32, the true preferences, each of norm one.
        item_factors: `[I, F]` float32, the true properties.

    Raises:
        ValueError: If the preset or a field is unknown, or the sizes do not fit together.
    """

    def __init__(
        self,
        preset: str = "small",
        seed: int = 0,
        split: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        edge_type: EdgeType = EDGE_TYPE,
        **changes: float,
    ) -> None:
        size = _resolve(preset, changes)
        generator = torch.Generator().manual_seed(seed)
        self.user_factors, self.item_factors = draw_factors(size, generator)
        user, item = draw_links(size, self.user_factors, self.item_factors, generator)
        log = InteractionLog(user, item, size.num_users, size.num_items)
        self._setup(f"synthetic-{preset}", log, Repeats(), split, transform, edge_type)

    def affinity(self, user: Tensor, item: Tensor) -> Tensor:
        """How much users truly like items, without noise and popularity.

        Args:
            user: User ids.
            item: Item ids; broadcast against `user`, as `[B, 1]` against `[B, M]`.

        Returns:
            Float tensor of the broadcast shape; mean about zero, deviation about one.
        """
        return (self.user_factors[user] * self.item_factors[item]).sum(dim=-1)


def draw_factors(size: SyntheticPreset, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clustered factors: an item lies near one taste, a user mixes three of them unequally.

    Args:
        size: The world to draw.
        generator: Source of randomness.

    Returns:
        User factors `[U, F]` and item factors `[I, F]`.
    """
    U, I, F = size.num_users, size.num_items, size.num_factors  # noqa: E741
    taste = torch.randn(size.num_tastes, F, generator=generator)
    taste_of_item = torch.randint(size.num_tastes, (I,), generator=generator)
    item = taste[taste_of_item] + 0.5 * torch.randn(I, F, generator=generator)
    tastes_of_user = torch.randint(size.num_tastes, (U, 3), generator=generator)
    weight = torch.rand(U, 3, 1, generator=generator)
    user = (weight * taste[tastes_of_user]).sum(dim=1)
    user = user + 0.2 * torch.randn(U, F, generator=generator)
    return user / user.norm(dim=1, keepdim=True), item / item.square().mean().sqrt()


def draw_links(
    size: SyntheticPreset, user_factors: Tensor, item_factors: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lets every user choose among items proposed by popularity.

    Args:
        size: The world to draw.
        user_factors: `[U, F]`.
        item_factors: `[I, F]`.
        generator: Source of randomness.

    Returns:
        Users and items of the links, `[E]` int64 each, sorted, every pair once.
    """
    popularity = _log_normal(size.num_items, size.popularity_spread, generator)
    cumulative = popularity.cumsum(0) / popularity.sum()
    activity = _log_normal(size.num_users, size.activity_spread, generator)
    wanted = (activity * (size.num_links / activity.sum())).round().long()
    # The most active first: a block of users is a rectangle as wide as its first row.
    wanted, user = wanted.clamp(MIN_LINKS, size.num_items // 2).sort(descending=True, stable=True)
    shown = wanted * size.proposals

    links: list[tuple[Tensor, Tensor]] = []
    start = 0
    while start < size.num_users:
        width = int(shown[start])
        similar = int((shown[start:] >= 0.75 * width).sum())
        rows = slice(start, start + min(similar, max(1, BLOCK // width)))
        start = rows.stop
        item = _propose(cumulative, shown[rows], width, generator)
        liking = (item_factors[item] @ user_factors[user[rows], :, None]).squeeze(-1)
        gumbel = -torch.empty_like(liking).exponential_(generator=generator).log_()
        liking.add_(gumbel, alpha=size.noise).masked_fill_(item.eq(NOT_SHOWN), -torch.inf)
        best, column = liking.topk(int(wanted[rows.start]), dim=1)
        kept = torch.arange(best.size(1)) < wanted[rows, None]
        kept &= best.isfinite()
        links.append((user[rows].repeat_interleave(kept.sum(1)), item.gather(1, column)[kept]))
    users, items = zip(*links, strict=True)
    user, item = torch.cat(users), torch.cat(items)
    order = sorted_order(pair_key(user, item))
    return user[order], item[order]


def _propose(cumulative: Tensor, shown: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """`[rows, width]` items drawn by popularity, `NOT_SHOWN` for repeats and beyond `shown`."""
    draw = torch.rand(shown.numel(), width, generator=generator, dtype=torch.float64)
    item = torch.searchsorted(cumulative, draw).clamp_(max=cumulative.numel() - 1)
    item.masked_fill_(torch.arange(width) >= shown[:, None], NOT_SHOWN)
    item = item.sort(dim=1).values
    repeated = item[:, 1:] == item[:, :-1]
    item[:, 1:].masked_fill_(repeated, NOT_SHOWN)
    return item


def _log_normal(count: int, spread: float, generator: torch.Generator) -> Tensor:
    return torch.exp(spread * torch.randn(count, generator=generator, dtype=torch.float64))


def _resolve(preset: str, changes: dict[str, float]) -> SyntheticPreset:
    owner = "SyntheticInteractions"
    if preset not in PRESETS:
        raise invalid(owner, "preset", f"one of {list(PRESETS)}", repr(preset))
    fields = asdict(PRESETS[preset])
    for name, value in changes.items():
        if name not in fields:
            raise invalid(owner, name, f"a field of SyntheticPreset: {list(fields)}", value)
        if not value > 0:
            raise invalid(owner, name, "positive", value)
    size = replace(PRESETS[preset], **changes)  # type: ignore[arg-type]
    least, most = MIN_LINKS * size.num_users, size.num_users * size.num_items // 5
    if not least <= size.num_links <= most:
        raise invalid(
            owner, "num_links",
            f"in [{least}, {most}] for {size.num_users} users and {size.num_items} items",
            size.num_links,
        )  # fmt: skip
    return size
