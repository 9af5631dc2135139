"""MIDX: draws close to the softmax of the scores, through two codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Cells, PoolCandidates, Source
from pyg_negsamp.errors import invalid, number_in, whole_number, yes_or_no
from pyg_negsamp.layers import Embeddings, Pool, gather_pooled, pool_layers
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import wide
from pyg_negsamp.scoring import Score, ranking_tables
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.k_means import k_means
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.rns import random_choice


class MIDX(NegativeSampling):
    r"""Draws unseen items with nearly the probabilities of a softmax, and says which exactly.

    Chen et al., 2021 (arXiv:2109.05773; also arXiv:2501.08563), the product quantiser with uniform
    draws in a cell. The two halves of the item vectors are clustered by k-means, into
    codebooks `a` and `b`. A pair of codes is a cell, and with the query's halves
    :math:`u_1, u_2` and :math:`n_u(a, b)` unseen items in a cell,

    .. math::
        P(a, b) = P(a) P(b \mid a) \propto n_u(a, b) \,
            \exp ( (u_1 \cdot a + u_2 \cdot b) / \tau ), \qquad P(i \mid a, b) = 1 / n_u(a, b)

    which is the softmax of scores with every item in the middle of its cluster. With `exact`, an
    item in a cell is drawn by its own score, and a cell weighs as much as its items do: that is the
    softmax itself, at the cost of all scores.

    The paper counts all items of a cell, and draws known ones too; here the counts are the user's
    own. Codebooks are made anew by each :meth:`refresh`, out of the whole table; before the first
    one all items are in one cell, and draws are uniform.

    `Negatives.log_q` and `pos_log_q` are :math:`\ln Q` of the negatives and of the positive, with
    `Q` over the unseen items and the positive: a draw has the probability
    :math:`Q(i) / (1 - Q(\text{pos}))`. Candidates that come with a call or a batch are taken as if
    drawn so; `K` of them at random. With a decoder, `Q` goes by dot products all the same, unless
    it is exact.

    State: codes and codebooks, in `state_dict`; and `[U, C^2]` counts (4 bytes each). Gradients
    flow through the chosen rows only. Cost: `O(B * (C * D + C^2 + M log E))` per batch,
    `O(I * C * D)` per epoch; exact, `O(B * I * D)`, and a device is waited for.

    When to use it: with a sampled softmax that corrects by log Q, many negatives, and a catalogue
    too large to score in every step.

    Args:
        candidates: The training graph, or candidates that know it. How these draw does not matter.
        num_clusters: Size of each codebook, `C`. Default 16.
        temperature: That of the softmax, :math:`\tau`, above 0: the loss's own. Default 1.
        exact: Whether to draw from the softmax itself, to compare. Default: no.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `candidates` is missing or has pools, or if an argument is out of range.
    """

    by_row = True
    #: Ours.
    search_space: ClassVar[Space] = {
        "num_clusters": Choice((8, 16, 32)),
        "temperature": Range(0.05, 1.0, log=True),
    }
    keeps_users = True
    one_width = True
    gives = ("neg_item", "log_q", "pos_log_q")
    codebook_a: Tensor | None
    codebook_b: Tensor | None

    def __init__(
        self,
        candidates: Source = None,
        *,
        num_clusters: int = 16,
        temperature: float = 1.0,
        exact: bool = False,
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
        if self.candidates is None or isinstance(self.candidates, PoolCandidates):
            expected = "given, and without pools: this sampler draws by itself, of all unseen items"
            got = None if self.candidates is None else "PoolCandidates"
            raise invalid(self, "candidates", expected, got)
        self.num_clusters = whole_number(self, "num_clusters", num_clusters, least=1)
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.exact = yes_or_no(self, "exact", exact)
        self.replayable = not exact  # which makes a device wait
        counts = 4 * self.candidates.num_users * self.num_clusters**2
        check_memory(self, "num_clusters", num_clusters, counts)
        nowhere = self.candidates.known.key.new_zeros(self.candidates.num_items)
        self._keep(nowhere, None, None)

    @property
    def needs_global_ids(self) -> bool:
        """It knows the cell of an item, and what a user has seen."""
        return True

    # The index ------------------------------------------------------------------------------

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Makes codebooks and cells anew."""
        if self.exact:
            return
        items = self._vectors(self._whole_tables(x_dict)[1])
        (a, code_a), (b, code_b) = (
            k_means(half, self.num_clusters) for half in items.tensor_split(2, dim=1)
        )
        self._keep(code_a * len(b) + code_b, a, b)

    def _vectors(self, rows: Tensor) -> Tensor:
        """Rows whose dot products are the scores, unless a decoder says otherwise."""
        return wide(rows) if callable(self.score) else ranking_tables(rows, self.score)

    def _keep(self, cell: Tensor, codebook_a: Tensor | None, codebook_b: Tensor | None) -> None:
        """Sorts the items by their cells `[I]`; without codebooks, there is one cell."""
        assert self.candidates is not None
        num = 1 if codebook_a is None or codebook_b is None else len(codebook_a) * len(codebook_b)
        self.index = Cells(self.candidates, cell, num)
        self.register_buffer("codebook_a", codebook_a, persistent=False)
        self.register_buffer("codebook_b", codebook_b, persistent=False)

    def get_extra_state(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Cells and codebooks, for `state_dict`."""
        return self.index.cell, self.codebook_a, self.codebook_b

    def set_extra_state(self, state: tuple[Tensor, Tensor | None, Tensor | None]) -> None:
        """Takes over the cells and codebooks of a `state_dict`."""
        cell, *codebooks = state
        device, size = self.index.cell.device, self.index.cell.shape
        if cell.shape != size:
            expected = f"of the {len(self.index.cell)} items of this sampler's graph"
            raise invalid(self, "state_dict", expected, f"{len(cell)} items")
        if any(x is not None and len(x) > self.num_clusters for x in codebooks):
            clusters = max(len(x) for x in codebooks if x is not None)
            expected = f"of num_clusters={self.num_clusters} or fewer"
            raise invalid(self, "state_dict", expected, f"{clusters} clusters")
        self._keep(cell.to(device), *(None if x is None else x.to(device) for x in codebooks))

    # The draw -------------------------------------------------------------------------------

    def cells(
        self, user: Tensor, user_xs: Sequence[Tensor], item_xs: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """What an item of each cell scores, and what the cells weigh for each user.

        Args:
            user: `[B]` user ids.
            user_xs: `H` tensors `[U, D]`.
            item_xs: `H` tensors `[I, D]`.

        Returns:
            `[B, C^2]` scores over the temperature, and logarithms of weights, float64 `[B, C^2]`;
            `[B, I]` if exact, where each item is its own cell.
        """
        assert self.candidates is not None
        users = gather_pooled(user_xs, user, self.pool)
        if self.exact:
            score = self.shared_scores(users, pool_layers(item_xs, self.pool)).double()
            score = score / self.temperature
            weight = score.clone()
            self.candidates.mask_(weight, user)
            return score, weight
        log_count = self.index.unseen[user].double().log()
        if self.codebook_a is None or self.codebook_b is None:
            return torch.zeros_like(log_count), log_count
        u1, u2 = self._vectors(users).tensor_split(2, dim=1)
        of_a, of_b = u1 @ self.codebook_a.to(u1).t(), u2 @ self.codebook_b.to(u2).t()
        score = (of_a.unsqueeze(2) + of_b.unsqueeze(1)).flatten(1).double() / self.temperature
        return score, score + log_count

    @torch.no_grad()
    def choose(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor | None = None,
        generator: torch.Generator | None = None,
        named: tuple[Tensor, Tensor] | None = None,
    ) -> Selection:
        """Draws by itself; or selects from what is given."""
        if candidates is not None or self.candidates is None:
            return super().choose(user, pos, user_xs, item_xs, candidates, generator)
        score, weight = self.cells(user, user_xs, item_xs)
        chance = weight.softmax(dim=1)
        drawn = torch.multinomial(chance, self.num_candidates, True, generator=generator)
        if not self.exact:
            drawn = self.index(user, drawn, generator)
        return self._selection(drawn, user, pos, score, weight, generator)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """`K` of the candidates at random, with the probabilities of being drawn here."""
        score, weight = self.cells(user, user_xs, item_xs)
        return self._selection(candidates, user, pos, score, weight, generator)

    def _selection(
        self,
        candidates: Tensor,
        user: Tensor,
        pos: Tensor,
        score: Tensor,
        weight: Tensor,
        generator: torch.Generator | None,
    ) -> Selection:
        """`K` of the candidates, with `ln Q` of these and of the positives, `[B, K + 1]`."""
        index = random_choice(candidates, self.num_negatives, generator)
        item = torch.cat([index, pos.long().unsqueeze(1)], dim=1)
        of_item = score.gather(1, item if self.exact else self.index.cell[item])
        own = of_item[:, -1]
        if not self.check_positives:  # one that may be drawn is in the sum already
            assert self.candidates is not None
            own = own.masked_fill(self.candidates.may_be_drawn(user, pos), -torch.inf)
        total = torch.logaddexp(weight.logsumexp(dim=1), own)
        return Selection(index, of_item - total.unsqueeze(1))

    def known(self, chosen: Selection) -> dict[str, Tensor | None]:
        """Log Q of the negatives and of the positives."""
        log_q: Tensor = chosen.state
        return {"log_q": log_q[:, :-1], "pos_log_q": log_q[:, -1]}

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{super().extra_repr()}, num_clusters={self.num_clusters}, exact={self.exact}"
