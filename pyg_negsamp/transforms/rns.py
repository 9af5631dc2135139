"""Random negative sampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_negsamp.numerics import uniform
from pyg_negsamp.transforms.base import NegativeSampling
from pyg_negsamp.transforms.negatives import Selection


class RNS(NegativeSampling):
    r"""Takes candidates as they come: every unobserved item is as good a negative.

    Rendle et al., UAI 2009 (arXiv:1205.2618): the sampler of BPR, and the baseline of every paper
    in this library:

    .. math:: j \sim \text{Uniform}(\{ i : (u, i) \text{ not observed} \})

    With more candidates than negatives (`M > K`, say those of a loader), it takes `K` of them
    at random, without replacement. It reads no embeddings, so it can also be the `transform=`
    of a loader. Cost: that of the draw, `O(B * M * log E)`.

    When to use it: first, and as what every other sampler is held against. It costs least, and
    meets a false negative no more often than chance. Once the model has learnt a little, most of
    its negatives are easy: take several of them with a softmax, or a sampler that looks for hard
    ones.

    Args:
        candidates: First pass, usually :class:`~pyg_negsamp.candidates.UniformCandidates`.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.
    """

    reads_embeddings = False

    def select(
        self,
        user: Tensor,
        pos: Tensor,
        user_xs: Sequence[Tensor],
        item_xs: Sequence[Tensor],
        candidates: Tensor,
        generator: torch.Generator | None = None,
    ) -> Selection:
        """All candidates, or a random `K` of them."""
        return Selection(random_choice(candidates, self.num_negatives, generator))


def random_choice(candidates: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """`num` of the candidates in each row, at random and without replacement: `[B, num]`.

    As many as there are come back as they are, and nothing is drawn.
    """
    if candidates.size(1) == num:
        return candidates
    order = uniform(candidates.shape, torch.float32, candidates.device, generator)
    return candidates.gather(1, order.topk(num, dim=1).indices)
