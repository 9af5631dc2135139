"""The softmax of industry: negatives of the batch, corrected for how likely each was drawn."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pyg_negsamp.errors import invalid, one_of
from pyg_negsamp.losses.base import count, log_sum_exp
from pyg_negsamp.losses.softmax import SampledSoftmaxLoss
from pyg_negsamp.space import Range, Space


class InBatchSoftmaxLoss(SampledSoftmaxLoss):
    r"""A sampled softmax that takes the logarithm of the proposal off the scores.

    With `'classic'` (Yi et al., RecSys 2019, doi:10.1145/3298689.3346996, eq. 4), off that of the
    positive, too:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{\exp(s_b / \tau - \ln Q_b)}
              {\exp(s_b / \tau - \ln Q_b) + \sum_k \exp(s_{bk} / \tau - \ln Q_{bk})}

    With `'corrected'` (Khrylchenko et al., RecSys 2025, arXiv:2507.09331), which sees that the
    positive is there with certainty and not drawn:

    .. math:: L = \frac{1}{B} \sum_b \text{sg}(1 - P_b) \, (-s_b / \tau + \ln N_b), \quad
              N_b = \sum_k \exp(s_{bk} / \tau - \ln Q'_{bk}), \quad
              P_b = \frac{e^{s_b / \tau}}{e^{s_b / \tau} + N_b / K}, \quad
              Q'_{bk} = \frac{Q_{bk}}{1 - Q_b}

    Its gradient, not its value, is that of the softmax over the whole catalogue: exactly so if
    every other item is among the negatives once and all are equally likely.

    The name is that of its usual negatives; it works with any sampler that knows its proposal, and
    tells it in `Negatives.log_q` and `pos_log_q`. Other copies of the positive are not to be among
    the negatives, or have weight 0. Without a proposal all items are equally likely: `'classic'` is
    :class:`SampledSoftmaxLoss` then, and nothing new; `'corrected'` needs one. A proposal that
    leaves the positive out knows `Q'` itself: it comes as `log_q`, without `pos_log_q`, and only
    `'corrected'` takes that.

    Cost: `O(B * K)`.

    When to use it: where negatives are drawn with unequal probabilities that are known. Without the
    correction, what is proposed often is pushed down for that alone.

    Args:
        temperature: :math:`\tau`, above 0. Default 0.1.
        similarity: `'cosine'` or `'dot'`: what the scores should be.
        correction: `'classic'` or `'corrected'`. Default `'classic'`.

    Raises:
        ValueError: If an argument is out of range; in a step, if `'corrected'` has no proposal, or
            `'classic'` has that of the negatives or of the positives alone.
    """

    #: Ours.
    search_space: ClassVar[Space] = {"temperature": Range(0.03, 0.5, log=True)}
    needs = ("log_q", "pos_log_q")

    @property
    def requires(self) -> tuple[str, ...]:
        """The proposal, for `'corrected'`."""
        return ("log_q",) if self.correction == "corrected" else ()

    def __init__(
        self,
        temperature: float = 0.1,
        similarity: str = "cosine",
        correction: str = "classic",
    ) -> None:
        super().__init__(temperature, similarity)
        self.correction = one_of(self, "correction", correction, ("classic", "corrected"))

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        log_q: Tensor | None = None,
        pos_log_q: Tensor | None = None,
    ) -> Tensor:
        """The softmax of corrected scores."""
        if self.correction == "classic":
            if log_q is None and pos_log_q is None:
                return super().per_positive(pos, neg, weight)
            if log_q is None or pos_log_q is None:
                expected = "both there or both left out, for 'classic'"
                raise invalid(self, "log_q, pos_log_q", expected, "one of them")
            # In units of the temperature, by which the softmax divides.
            pos, neg = pos - self.temperature * pos_log_q, neg - self.temperature * log_q
            return super().per_positive(pos, neg, weight)
        if log_q is None:
            expected = "the log-probabilities of a sampler that knows its proposal, for 'corrected'"
            raise invalid(self, "log_q", expected, None)
        pos, neg = pos / self.temperature, neg / self.temperature
        log_sum, number = log_sum_exp(neg - log_q, weight), count(neg, weight)
        meant = number > 0
        if pos_log_q is not None:
            of_others = torch.log(-torch.expm1(pos_log_q.to(pos)))  # ln(1 - Q) of the positive
            log_sum, meant = log_sum + of_others, meant & (of_others > -torch.inf)
        # Without negatives, 0; and where the positive is all but certain to be drawn itself.
        log_sum = log_sum.where(meant, pos)
        missing = torch.sigmoid(log_sum - number.log() - pos).detach()  # 1 - P
        return missing * (log_sum - pos)

    def of_new_users(self) -> SampledSoftmaxLoss:
        """The softmax itself: negatives of new users are drawn uniformly."""
        return SampledSoftmaxLoss(self.temperature, self.similarity)
