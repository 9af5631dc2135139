"""Contrastive DNS: negatives retrieved from the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import PoolCandidates, Source
from pyg_negsamp.errors import invalid, one_of, whole_number
from pyg_negsamp.layers import Embeddings, Pool
from pyg_negsamp.numerics import wide
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection
from pyg_negsamp.transforms.per_user import stream_of
from pyg_negsamp.transforms.rns import random_choice

MODES = ("dissimilar", "similar", "random")
#: Similarities held at a time while retrieving.
BLOCK_BYTES = 2**26


class ContrastiveDNS(NegativeSampling):
    r"""Hands out one random negative and others retrieved as most dissimilar to the user.

    "Dynamic Negative Sampling for Contrastive Recommendation" (2022), section 3.3, eq. 4. Every
    `n` epochs, for every user, over the whole catalogue without the observed items:

    .. math:: i'^- \in f_{\text{top-}k}( -\cos(e_u, E) )

    and each positive gets one of those `k`, or several, at random, besides the random one. To be
    used with :class:`~pyg_negsamp.losses.ContrastiveLoss`, eq. 5. Negative 0 is the random one,
    the other `K - 1` are retrieved; `K = 1` is :class:`RNS`. The first retrieval is in epoch `n`
    (counted from 0), by :meth:`refresh`, which training calls; until then all are random, as
    the paper activates retrieval "after a number of epochs" (section 2.1). For users without
    training links nothing is retrieved, and all stay random (unless users and items are of one kind
    of nodes, each of which knows itself).

    Both are drawn anew whenever a positive comes up. In the paper the random one is drawn once for
    the whole training, and the retrieved one once per retrieval.

    Similarity is that of the pooled embeddings. A user with fewer than `k` unobserved items has
    the hardest of them repeated. Candidates that come with a call or a batch take the place of
    all this: `K` of them are chosen at random.

    State: the retrieved items, `[U, k]`, in `state_dict`. Gradients flow through the chosen rows
    only. Cost: `O(B * K)` per batch, and `O(U * I * D)` per retrieval, in blocks.

    When to use it: with :class:`~pyg_negsamp.losses.ContrastiveLoss`, and where false negatives are
    to be avoided: what is most dissimilar is hardly ever liked.

    Args:
        candidates: First pass, for the random negative and to know what was observed, usually
            :class:`~pyg_negsamp.candidates.UniformCandidates`. What is retrieved keeps to the
            users' pools of :class:`~pyg_negsamp.candidates.PoolCandidates` as well.
        k: Items to retrieve per user. Default 100; the paper finds 50 to 150 to work best.
        n: Epochs before the first retrieval, and between retrievals. Default 10; the paper uses
            5, 10 and 20.
        mode: `'dissimilar'` (the paper's), `'similar'`, or `'random'`, to compare.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives.
        num_negatives: Negatives per positive, `K`. Default 2.
        pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If an argument is out of range, besides what the base class raises.
    """

    by_row = True
    default_num_negatives = 2

    #: The paper's grid.
    search_space: ClassVar[Space] = {
        "k": Choice((10, 50, 100, 150, 200, 250, 300)),
        "n": Choice((1, 5, 10, 20, 30, 40, 50)),
    }
    reads_embeddings = False
    keeps_users = True
    memories = ("retrieved",)
    retrieved: Tensor
    epoch = 0

    def __init__(
        self,
        candidates: Source = None,
        *,
        k: int = 100,
        n: int = 10,
        mode: str = "dissimilar",
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
        self.k = whole_number(self, "k", k, least=1)
        self.n = whole_number(self, "n", n, least=1)
        self.mode = one_of(self, "mode", mode, MODES)
        self.one_width = mode != "random"
        if isinstance(self.candidates, PoolCandidates) and self.candidates.by == "item":
            expected = "with pools of users, for whom this sampler retrieves"
            raise invalid(self, "candidates", expected, "pools by='item'")
        if self.candidates is not None:
            known = self.candidates.known
            size = (known.num_users, min(k, known.num_items))
            nothing_yet = torch.full(size, -1, device=known.key.device)
            self.register_buffer("retrieved", nothing_yet)

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Tells when the next retrieval is due."""
        self.epoch = epoch

    @torch.no_grad()
    def refresh(self, x_dict: Embeddings) -> None:
        """Retrieves anew, if it is time."""
        if self.candidates is None or self.epoch < self.n:
            return
        if self.epoch % self.n and self.retrieved.max() >= 0:
            return
        # Users with training links: others need not have a pool.
        active = self.candidates.known.first.diff().nonzero().flatten()
        if self.mode == "random":
            generator = stream_of(self.epoch, active.device)
            self.retrieved[active] = self.candidates(active, self.retrieved.size(1), generator)
            return
        users, items = (normalize(wide(x)) for x in self._whole_tables(x_dict))
        sign = 1 if self.mode == "similar" else -1
        rows = max(1, BLOCK_BYTES // (items.size(0) * items.element_size()))
        for ids in active.split(rows):
            similarity = sign * users[ids] @ items.t()
            self.candidates.mask_(similarity, ids)
            best = similarity.topk(self.retrieved.size(1), dim=1)
            none_left = best.values == -torch.inf
            self.retrieved[ids] = torch.where(none_left, best.indices[:, :1], best.indices)

    def draw(
        self,
        user: Tensor,
        pos: Tensor,
        generator: torch.Generator | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """First pass: random items, and out of what was retrieved for the user."""
        drawn = super().draw(user, pos, generator, time)
        size = (len(user), self.num_negatives - 1)
        slot = user.new_empty(size, dtype=torch.long)
        slot.random_(self.retrieved.size(1), generator=generator)
        found = self.retrieved[user.unsqueeze(1), slot]
        rest = drawn[:, 1 : self.num_negatives]
        return torch.cat([drawn[:, :1], torch.where(found >= 0, found, rest)], dim=1)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """What was drawn; of given candidates, `K` at random."""
        return Selection(random_choice(candidates, self.num_negatives, generator))
