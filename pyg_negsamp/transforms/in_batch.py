"""In-batch negatives: what the others in the batch took."""

from __future__ import annotations

from pyg_negsamp.transforms.shared import OfTheBatch


class InBatch(OfTheBatch):
    r"""Every positive of the batch is a negative of all other rows, unless their user knows it.

    Yi et al., RecSys 2019 (doi:10.1145/3298689.3346996): what industry trains two-tower models
    with. An item is there in proportion to its popularity,

    .. math:: Q(j) = \frac{\deg(j)}{\sum_i \deg(i)}

    counted over the training links, which :class:`~pyg_negsamp.losses.InBatchSoftmaxLoss` takes off
    the scores. Yi et al. estimate it while links stream by; here they are known. They are those of
    the graph's `edge_index`; what candidates know `also` is not counted.

    The mask is exact: of a row, the positive itself, its copies in the batch and all else that the
    user has seen have weight 0. Rows that all positives share are never copied: no item is gathered
    twice, and scores are one product. Works in sampled subgraphs, too. Memory: `[B, B]` scores and
    weights. Cost: `O(B^2 * D)`, and a search for each link of the batch's users.

    When to use it: with large batches, where items are costly to encode, and a loss that corrects;
    without one, popular items are pushed away too far.

    Args:
        candidates: What the users have seen, usually
            :class:`~pyg_negsamp.candidates.BatchCandidates`; or the training graph, or its links.
        num_candidates: To be left out: there is nothing to choose from.
        num_negatives: How many positives of the batch to take, at random and with replacement.
            Default: all of them, once.
        pool, layers, score, edge_type, check_positives, as_links: See :class:`NegativeSampling`.
    """
