"""BC loss: margins by popularity."""

from __future__ import annotations

import math

import pytest
import torch
from small_graph import NUM_ITEMS, edges, graph
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.losses import BCLoss, SampledSoftmaxLoss

USER, ITEM = torch.tensor([0, 3, 7]), torch.tensor([0, 4, 10])
NEG_ITEM = torch.tensor([[1, 2], [5, 10], [0, 3]])


def made(epoch: int) -> BCLoss:
    torch.manual_seed(0)
    loss = BCLoss(graph(), 0.2, 0.3, warmup=2, dim=4).double()
    loss.start_epoch(epoch, 9)
    return loss


def scores() -> tuple[Tensor, Tensor]:
    pos = torch.tensor([0.6, -0.2, -0.99]).double().requires_grad_()
    return pos, torch.tensor([[0.5, -0.4], [0.1, 0.3], [0.2, -0.8]]).double().requires_grad_()


def vectors(loss: BCLoss) -> tuple[Tensor, Tensor, Tensor]:
    """Of users, positives and negatives, by how many links they have."""
    degrees = [torch.bincount(torch.tensor(x), minlength=n).tolist() for x, n in zip(
        zip(*edges(graph()), strict=True), (8, NUM_ITEMS), strict=True)]  # fmt: skip
    few, many = (sorted(set(x)) for x in degrees)
    tables = loss.of_users.weight, loss.of_items.weight
    assert [len(x) for x in tables] == [len(few), len(many)]
    user = tables[0][[few.index(degrees[0][u]) for u in USER.tolist()]]
    item = tables[1][[many.index(degrees[1][i]) for i in ITEM.tolist()]]
    neg = [[many.index(degrees[1][i]) for i in row] for row in NEG_ITEM.tolist()]
    return user, item, tables[1][torch.tensor(neg)]


def test_the_angle_is_widened_and_ends_at_half_a_turn() -> None:
    loss, (pos, neg) = made(2), scores()
    user, item, _ = vectors(loss)
    margin = 1 - torch.sigmoid((user * item).sum(dim=1)).detach()
    angle = pos.arccos()
    margin = torch.minimum(margin, math.pi - angle.detach())
    assert margin[2] < 0.2
    widened = (angle + margin).cos()
    logit = torch.cat([widened.unsqueeze(1), neg], dim=1) / 0.2
    expected = -logit.log_softmax(dim=1)[:, 0].mean()
    found = loss(pos, neg, user=USER, item=ITEM, neg_item=NEG_ITEM)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(x.grad is None for x in loss.parameters()), "popularity has learned"
    assert pos.grad[2] == 0, "half a turn is the most"
    assert (pos.grad[:2] < 0).all()


def test_popularity_learns_first_and_by_itself() -> None:
    loss, (pos, neg) = made(1), scores()
    user, item, other = (normalize(x, dim=-1) for x in vectors(loss))
    own = torch.cat([(user * item).sum(-1, keepdim=True), (user.unsqueeze(1) * other).sum(-1)], 1)
    expected = -(own / 0.3).log_softmax(dim=1)[:, 0].mean() + SampledSoftmaxLoss(0.2)(pos, neg)
    found = loss(pos, neg, user=USER, item=ITEM, neg_item=NEG_ITEM)
    torch.testing.assert_close(found, expected)
    (plain,) = torch.autograd.grad(SampledSoftmaxLoss(0.2)(pos, neg), pos)
    torch.testing.assert_close(torch.autograd.grad(found, pos, retain_graph=True)[0], plain)
    found.backward()
    assert loss.of_users.weight.grad.any()


def test_a_negative_per_layer_counts_with_the_mean() -> None:
    loss, (pos, neg) = made(0), scores()
    same = NEG_ITEM.unsqueeze(2).expand(-1, -1, 3)
    found = [loss(pos, neg, user=USER, item=ITEM, neg_item=x) for x in (NEG_ITEM, same)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("cosine", [-1.0, 1.0])
def test_the_ends_of_the_scale_are_finite(cosine: float) -> None:
    pos = torch.full((3,), cosine).requires_grad_()
    loss = made(2).float()(pos, torch.zeros(3, 2), user=USER, item=ITEM, neg_item=NEG_ITEM)
    loss.backward()
    assert loss.isfinite()
    assert pos.grad.isfinite().all()


def test_refuses_negatives_without_items_and_bad_arguments() -> None:
    for neg_item in (None, NEG_ITEM[:, :1]):
        with pytest.raises(ValueError, match="BCLoss: 'neg_item' must be \\[3, 2\\] ids"):
            made(0)(*scores(), user=USER, item=ITEM, neg_item=neg_item)
    for argument in ("temperature", "bias_temperature", "dim"):
        with pytest.raises(ValueError, match=f"BCLoss: '{argument}'"):
            BCLoss(graph(), **{argument: 0})
    with pytest.raises(ValueError, match="BCLoss: 'warmup'"):
        BCLoss(graph(), warmup=-1)
