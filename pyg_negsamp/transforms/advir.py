"""AdvIR: adversarial sampling, and adversarial perturbation on top."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus
from torch_geometric.typing import EdgeType

from pyg_negsamp.candidates import Source
from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.layers import Pool, pool_rows
from pyg_negsamp.numerics import mean, wide
from pyg_negsamp.scoring import Score
from pyg_negsamp.space import Range, Space
from pyg_negsamp.transforms.irgan import IRGAN
from pyg_negsamp.transforms.negatives import Negatives, Selection


class AdvIR(IRGAN):
    r"""Draws like :class:`IRGAN`, and asks the ranking to hold under the worst small shift.

    Park and Chang, WWW 2019 (doi:10.1145/3308558.3313416). Besides the ranking loss on the drawn
    negatives, the same loss with the pooled vectors of users, positives and negatives each moved
    by `epsilon` along their own gradient,

    .. math:: x \leftarrow x + \epsilon \, g_x / \| g_x \|, \quad
              g_x = \partial_x \left[ -\ln \sigma(u \cdot p - u \cdot n) \right]

    counts with weight `gamma`. The shifts are constants: no gradient flows through them.

    The first `warmup` epochs that :meth:`set_epoch` tells of go without: the original starts from
    pre-trained embeddings, and where fresh ones are no longer than `epsilon`, the shifted loss is
    least when all of them are zero, and stays there. Simpler than the original where IRGAN here
    is, and in that the shift is of the pooled vectors rather than of the parameters.

    Cost: that of IRGAN, and `O(B * K * D)`.

    When to use it: where :class:`IRGAN` is, and the ranking should hold under small changes of the
    embeddings. The shifted loss is BPR of dot products, whatever the model scores by.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        epsilon: Length of the shifts, at least 0. Default 0.05: to be chosen
            below the length of the embeddings, or the shifts are all there is to learn.
        gamma: Weight of the shifted loss, at least 0. Default 1.
        warmup: Epochs without the shifted loss. Default 10.
        dim: Width of the generator's embeddings. Default 64.
        temperature: Temperature of the generator's softmax, above 0. Default 1.
        num_candidates: Candidates per positive, `M`. Default 16.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.

    Raises:
        ValueError: If `candidates` is missing or an argument is out of range.
    """

    #: Ours.
    search_space: ClassVar[Space] = {**IRGAN.search_space, "epsilon": Range(0.005, 0.5, log=True)}

    def __init__(
        self,
        candidates: Source = None,
        *,
        epsilon: float = 0.05,
        gamma: float = 1.0,
        warmup: int = 10,
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
            dim=dim,
            temperature=temperature,
            num_candidates=num_candidates,
            num_negatives=num_negatives,
            pool=pool,
            layers=layers,
            score=score,
            edge_type=edge_type,
            check_positives=check_positives,
            as_links=as_links,
        )
        self.epsilon = number_in(self, "epsilon", epsilon, "[0, inf)")
        self.gamma = number_in(self, "gamma", gamma, "[0, inf)")
        self.warmup = whole_number(self, "warmup", warmup)
        self.shifting = True

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Ends the warm-up when it is time."""
        self.shifting = epoch >= self.warmup

    def make(self, chosen: Selection, user: Tensor, pos: Tensor, neg: Tensor) -> Negatives:
        """The drawn candidates, and the losses of the generator and of the shifted ranking."""
        negatives = super().make(chosen, user, pos, neg)
        if not self.shifting:
            return negatives
        pooled = (pool_rows(x, self.pool) for x in (user.unsqueeze(1), pos.unsqueeze(1), neg))
        shifted = mean(self.perturbed_loss(*pooled))
        assert negatives.loss is not None
        negatives.loss = negatives.loss + self.gamma * shifted
        return negatives

    def perturbed_loss(self, user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
        """BPR of shifted vectors, `[B, K]`, from `[B, 1, D]`, `[B, 1, D]` and `[B, K, D]`."""
        user, pos, neg = wide(user), wide(pos), wide(neg)
        with torch.no_grad():
            # The gradient's common factor, sigmoid(u.n - u.p), drops out by normalising.
            towards_neg = self.epsilon * normalize(user, dim=-1)
            of_user = self.epsilon * normalize(neg - pos, dim=-1)
        user = user + of_user
        return softplus((user * (neg + towards_neg)).sum(-1) - (user * (pos - towards_neg)).sum(-1))
