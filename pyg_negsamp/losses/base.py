"""What every loss is: a number per positive, of its score and those of its negatives.

A loss writes `per_positive`, from scores `[B]`, `[B, K]` and weights to `[B]`:

    class MyLoss(RankingLoss):
        def per_positive(self, pos, neg, weight):
            return average(softplus(neg - pos.unsqueeze(1)), weight)

Shapes, half precision, empty batches and rows without any negative are seen to here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import known_links, training_links
from pyg_negsamp.numerics import mean, wide
from pyg_negsamp.space import Space

#: What a loss may ask for beside scores and weights; training hands over what it declares.
NEEDS = {
    "user": "[B] ids of the users",
    "item": "[B] ids of the positives",
    "neg_item": "[B, K] ids of the negatives, or [B, K, H] with one per layer, or None",
    "log_q": "[B, K] log-probability with which each negative was proposed, or None",
    "pos_log_q": "[B] the same of the positives, or None",
    "user_rows": "[B, W] pooled rows of the users",
    "pos_rows": "[B, W] pooled rows of the positives",
}

#: A sum of exponentials, of which the largest is 1, that single precision still knows well.
NEXT_TO_NOTHING = 1e-30


class RankingLoss(torch.nn.Module):
    """Base class of all losses.

    A weight says how often a negative counts: 0 leaves it out, 2 is the same negative twice.
    A row without any weight has a loss of 0, and passes no gradient.
    """

    #: What the scores should be, `'dot'` or `'cosine'`: training computes, and ranks by, the same.
    similarity: str = "dot"
    #: Names out of :data:`NEEDS`, which :meth:`forward` gets as keyword arguments.
    needs: ClassVar[tuple[str, ...]] = ()
    #: How many negatives per positive it takes for the loss to be itself; 0 if it looks at none.
    least_negatives: ClassVar[int] = 1
    #: Whether :meth:`start_epoch` reads the rows of all users and items.
    needs_whole_table: ClassVar[bool] = False
    #: Whether it notes something of each row: `per_positive` then gets `counts`, too, `[B]`, which
    #: rows have any weight, or `None` for all.
    notes_rows: ClassVar[bool] = False
    #: Whether `per_positive` itself gives 0, and no gradient, for rows without any weight: then
    #: nothing is copied for them.
    takes_weightless_rows: ClassVar[bool] = False
    #: Whether it is a mean over rows of what depends on the row and on learned numbers alone, few
    #: enough to be exchanged: then ranks compute it for a part of the rows.
    by_row: bool = False
    #: Whether its gradient is continuous in the scores: if not, rounding may turn it over.
    smooth: ClassVar[bool] = True
    #: Arguments to search; the source stands beside it.
    search_space: ClassVar[Space] = {}

    @property
    def requires(self) -> tuple[str, ...]:
        """What of :attr:`needs` it cannot do without, out of `neg_item`, `log_q`, `pos_log_q`.

        Not every sampler has these, see :attr:`pyg_negsamp.transforms.NegativeSampling.gives`.
        """
        return ()

    #: What a subclass writes: `(pos [B], neg [B, K], weight [B, K] or None, **needs)` to `[B]`.
    #: Scores come in single precision at least; of the weights of a row, one is not 0, unless it
    #: :attr:`takes_weightless_rows`.
    per_positive: Callable[..., Tensor]

    def forward(
        self, pos: Tensor, neg: Tensor, weight: Tensor | None = None, **needed: Any
    ) -> Tensor:
        """Computes the loss.

        Args:
            pos: `[B]` scores of the positives.
            neg: `[B, K]` scores of their negatives. One that does not count may be minus infinity.
            weight: `[B, K]` weights of the negatives, at least 0. Default: 1 each. Their values are
                not checked, for which a GPU would have to wait.
            **needed: What :attr:`needs` names, see :data:`NEEDS`.

        Returns:
            A scalar, in single precision at least; 0 for no positives. A positive without
            negatives, or with weights 0 alone, counts 0, unless a loss says otherwise.

        Raises:
            ValueError: If the shapes disagree.
        """
        if neg.dim() != 2 or pos.shape != neg.shape[:1]:
            raise invalid(self, "pos, neg", "[B] and [B, K]", f"{[*pos.shape]}, {[*neg.shape]}")
        pos, neg = wide(pos), wide(neg)
        if not len(pos):
            return pos.sum() + neg.sum()
        if not neg.size(1):  # as with a negative that does not count
            neg = weight = pos.new_zeros(len(pos), 1)
            for name, x in needed.items():
                if isinstance(x, Tensor) and x.shape[:2] == (len(pos), 0):
                    needed[name] = x.new_zeros(len(pos), 1, *x.shape[2:])
        counts = None
        if weight is not None:
            if weight.shape != neg.shape:
                raise invalid(self, "weight", f"{[*neg.shape]}, as neg", [*weight.shape])
            weight = weight.to(neg.dtype)
            if not self.takes_weightless_rows:
                counts = weight.sum(dim=1) != 0
                weight = weight.where(counts.unsqueeze(1), 1)
        if self.notes_rows:
            needed["counts"] = counts
        found = self.per_positive(pos, neg, weight, **needed)
        return mean(found if counts is None else found.where(counts, 0))

    def start_epoch(
        self,
        epoch: int,
        max_epochs: int,
        users: Tensor | None = None,
        items: Tensor | None = None,
    ) -> None:
        """Tells the loss that an epoch begins: the one call that a loop of one's own owes it.

        Args:
            epoch: Which epoch, from 0.
            max_epochs: How many there will be.
            users: `[U, W]` rows of all users, without gradient. Their products with `items` are the
                scores: for cosines, they have length 1. Only losses that declare
                :attr:`needs_whole_table` read them.
            items: `[I, W]` rows of all items.
        """

    def of_new_users(self) -> RankingLoss:
        """The loss that places persons whom training has not met, of scores alone.

        Here, the loss itself. One that keeps something for each user has nothing for them.
        """
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RankingLoss:
        """As of any module; but some things are not rounded to half precision.

        These are what is kept from step to step, and single numbers that are learned, whose steps
        would be lost.
        """
        before = dict(self.named_buffers(recurse=False))
        learned = {
            name: x.detach() for name, x in self.named_parameters(recurse=False) if not x.dim()
        }
        super()._apply(fn, recurse)
        for name, kept in self.named_buffers(recurse=False):
            if wide(kept) is not kept:
                setattr(self, name, wide(before[name]).to(kept.device))
        for name, number in learned.items():
            parameter = getattr(self, name)
            if wide(parameter) is not parameter:
                parameter.data = wide(number).to(parameter.device)
        return self


def graph_arguments(
    cls: type, data: HeteroData, dim: int = 64, edge_type: EdgeType | None = None
) -> dict[str, Any]:
    """The arguments of a loss that follow from the training graph and the model.

    For losses that keep something per user, or learn: `num_users`, `num_items`, `num_links`, `dim`,
    `data` itself and `edge_type`, as far as the constructor has them.

    Args:
        cls: The loss.
        data: The training graph.
        dim: Width of the model's vectors, which what the loss learns has, too. Default 64.
        edge_type: The interactions in `data`. Default: the only ones there are.

    Example:
        >>> SogCLRLoss(**graph_arguments(SogCLRLoss, train_data))  # doctest: +SKIP
    """
    links = known_links(data, edge_type)
    found = {
        "num_users": links.num_users,
        "num_items": links.num_items,
        "num_links": training_links(data, edge_type).size(1),
        "dim": dim,
        "data": data,
        "edge_type": edge_type,
    }
    return {name: found[name] for name in inspect.signature(cls).parameters if name in found}


def log_sum_exp(x: Tensor, weight: Tensor | None, temperature: float = 1.0) -> Tensor:
    """The logarithms `[B]` of the weighted sums of `exp(x / temperature)`, over `[B, K]`."""
    # Given weights, `_LogSumExp` branches on a value: a GPU would wait for it, a graph would break.
    may_branch = x.device.type == "cpu" and not torch.compiler.is_compiling()
    if weight is not None and (weight.requires_grad or not may_branch):
        x, weight = torch.add(x, log_weight(weight), alpha=temperature), None
    found: Tensor = _LogSumExp.apply(x, weight, temperature)
    return found


def log_weight(weight: Tensor) -> Tensor:
    """The logarithms of weights; of one that is 0 it is minus infinity, and has no gradient."""
    if not weight.requires_grad:
        return weight.log()
    there = weight > 0
    return weight.where(there, 1).log().where(there, -torch.inf)


def softmax_loss(
    pos: Tensor, neg: Tensor, weight: Tensor | None, temperature: float = 1.0
) -> Tensor:
    """Minus the logarithms `[B]` of the positives' shares in a softmax with their negatives.

    Args:
        pos: `[B]` scores of the positives.
        neg: `[B, K]` scores of the negatives.
        weight: `[B, K]` how often each counts, or `None`.
        temperature: What scores are divided by.
    """
    return softplus(log_sum_exp(neg, weight, temperature) - pos / temperature)


class _LogSumExp(torch.autograd.Function):
    """In fewer passes over `[B, K]` than torch's: with `K` in the hundreds, they are the cost."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, temperature: float) -> Tensor:
        top, part = _exponentials(x, temperature)
        if weight is not None:
            part.mul_(weight)
        total = part.sum(dim=1, keepdim=True)
        if weight is not None and total.numel() and total.min() < NEXT_TO_NOTHING:
            # What does not count is so much larger that nothing is left of what does.
            top, part = _exponentials(x + temperature * weight.log(), temperature)
            total = part.sum(dim=1, keepdim=True)
        ctx.save_for_backward(part, total)
        ctx.temperature = temperature
        return (total.log() + top / temperature).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        part, total = ctx.saved_tensors
        # Of nothing, the sum is 0, and so is its gradient.
        total = total.where(total != 0, 1)
        return part * (grad.unsqueeze(1) / ctx.temperature / total), None, None


def _exponentials(x: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The largest of each row, `[B, 1]`, and `exp((x - largest) / temperature)`."""
    top = x.amax(dim=1, keepdim=True)
    top = top.where(top > -torch.inf, 0)
    # The difference first: that of two quotients would be off by as much as these are rounded.
    return top, x.sub(top).div_(temperature).exp_()


def average(x: Tensor, weight: Tensor | None) -> Tensor:
    """The weighted means `[B]` of `x [B, K]`."""
    return x.mean(dim=1) if weight is None else (x * weight).sum(dim=1) / weight.sum(dim=1)


def count(neg: Tensor, weight: Tensor | None) -> Tensor:
    """How many negatives `[B]` there are, each as often as it counts."""
    return (
        neg.new_full(neg.shape[:1], neg.size(1))
        if weight is None
        else weight.sum(dim=1, dtype=neg.dtype)
    )


def same_user(user: Tensor) -> Tensor:
    """A number in `[0, B)` for each row, `[B]`, the same for rows of the same user."""
    ordered = user.sort().values
    return torch.searchsorted(ordered, user.contiguous())


def check_neg_item(owner: object, neg: Tensor, neg_item: Tensor | None) -> Tensor:
    """Gives back ids of negatives `[B, K]` or `[B, K, H]`, and refuses others for `owner`."""
    if neg_item is None or neg_item.shape[:2] != neg.shape:
        got = "none, of a sampler that makes its negatives" if neg_item is None else "others"
        raise invalid(owner, "neg_item", f"{[*neg.shape]} ids, one for each negative", got)
    return neg_item
