r"""False negatives: how many of the chosen negatives are held-out links, and which are.

Example. A user likes item 7, which is held out. Of five candidates it has the highest score:

    candidate   7     2     9     4     3
    score       3.1   2.0   1.5   0.2   -1.0
    false       yes   no    no    no    no

A sampler that takes the hardest has a share of 1 here; one that takes any has 1/5. That the hardest
fifth has them all is figure 1 of SDNS (Shi et al., 2022, arXiv:2211.13912), a drawing: section 2.2
says that the harder a negative, the more likely it is a false one. So there is a share for each
tenth of the rank by score. The shares that a uniform draw and one by popularity would have stand
beside it. The exact share by popularity, of a user with held-out items `L` who has seen `S`, is

.. math:: \frac{\sum_{i \in L \setminus S} c_i}{\sum_{i \notin S} c_i}

with :math:`c_i` the training links of item `i`.

Held-out links are those of validation while a model trains; those of test are read once, at the
end. An unliked item and one that was never met look the same, so all shares are lower bounds.

:class:`pyg_negsamp.training.FalseNegatives` is another number: the share of training instances with
*any* false negative, over a whole training.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_negsamp.diagnostics.look import Look
from pyg_negsamp.diagnostics.means import mean_where
from pyg_negsamp.diagnostics.shapes import check_shapes
from pyg_negsamp.errors import invalid, short
from pyg_negsamp.pairs import Pairs

#: Parts that candidates are cut into, by rank.
TENTHS = 10


def false_negative_share(
    user: Tensor, item: Tensor, liked: Pairs, weight: Tensor | None = None
) -> Tensor:
    """The share of negatives that are held-out links.

    Args:
        user: `[n]` user ids.
        item: `[n, K]` items of the negatives; or `[n, K, H]`, one per layer, each of which counts,
            so that the share compares with that of single items.
        liked: The held-out links.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        A scalar in [0, 1]; NaN if no negative counts.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    per_layer = isinstance(item, Tensor) and item.dim() == 3
    check_shapes(
        "false_negative_share",
        user=(user, "ids n"),
        item=(item, "ids n K H" if per_layer else "ids n K"),
        weight=(weight, "numbers n K"),
    )
    _check_links("false_negative_share", "liked", liked)
    false = liked.hold(user.view(-1, *[1] * (item.dim() - 1)), item)
    return mean_where(false.float(), weight)


def false_negative_share_by_rank(
    user: Tensor, candidates: Tensor, score: Tensor, liked: Pairs
) -> Tensor:
    """The share of candidates that are held-out links, by tenth of their rank.

    Of `M` candidates the one at rank `r`, from 0, is in tenth `floor(10 r / M)`: of 20, the two
    with the highest scores are the first tenth. Equal scores keep the order of the draw.

    Args:
        user: `[n]` user ids.
        candidates: `[n, M]` item ids.
        score: `[n, M]` their scores.
        liked: The held-out links.

    Returns:
        `[10]` shares in [0, 1], the hardest tenth first; NaN where no rank is in a tenth, which
        is so with fewer than ten candidates.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    check_shapes(
        "false_negative_share_by_rank",
        user=(user, "ids n"),
        candidates=(candidates, "ids n M"),
        score=(score, "numbers n M"),
    )
    _check_links("false_negative_share_by_rank", "liked", liked)
    hardest_first = score.argsort(dim=1, descending=True, stable=True)
    false = liked.hold(user.unsqueeze(1), candidates.gather(1, hardest_first)).float()
    size, device = score.size(1), score.device
    tenth = torch.arange(size, device=device) * TENTHS // max(size, 1)
    by_rank = false.mean(dim=0)
    shares = by_rank.new_zeros(2, TENTHS)  # sums, and how many ranks they are of
    shares.index_add_(1, tenth, torch.stack([by_rank, torch.ones_like(by_rank)]))
    return shares[0] / shares[1]


def false_negative_share_by_popularity(
    user: Tensor, count: Tensor, liked: Pairs, known: Pairs | None = None
) -> Tensor:
    """The share of false negatives of draws in proportion to popularity: exact, nothing is drawn.

    Args:
        user: `[n]` user ids.
        count: `[I]` training links of each item; or another weight that draws are in proportion
            to, such as their power 0.75.
        liked: The held-out links.
        known: Links that a draw leaves out: those that users have seen. Default: none, so that
            what users have seen could be drawn, too, and the share is lower.

    Returns:
        A scalar in [0, 1]: the mean over the `n` rows, of which one that nothing can be drawn for
        has 0; NaN of no rows.

    Raises:
        ValueError: If an argument is not of these shapes.
    """
    owner = "false_negative_share_by_popularity"
    check_shapes(owner, user=(user, "ids n"), count=(count, "counts I"))
    _check_links(owner, "liked", liked, len(count))
    count = count if count.dtype == torch.int64 else count.double()
    whole, false = count.sum().double(), _mass(user, count, liked)
    if known is not None:
        _check_links(owner, "known", known, len(count))
        whole = whole - _mass(user, count, known)
        # An item both known and held out cannot be drawn.
        false = _mass(user, count, liked, ~known.hold(liked.user, liked.item))
    return torch.where(whole > 0, false / whole, 0).mean().float()


def _mass(user: Tensor, count: Tensor, pairs: Pairs, where: Tensor | None = None) -> Tensor:
    """`[n]` what the items of some users weigh; no loop over users, and no wait for the device."""
    weight = count[pairs.item]
    weight = weight if where is None else weight * where
    before = pad(weight.cumsum(0), (1, 0))
    return (before[pairs.first[user + 1]] - before[pairs.first[user]]).double()


def _check_links(owner: str, name: str, links: object, num_items: int | None = None) -> None:
    """Refuses what are no `Pairs`, or those of another number of items."""
    if not isinstance(links, Pairs):
        raise invalid(owner, name, "Pairs(index, num_users, num_items)", short(links))
    if num_items is not None and links.num_items != num_items:
        raise invalid(owner, name, f"links to {num_items} items", f"{links.num_items} items")


def _independent_draws(item: Tensor, weight: Tensor | None = None) -> Tensor:
    """How many negatives were drawn of their own: those that all rows share count once.

    A share of so many draws varies as one of independent draws, or less.

    Args:
        item: `[n, K]` items of the negatives, or `[n, K, H]`, whose layers are one draw.
        weight: `[n, K]`; a negative of weight 0 does not count. Default: all count.

    Returns:
        A scalar; of shared negatives, of which each row may leave out others, the mean over rows.
    """
    rows, size = item.shape[:2]
    draws = (
        torch.full((), rows * size, device=item.device) if weight is None else (weight != 0).sum()
    )
    return torch.where((item == item[:1]).all(), draws / max(rows, 1), draws)


def look_at_false_negatives(look: Look) -> dict[str, Tensor]:
    """`false-negatives/...`: `chosen`, `expected`, `by-popularity`, and `rank-1` to `rank-10`.

    `chosen-draws` and `expected-draws` are how many draws the first two are shares of.
    """
    if look.liked is None:
        return {}
    found = {
        "expected": false_negative_share(look.user, look.unseen, look.liked),
        "expected-draws": _independent_draws(look.unseen),
        "by-popularity": false_negative_share_by_popularity(
            look.user, look.count, look.liked, look.known
        ),
    }
    if look.chosen is not None:
        chosen = false_negative_share(look.user, look.chosen, look.liked, look.weight)
        draws = _independent_draws(look.chosen, look.weight)
        found = {"chosen": chosen, "chosen-draws": draws, **found}
    if look.candidates is not None and look.candidate_score is not None:
        size = look.candidates.size(1)
        shares = false_negative_share_by_rank(
            look.user, look.candidates, look.candidate_score, look.liked
        )
        there = sorted({rank * TENTHS // size for rank in range(size)})
        found |= {f"rank-{tenth + 1}": shares[tenth] for tenth in there}
    return {f"false-negatives/{name}": share for name, share in found.items()}
