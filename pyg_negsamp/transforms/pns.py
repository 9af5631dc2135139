"""Popularity-biased negative sampling."""

from __future__ import annotations

from typing import ClassVar

from pyg_negsamp.candidates import PopularityCandidates
from pyg_negsamp.space import Range, Space
from pyg_negsamp.transforms.rns import RNS


class PNS(RNS):
    r"""Like :class:`RNS`, with candidates drawn in proportion to their popularity.

    .. math:: p(j \mid u) \propto \deg(j)^{3/4}, \quad (u, j) \text{ not observed}

    The "popularity" baseline of the papers (Chen et al., KDD 2017, doi:10.1145/3097983.3098202;
    the power is word2vec's, arXiv:1310.4546). All that differs from RNS is the first pass:
    `PNS(candidates=PopularityCandidates(train_data, power=0.75))`. No gradient, no embeddings, and
    as RNS it can be the `transform=` of a loader. Cost: that of the draw, `O(B * M * log E)`.

    When to use it: where being popular and not taken says something of a user. The model then ranks
    popular items lower than with :class:`RNS`, at the same cost.

    Args:
        candidates: First pass, :class:`~pyg_negsamp.candidates.PopularityCandidates`.
        shared: Whether all positives of a batch share their negatives. Default: no.
        num_candidates: Candidates per positive, `M`. Default: as many as negatives.
        num_negatives, pool, layers, score, edge_type, check_positives, as_links:
            See :class:`NegativeSampling`.
    """

    #: Ours; 0.75 is word2vec's.
    search_space: ClassVar[Space] = {"power": Range(0.0, 1.0)}

    proposal = PopularityCandidates
