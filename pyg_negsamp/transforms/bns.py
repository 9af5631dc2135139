"""BNS: negatives that tell much, and are unlikely to be false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.layers import Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection


class BNS(NegativeSampling):
    r"""Takes the candidate of the least risk, by a Bayesian guess of which are true negatives.

    Liu and Wang, ICDE 2023 (arXiv:2204.06520). For candidate `l` of user `u` with positive `i`,

    .. math::
        \text{info} &= 1 - \sigma(s(u, i) - s(u, l)), \qquad
        P = \text{pop}_l / \textstyle\sum_k \text{pop}_k \\
        \text{unbias} &= \frac{(1 - F)(1 - P)}{1 - F - P + 2 F P}, \qquad
        j = \arg\min_l \; \text{info} \, (1 - (1 + \lambda) \, \text{unbias})

    `P` is the prior chance that `l` is a false negative, and `F` the share of the user's unseen
    items that score below it. `unbias` is then the chance that it is a true one: a candidate that
    is popular, or scores higher than nearly all others, is shunned.

    The paper counts `F` over all items at every step. Here it is estimated on `num_shared` items,
    drawn once per call for all rows, of which each row counts the `n` that its user has not seen:
    :math:`F = (\text{rank} + 1/2) / (n + 1)`, with `rank` those that score below. It is so never 0
    nor 1, where the formula may be 0 / 0.

    For `K > 1`, the `K` of least risk. Gradients flow through the chosen rows only. Cost: that of
    :class:`DNS`, and `O(B * num_shared * (D + log E))`.

    When to use it: where many unseen items are liked, as on dense data, so that hard negatives are
    often false ones.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`; also
            says how popular items are.
        weight: How much a true negative is worth, the paper's lambda, at least 0. Default 5.
        num_shared: Items that `F` is estimated on. Default 128.
        num_candidates: Candidates per positive, `M`. Default 5, as in the paper.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `candidates` is missing or an argument is out of range.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 5
    keeps_users = True

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((5, 10, 20)),
        "weight": Choice((0.1, 1.0, 5.0, 10.0)),
    }
    popularity: Tensor

    def __init__(
        self,
        candidates: Source = None,
        *,
        weight: float = 5.0,
        num_shared: int = 128,
        num_candidates: int | None = None,
        num_negatives: int | None = None,
        pool: Pool = "mean",
        layers: int = 1,
        score: Score | None = None,
        edge_type: EdgeType | None = None,
        check_positives: bool = True,
        as_links: bool = False,
    ) -> None:
        super().__init__(
            candidates,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.weight = number_in(self, "weight", weight, "[0, inf)")
        self.num_shared = whole_number(self, "num_shared", num_shared, least=1)
        if self.candidates is None:
            raise invalid(self, "candidates", "given: they say how popular items are", None)
        self.register_buffer("popularity", self.candidates.degree(), persistent=False)

    @property
    def needs_global_ids(self) -> bool:
        """It knows how popular an item is, and what a user has seen."""
        return True

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The candidates of least risk."""
        users = gather_pooled(user_xs, user, self.pool)
        items = pool_layers(item_xs, self.pool)
        scores = self.scores(users, items, candidates)
        share = self.share_below(user, users, items, candidates, scores, generator)
        prior = self.popularity[candidates].double() / self.popularity.sum().clamp(min=1)
        pos_score = self.pair_scores(users, rows_at(items, pos).unsqueeze(1))
        risk = self.risk(pos_score.double(), scores.double(), share, prior)
        best = risk.topk(self.num_negatives, dim=1, largest=False).indices
        return Selection(candidates.gather(1, best))

    def share_below(
        self,
        user: Tensor,
        users: Tensor,
        items: Tensor,
        candidates: Tensor,
        scores: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The share of unseen items that score below, `F`, estimated: float64 `[B, M]`.

        Args:
            user: `[B]` user ids.
            users: `[B, D]` their rows.
            items: `[I, D]` item table.
            candidates: `[B, M]` item ids.
            scores: `[B, M]` their scores, to rank among those of the unseen items.
            generator: Source of randomness.
        """
        assert self.candidates is not None
        allowed = self.candidates.items
        shared = torch.empty(self.num_shared, dtype=torch.long, device=user.device)
        shared.random_(len(items) if allowed is None else len(allowed), generator=generator)
        shared = shared.sort().values  # found faster among the links
        shared = shared if allowed is None else allowed[shared]
        unseen = self.candidates.may_be_drawn(user.unsqueeze(1), shared)
        of_shared = self.shared_scores(users, rows_at(items, shared))
        of_unseen = of_shared.masked_fill(~unseen, torch.inf)
        below = of_unseen.unsqueeze(1) < scores.unsqueeze(2)
        # No item is below itself, however two products round.
        below &= candidates.unsqueeze(2) != shared
        return (below.sum(dim=2).double() + 0.5) / (unseen.sum(dim=1, keepdim=True) + 1)

    def risk(self, pos: Tensor, neg: Tensor, share: Tensor, prior: Tensor) -> Tensor:
        """What to minimise, `[B, M]`.

        Args:
            pos: `[B, 1]` scores of the positives.
            neg: `[B, M]` scores of the candidates.
            share: `[B, M]` the share of unseen items that score below, `F`.
            prior: `[B, M]` the prior chance of a false negative, `P`.
        """
        true = (1 - share) * (1 - prior)
        unbias = true / (true + share * prior)
        return torch.sigmoid(neg - pos) * (1 - (1 + self.weight) * unbias)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, weight={self.weight}, num_shared={self.num_shared}"
