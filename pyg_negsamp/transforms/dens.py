"""DENS: hard negatives by what is irrelevant about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.layers import Pool, facing_layers, pool_rows, rows_at
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import mean, wide
from pyg_negsamp.scoring import Score, rows_in_blocks
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.hardness import facing_users
from pyg_negsamp.transforms.negatives import Negatives, Selection


class DENS(NegativeSampling):
    r"""Splits items into relevant and irrelevant factors, and ranks candidates by both.

    Lai et al., WSDM 2023 (doi:10.1145/3539597.3570419). Learned gates, shared by the layers,
    find the relevant part of a positive for its user, and of a candidate for its positive:

    .. math::
        g_p &= \sigma(W_i p + W_u v + b_p), \quad p' = p \odot g_p \\
        g_n &= \sigma(W_n n + W_p p' + b_n), \quad n' = n \odot g_n \\
        x &= \arg\max_m \; v \cdot (f n_m - n'_m), \quad f = 1 - \min(1, t / T_0)

    at each layer, `v` being the user vector that the layer meets in the score: the pooled one,
    unless layers are concatenated. So candidates are
    ranked by their irrelevant part at first, and by how little is relevant about them after
    `warmup` epochs. The gates learn by an auxiliary loss, with the scores of the parts (`p''` and
    `n''` being the irrelevant ones), pooled over the layers, and averaged over
    pairs of positive and negative:

    .. math:: \frac{\gamma}{4} \left[ \ell(p' - p'') + \ell(n'' - n') + \ell(p' - n') +
              \ell(n'' - p'') \right], \quad \ell(x) = -\ln \sigma(s(u, x))

    For `K > 1`, the `K` best of each layer. Gradients flow through the chosen rows, and through
    the auxiliary loss to users, positives, chosen rows and gates. Cost: `O(B * M * H * D)`, and
    one product of the item tables with `W_n`, `O(I * H * D^2)`.

    When to use it: where items are liked for some of their factors only. Training should be longer
    than `warmup`, or the second half of the method never comes.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        dim: Width of the embeddings, `D`. Default 64.
        gamma: Weight of the auxiliary loss, at least 0. Default 0.3.
        warmup: Epochs until the factor `f` has fallen to zero, `T_0`. Default 100.
        factor: A fixed factor in place of the schedule. Default -1: the schedule.
        num_candidates: Candidates per positive, `M`. Default 16.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    chooses_by_row = by_row = True
    default_num_candidates = 16

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((8, 16, 32, 64)),
        "gamma": Choice((0.1, 0.2, 0.3, 0.4, 0.5)),
        "warmup": Choice((50, 100)),
    }
    epoch = 0

    def __init__(
        self,
        candidates: Source = None,
        *,
        dim: int = 64,
        gamma: float = 0.3,
        warmup: int = 100,
        factor: float = -1.0,
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
        self.width = dim = whole_number(self, "dim", dim, least=1)
        self.gamma = number_in(self, "gamma", gamma, "[0, inf)")
        self.warmup = whole_number(self, "warmup", warmup, least=1)
        self.fixed_factor = number_in(self, "factor", factor, "[-1, 1]")
        if -1 < factor < 0:
            raise invalid(self, "factor", "in [0, 1], or -1 for the schedule", factor)
        # One bias per gate: the two of its maps would only ever occur as their sum.
        check_memory(self, "dim", dim, 64 * dim * dim)
        self.item_map = torch.nn.Linear(dim, dim)
        self.user_map = torch.nn.Linear(dim, dim, bias=False)
        self.neg_map = torch.nn.Linear(dim, dim)
        self.pos_map = torch.nn.Linear(dim, dim, bias=False)

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Moves the schedule to `epoch`."""
        self.epoch = epoch

    @property
    def factor(self) -> float:
        """The weight of the whole candidate in the ranking, `f`."""
        if self.fixed_factor >= 0:
            return self.fixed_factor
        return 1 - min(1.0, self.epoch / self.warmup)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """The candidates ranked best at each layer."""
        facing = facing_users(user, user_xs, self.pool, self.score)
        chosen = []
        for v, items in zip(facing, item_xs, strict=True):
            relevant_pos = self.relevant_part_of_pos(v, rows_at(items, pos))
            from_pos = self.pos_map(relevant_pos)
            from_neg = self.neg_map(items)

            def score(
                block: slice, neg: Tensor, of_neg: Tensor, v: Tensor = v, of_pos: Tensor = from_pos
            ) -> Tensor:
                gate = torch.sigmoid(of_neg + of_pos[block].unsqueeze(1))
                return self.pair_scores(v[block], (self.factor - gate) * neg)

            scores = rows_in_blocks(candidates, (items, from_neg), score)
            best = scores.topk(self.num_negatives, dim=1).indices
            chosen.append(candidates.gather(1, best))
        return Selection(torch.stack(chosen, dim=2))

    def relevant_part_of_pos(self, user: Tensor, pos: Tensor) -> Tensor:
        """What of the positives is relevant to their users; all `[..., D]`."""
        return pos * torch.sigmoid(self.item_map(pos) + self.user_map(user))

    def relevant_part_of_neg(self, relevant_pos: Tensor, neg: Tensor) -> Tensor:
        """What of the negatives is relevant beside the positives' relevant part; `[..., D]`."""
        return neg * torch.sigmoid(self.neg_map(neg) + self.pos_map(relevant_pos))

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """The chosen candidates as they are, and the loss that trains the gates."""
        facing = torch.stack(facing_layers(user.unbind(1), self.pool), dim=1)
        pos_in = self.relevant_part_of_pos(facing, pos)
        neg_in = self.relevant_part_of_neg(pos_in.unsqueeze(1), neg)
        users = wide(pool_rows(user, self.pool)).unsqueeze(1)

        def score(part: Tensor) -> Tensor:
            return (users * pool_rows(part, self.pool)).sum(-1)

        p_in, p_out = score(pos_in.unsqueeze(1)), score((pos - pos_in).unsqueeze(1))
        n_in, n_out = score(neg_in), score(neg - neg_in)
        terms = (p_out - p_in, n_in - n_out, n_in - p_in, p_out - n_out)
        loss = self.gamma * torch.stack([mean(softplus(term)) for term in terms]).mean()
        return Negatives(chosen.index, neg, loss=loss)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, gamma={self.gamma}, factor={self.factor}"
