"""ANS: candidates augmented towards the positive, where they are easy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in, one_of, whole_number, yes_or_no
from pyg_negsamp.layers import Pool, facing_layers, pool_rows
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import mean, uniform, wide
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Negatives, Selection


class ANS(NegativeSampling):
    r"""Splits candidates into hard and easy factors, augments the easy ones, and takes the best.

    Zhao et al., RecSys 2023 (arXiv:2308.05972), eq. 3-14. For a user `u`, positive `p` and each
    candidate `n`, at each layer:

    .. math::
        g &= \sigma(W_{item} n \odot W_{user} u), \quad n^h = n \odot g, \; n^e = n - n^h, \;
             p' = p \odot g, \; p'' = p - p' \\
        n^{aug} &= n^e + \Delta \odot \text{sgn}(p'' - n^e) + n^h, \quad
             \|\Delta\| \le \sigma( 1 / W (n^h \odot p') ) \\
        \text{negative} &= \arg\max_{n^{aug}} \; s(u, n^{aug}) +
             \epsilon \, [ s(u, n^{aug}) - s(u, n) ]

    The gates learn by :math:`\gamma (L_c + L_d)`, averaged over the batch. What the paper prints
    has no lower bound, and what its code computes differs; both are here, by `variant`:

    - `'printed'` (eq. 5, 7, 10): :math:`L_c` is the sum of :math:`s(u, n^e) - s(u, n^h)`,
      :math:`L_d` that of :math:`\|p' - n^h\|^2 + s(p'', n^e)`; the noise is uniform in [0, 0.1],
      and shortened to the margin if longer.
    - `'released'` (the default): :math:`L_c` is :math:`\ln(1 + \sum_n \exp(\cdot))` of the same,
      :math:`L_d` the mean of :math:`\|p' - n^h\| + \|p'' \odot n^e\|`; the noise has the length of
      the margin, times 0.1.

    The ablations of table 5 switch off `disentangle` (the whole item is augmented, no auxiliary
    loss), `gain` (epsilon = 0), `direction` (all ones), `magnitude` (the noise as drawn, and
    uniform in [0, 1]: the interval is the first half of regulating it). `hard_only` is HNS of
    section 5.3: random candidates' hard factors are the negatives.

    The paper has one layer; with several, factors and noise are made at each, scores and losses
    are those of the pooled parts, and one candidate is taken for all. For `K > 1`, the `K` best.
    Gradients flow through users, positives and all `M` candidates, so all are gathered. Cost:
    `O(B * M * H * D^2)`, and memory for some ten tensors `[B, M, H, D]`: the most expensive
    sampler here.

    When to use it: where hard negatives are rare, so that they have to be made, and memory is not:
    keep `M` small. Scores of parts are dot products, whatever the model scores by.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        dim: Width of the embeddings, `D`. Default 64.
        gamma: Weight of the auxiliary losses, at least 0. Default 0.01; the paper searches
            [0, 1]. The gradient of the distances does not shrink with the embeddings, so that much
            more (of `'printed'`, much more than 0.01 / `M`) can pull fresh ones to zero.
        epsilon: Weight of the gain, at least 0. Default 0.5; the paper searches [0, 1].
        variant: `'released'` (bounded below, hence trainable) or `'printed'`.
        disentangle: Whether to split items into factors.
        gain: Whether to rank by the gain as well.
        direction: Whether to augment towards the positive.
        magnitude: Whether to regulate the noise.
        hard_only: Whether to be HNS instead.
        num_candidates: Candidates per positive, `M`. Default 16; the paper searches 2 to 32.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    by_row = True
    default_num_candidates = 16

    #: The paper's ranges, but for gamma: see the argument.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((2, 4, 8, 16, 32)),
        "gamma": Range(1e-5, 1e-1, log=True),
        "epsilon": Range(0.0, 1.0),
    }
    finds_items = False

    def __init__(
        self,
        candidates: Source = None,
        *,
        dim: int = 64,
        gamma: float = 0.01,
        epsilon: float = 0.5,
        variant: str = "released",
        disentangle: bool = True,
        gain: bool = True,
        direction: bool = True,
        magnitude: bool = True,
        hard_only: bool = False,
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
        self.epsilon = number_in(self, "epsilon", epsilon, "[0, inf)")
        self.variant = one_of(self, "variant", variant, ("released", "printed"))
        self.disentangle = yes_or_no(self, "disentangle", disentangle)
        self.gain = yes_or_no(self, "gain", gain)
        self.direction = yes_or_no(self, "direction", direction)
        self.magnitude = yes_or_no(self, "magnitude", magnitude)
        self.hard_only = yes_or_no(self, "hard_only", hard_only)
        check_memory(self, "dim", dim, 64 * dim * dim)
        self.item_map = torch.nn.Linear(dim, dim, bias=False)
        self.user_map = torch.nn.Linear(dim, dim, bias=False)
        self.margin_map = torch.nn.Linear(dim, 1, bias=False)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """All candidates, because the loss needs them all, and the noise `[B, M, H, D]`."""
        if self.hard_only:
            return Selection(candidates[:, : self.num_negatives])
        x = item_xs[0]
        size = (*candidates.shape, len(item_xs), x.size(1))
        noise = uniform(size, x.dtype, x.device, generator)
        return Selection(candidates, noise.mul_(0.1) if self.magnitude else noise)

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """Factors, augmentation, and the `K` best of the augmented candidates."""
        whole_user, pos = wide(pool_rows(user, self.pool)).unsqueeze(1), pos.unsqueeze(1)
        split = self.disentangle or self.hard_only
        gate = self.gate(user, neg) if split else None
        loss = None

        def score(part: Tensor) -> Tensor:
            return torch.linalg.vecdot(whole_user, part)

        hard, pos_hard = self._hard(gate, neg, pos)
        pooled = wide(pool_rows(neg, self.pool))
        if split:
            # Pools and scores are linear: of the easy part, that of the whole less the hard part's.
            whole_pos, of_hard, of_pos_hard = (
                wide(pool_rows(part, self.pool)) for part in (pos, hard, pos_hard)
            )
            contrast = score(pooled) - 2 * score(of_hard)
            loss = self._auxiliary_loss(
                contrast, of_hard, pooled - of_hard, of_pos_hard, whole_pos - of_pos_hard
            )
            if self.hard_only:
                return Negatives(chosen.index, hard, loss=loss)

        with torch.no_grad():  # which is best has no gradient: only what is taken has
            moves = self._moves(chosen.state, neg, pos, hard, pos_hard)
            gained = score(wide(pool_rows(moves, self.pool)))
            value = score(pooled) + (1 + self.epsilon * self.gain) * gained
            best = value.topk(self.num_negatives, dim=1).indices
        rows = torch.arange(len(best), device=best.device).unsqueeze(1)
        neg, noise = neg[rows, best], chosen.state[rows, best]
        hard, pos_hard = self._hard(None if gate is None else gate[rows, best], neg, pos)
        made = neg + self._moves(noise, neg, pos, hard, pos_hard).to(neg.dtype)
        return Negatives(chosen.index.gather(1, best), made, loss=loss)

    def gate(self, user: Tensor, neg: Tensor) -> Tensor:
        """How hard each dimension of the candidates is (eq. 3).

        Args:
            user: `[B, H, D]` rows of the users.
            neg: `[B, M, H, D]` rows of the candidates.

        Returns:
            `[B, M, H, D]` shares in (0, 1).
        """
        facing = torch.stack(facing_layers(user.unbind(1), self.pool), dim=1).unsqueeze(1)
        return torch.sigmoid(self.item_map(neg) * self.user_map(facing))

    def _hard(self, gate: Tensor | None, neg: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        """Hard factors of candidates and positives (eq. 4, 6); the wholes if there is no gate."""
        return (neg, pos) if gate is None else (neg * gate, pos * gate)

    def _moves(
        self, noise: Tensor, neg: Tensor, pos: Tensor, hard: Tensor, pos_hard: Tensor
    ) -> Tensor:
        """What augments the candidates: noise of the right length and direction (eq. 8-11)."""
        if self.magnitude:
            noise = self._regulate(noise, self._margin(hard, pos_hard))
        if self.direction:  # of the easy parts as of the wholes: both have the same gate, below 1
            noise = noise * (pos - neg).sign()
        return noise

    def _auxiliary_loss(
        self, contrast: Tensor, hard: Tensor, easy: Tensor, pos_hard: Tensor, pos_easy: Tensor
    ) -> Tensor:
        """The two losses of the gates (eq. 5 and 7), of parts that are pooled over the layers.

        Args:
            contrast: `[B, M]` scores of the easy parts less those of the hard ones.
            hard: `[B, M, D]` hard parts of the candidates.
            easy: `[B, M, D]` easy parts of the candidates.
            pos_hard: `[B, M, D]` hard parts of the positives, by the candidates' gates.
            pos_easy: `[B, M, D]` easy parts of the positives, by the same gates.
        """
        if self.variant == "printed":
            distance = (pos_hard - hard).square().sum(-1) + (pos_easy * easy).sum(-1)
            return self.gamma * mean((contrast + distance).sum(1))
        # The gradient of this norm at 0 is 0.
        norm = torch.linalg.vector_norm
        distance = norm(pos_hard - hard, dim=-1) + norm(pos_easy * easy, dim=-1)
        return self.gamma * mean(pad(contrast, (1, 0)).logsumexp(1) + distance.mean(1))

    def _margin(self, hard: Tensor, pos_hard: Tensor) -> Tensor:
        """The bound on the noise (eq. 10), `[B, M, H, 1]`; 1 where its denominator is 0."""
        x = wide(self.margin_map(hard * pos_hard))
        # Below 0.01 in size the sigmoid is 0 or 1 to the last bit, and its gradient 0 times
        # infinity.
        smallest = torch.full_like(x, 0.01).copysign(x)
        return torch.sigmoid(1 / torch.where(x.abs() < 0.01, smallest, x))

    def _regulate(self, noise: Tensor, margin: Tensor) -> Tensor:
        """The noise in the bound, `[B, M, H, D]`."""
        length = wide(noise).norm(dim=-1, keepdim=True).clamp(min=1e-12)
        if self.variant == "printed":
            return noise * (margin / length).clamp(max=1)
        return noise * (0.1 * margin / length)
