"""BC loss: positives that popularity does not explain have to come closer."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import number_in, whole_number
from pyg_negsamp.graph import known_links
from pyg_negsamp.losses.base import RankingLoss, check_neg_item, softmax_loss
from pyg_negsamp.losses.softmax import SampledSoftmaxLoss
from pyg_negsamp.memory import check_memory
from pyg_negsamp.numerics import wide
from pyg_negsamp.products import cosine
from pyg_negsamp.space import Choice, Space

#: How near to 1 and -1 a cosine may be, where the slope of its angle is infinite.
NEAR = 1e-6


class BCLoss(RankingLoss):
    r"""A sampled softmax in which the angle to the positive is widened, the less popular the more.

    BC loss (Zhang et al., NeurIPS 2022, arXiv:2210.11054, eq. 3 to 5), of cosines:

    .. math:: L = -\frac{1}{B} \sum_b \ln \frac{\exp(\cos(\theta_b + M_b) / \tau)}
              {\exp(\cos(\theta_b + M_b) / \tau) + \sum_k \exp(s_{bk} / \tau)}, \quad
              \theta_b = \arccos s_b, \quad M_b = \min(1 - \sigma(p_u \cdot p_i), \pi - \theta_b)

    A second model tells how well popularity explains a link: `p` are vectors of the numbers of
    links that a user and an item have, one for each number that occurs. They learn in the first
    `warmup` epochs, by a sampled softmax of their own cosines on the same positives and negatives.
    The model meanwhile learns by one without margin (in the paper it waits). Then they are frozen,
    and the margins apply: no gradient flows through `M`, which is as in the released code, but for
    the cap at :math:`\pi`. With a margin of 0, this is
    :class:`SampledSoftmaxLoss`, and nothing new; so it places new users.

    Negatives chosen per layer count with the mean vector of their layers; those without an item
    behind them are refused.

    Cost: `O(B * K * D)` while the vectors of popularity learn, `O(B * (K + D))` afterwards.

    When to use it: where popular items fill the lists, and the others are to be ranked by taste.

    Args:
        data: Training graph, whose links are counted.
        temperature: :math:`\tau`, above 0. Default 0.1; the paper's best are about 0.07 and 0.1.
        bias_temperature: That of the vectors of popularity, above 0. Default 0.1.
        warmup: Epochs before the margins apply. Default 5, the authors'.
        dim: Width of the vectors of popularity. Default 64.
        edge_type: The interactions in `data`. Default: the only ones there are.

    Raises:
        ValueError: If an argument is out of range; in a step, if negatives have no ids.
    """

    by_row = True
    #: Ours, around the paper's best.
    search_space: ClassVar[Space] = {"temperature": Choice((0.05, 0.07, 0.1, 0.15, 0.2))}
    similarity = "cosine"
    needs = ("user", "item", "neg_item")
    requires = ("neg_item",)
    user_group: Tensor
    item_group: Tensor
    #: Which epoch it is.
    epoch = 0

    def __init__(
        self,
        data: HeteroData | Data,
        temperature: float = 0.1,
        bias_temperature: float = 0.1,
        warmup: int = 5,
        dim: int = 64,
        edge_type: EdgeType | None = None,
    ) -> None:
        super().__init__()
        self.temperature = number_in(self, "temperature", temperature, "(0, inf)")
        self.bias_temperature = number_in(self, "bias_temperature", bias_temperature, "(0, inf)")
        self.warmup = whole_number(self, "warmup", warmup)
        self.dim = whole_number(self, "dim", dim, least=1)
        self.edge_type = edge_type
        links = known_links(data, edge_type)
        sizes = (links.num_users, links.num_items)
        degrees = [torch.bincount(x, minlength=n) for x, n in zip(links.index, sizes, strict=True)]
        # Vectors are numbered from the least number of links that occurs.
        (few, users), (many, items) = (x.unique(return_inverse=True) for x in degrees)
        check_memory(self, "dim", dim, 16 * (len(few) + len(many)) * self.dim)
        self.register_buffer("user_group", users, persistent=False)
        self.register_buffer("item_group", items, persistent=False)
        self.of_users = torch.nn.Embedding(len(few), self.dim)
        self.of_items = torch.nn.Embedding(len(many), self.dim)
        for table in (self.of_users, self.of_items):
            torch.nn.init.xavier_uniform_(table.weight)

    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> None:
        """Tells whether the margins apply."""
        self.epoch = epoch

    def per_positive(
        self,
        pos: Tensor,
        neg: Tensor,
        weight: Tensor | None,
        user: Tensor,
        item: Tensor,
        neg_item: Tensor | None,
    ) -> Tensor:
        """The softmax with margins; before that, without, and what the vectors learn by."""
        neg_item = check_neg_item(self, neg, neg_item)
        of_user = wide(self.of_users(self.user_group[user]))
        of_item = wide(self.of_items(self.item_group[item]))
        if self.epoch >= self.warmup:
            margin = 1 - torch.sigmoid((of_user * of_item).sum(dim=1)).detach()
            pos = widened(pos, margin.to(pos))
            return softmax_loss(pos, neg, weight, self.temperature)
        of_neg = wide(self.of_items(self.item_group[neg_item]))
        if of_neg.dim() == 4:  # one per layer
            of_neg = of_neg.mean(dim=2)
        own = cosine(of_user, of_item.unsqueeze(1)).squeeze(1).to(pos)
        others = cosine(of_user, of_neg).to(neg)
        bias = softmax_loss(own, others, weight, self.bias_temperature)
        return softmax_loss(pos, neg, weight, self.temperature) + bias

    def of_new_users(self) -> RankingLoss:
        """The sampled softmax."""
        return SampledSoftmaxLoss(self.temperature)


def widened(cosines: Tensor, margin: Tensor) -> Tensor:
    """The cosines of angles that are wider by a margin, and at most half a turn."""
    angle = cosines.clamp(min=NEAR - 1, max=1 - NEAR).arccos()
    return (angle + margin).clamp(max=math.pi).cos()
