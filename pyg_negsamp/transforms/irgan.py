"""IRGAN: a generator that learns which negatives are hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import invalid, number_in, whole_number
from pyg_negsamp.layers import Pool, gather_pooled, pool_layers, rows_at
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import mean
from pyg_negsamp.products import dot
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Negatives, Selection


class IRGAN(NegativeSampling):
    r"""Draws negatives from a generator with embeddings of its own, trained by policy gradient.

    Wang et al., SIGIR 2017 (arXiv:1705.10513). The recommender is the discriminator; among the
    `M` candidates, the generator draws with

    .. math:: p(k \mid u) = \text{softmax}_k ( u_g \cdot k_g / \text{temperature} )

    and is rewarded by how much the recommender errs, the pair's BPR loss
    :math:`r_k = \ln(1 + \exp(s(u, k) - s(u, p)))`. Its own loss, with the expected reward as
    baseline,

    .. math:: -\frac{1}{B K} \sum (r_k - E_p[r]) \, \ln p(k \mid u)

    trains the generator alone: rewards carry no gradient, and the recommender sees ordinary
    rows. Both learn in the same optimiser step.

    Simpler than the original in that the generator chooses among `M` uniform candidates rather
    than the catalogue, starts from scratch rather than pre-trained, alternates with every step,
    and draws `K` different places among these. It keeps a vector for every user and item: ids must
    be those of the graph that `candidates` was built from. Cost: `O(B * M * D)`, as much again as
    :class:`DNS`, and twice the embeddings to optimise.

    When to use it: to study samplers that learn. Its gradient is noisy, and :class:`DNS` finds hard
    items by the scores themselves, at less cost.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        dim: Width of the generator's embeddings. Default 64.
        temperature: Temperature of the generator's softmax, above 0. Default 1.
        num_candidates: Candidates per positive, `M`. Default 16.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `candidates` is missing or an argument is out of range.
    """

    default_num_candidates = 16
    keeps_users = True

    #: Ours.
    search_space: ClassVar[Space] = {
        "num_candidates": Choice((8, 16, 32, 64)),
        "temperature": Range(0.1, 10.0, log=True),
    }

    def __init__(
        self,
        candidates: Source = None,
        *,
        dim: int = 64,
        temperature: float = 1.0,
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
        if self.candidates is None:
            raise invalid(self, "candidates", "given: they say how many users there are", None)
        dim = whole_number(self, "dim", dim, least=1)
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        size = self.candidates.num_users + self.candidates.num_items
        check_memory(self, "dim", dim, 16 * size * dim)
        self.users = torch.nn.Embedding(self.candidates.num_users, dim)
        self.items = torch.nn.Embedding(self.candidates.num_items, dim)
        for table in (self.users, self.items):
            torch.nn.init.xavier_uniform_(table.weight)

    @property
    def needs_global_ids(self) -> bool:
        """The generator has embeddings of its own."""
        return True

    def log_policy(self, user: Tensor, candidates: Tensor) -> Tensor:
        """Logarithms of the generator's probabilities over the candidates, `[B, M]`."""
        scores = dot(self.users(user), self.items(candidates))
        return (scores / self.temperature).log_softmax(dim=1)

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """`K` candidates drawn by the generator, and what is needed to train it."""
        policy = self.log_policy(user, candidates).exp()
        drawn = torch.multinomial(policy, self.num_negatives, generator=generator)
        users = gather_pooled(user_xs, user, self.pool)
        items = pool_layers(item_xs, self.pool)
        pos_score = self.pair_scores(users, rows_at(items, pos).unsqueeze(1))
        reward = softplus(self.scores(users, items, candidates) - pos_score)
        advantage = reward.gather(1, drawn) - (policy * reward).sum(1, keepdim=True)
        return Selection(candidates.gather(1, drawn), (user, candidates, drawn, advantage))

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """The drawn candidates as they are, and the loss of the generator."""
        ids, candidates, drawn, advantage = chosen.state
        log_p = self.log_policy(ids, candidates).gather(1, drawn)
        return Negatives(chosen.index, neg, loss=-mean(advantage * log_p))
