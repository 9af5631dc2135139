"""PSL: a softmax whose exponential is replaced by what grows more slowly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from pyg_negsamp.errors import number_in, one_of
from pyg_negsamp.losses.base import RankingLoss, log_sum_exp
from pyg_negsamp.space import Choice, Range, Space

#: The logarithms of the activations; those that reach 0 stay above it.
LEAST = 1e-6
LOG_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda d: logsigmoid(2 * d) + math.log(2),  # 1 + tanh(d) = 2 sigmoid(2 d)
    "arctan": lambda d: (1 + d.atan()).clamp(min=LEAST).log(),
    "relu": lambda d: (1 + d).clamp(min=LEAST).log(),
    "exp": lambda d: d,
}


class PairwiseSoftmaxLoss(RankingLoss):
    r"""Every pair counts by a bounded activation, so that a false negative cannot take over.

    PSL (Yang et al., NeurIPS 2024, arXiv:2411.00163), of cosines:

    .. math:: L = \frac{1}{B} \sum_b \ln \sum_k \sigma(d_{bk})^{1 / \tau}, \quad
              d_{bk} = (s_{bk} - s_b) / 2 \in [-1, 1]

    with :math:`\sigma(d)` one of `tanh(d) + 1`, `arctan(d) + 1`, `relu(d + 1)`, `exp(d)`. The
    scores are halved here: give it plain cosines.

    With `exp`, this is a softmax over the negatives alone with temperature :math:`2 \tau`, and
    nothing new.

    Cost: `O(B * K)`.

    When to use it: where a softmax learns too much from false negatives or wrong positives: here no
    pair counts beyond bounds.

    Args:
        temperature: :math:`\tau`, above 0. Default 0.05; the paper tries 0.005 to 0.25.
        activation: `'tanh'`, `'arctan'`, `'relu'` or `'exp'`. Default `'tanh'`.

    Raises:
        ValueError: If an argument is out of range.
    """

    by_row = True
    #: The paper's range.
    search_space: ClassVar[Space] = {
        "temperature": Range(0.005, 0.25, log=True),
        "activation": Choice(("tanh", "arctan", "relu")),
    }
    similarity = "cosine"

    def __init__(self, temperature: float = 0.05, activation: str = "tanh") -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.activation = one_of(self, "activation", activation, LOG_ACTIVATIONS)

    def per_positive(self, pos: Tensor, neg: Tensor, weight: Tensor | None) -> Tensor:
        """The logarithm of the sum over the negatives."""
        log_activation = LOG_ACTIVATIONS[self.activation]((neg - pos.unsqueeze(1)) / 2)
        return log_sum_exp(log_activation / self.temperature, weight)
