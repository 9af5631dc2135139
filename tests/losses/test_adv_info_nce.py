"""AdvInfoNCE: hardness by an adversary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_negsamp.losses import AdvInfoNCELoss, SampledSoftmaxLoss

USER, NEG_ITEM = torch.tensor([0, 2, 2]), torch.tensor([[1, 4], [3, 0], [4, 4]])


def made(**arguments: float) -> AdvInfoNCELoss:
    torch.manual_seed(0)
    return AdvInfoNCELoss(3, 5, 0.4, dim=2, **arguments).double()


def scores() -> tuple[Tensor, Tensor]:
    pos = torch.tensor([0.6, -0.2, -0.9]).double().requires_grad_()
    return pos, torch.tensor([[0.5, -0.4], [0.1, 0.3], [0.2, -0.8]]).double().requires_grad_()


def test_by_the_formula() -> None:
    """The model lowers it; towards the adversary, the gradient is turned."""
    loss, (pos, neg) = made(), scores()
    users, items = (x.weight for x in (loss.users, loss.items))
    q = (users[USER].unsqueeze(1) * items[NEG_ITEM]).sum(-1).softmax(dim=1)
    others = 64 * 2 * (q * (neg / 0.4).exp()).sum(dim=1)
    expected = -((pos / 0.4).exp() / ((pos / 0.4).exp() + others)).log().mean()
    found = loss(pos, neg, user=USER, neg_item=NEG_ITEM)
    torch.testing.assert_close(found, expected)
    leaves = (pos, neg, users, items)
    mine, theirs = (torch.autograd.grad(x, leaves) for x in (found, expected))
    for sign, a, b in zip((1, 1, -1, -1), mine, theirs, strict=True):
        torch.testing.assert_close(a, sign * b)
    assert theirs[2].any()


def test_the_adversary_has_its_turns() -> None:
    loss, turns = made(every=3, rounds=2), []
    for epoch in range(9):
        loss.start_epoch(epoch, 9)
        loss.zero_grad()
        loss(*scores(), user=USER, neg_item=NEG_ITEM).backward()
        turns += [epoch] if loss.users.weight.grad is not None else []
    assert turns == [0, 3]


def test_with_an_even_adversary_it_is_a_sampled_softmax() -> None:
    loss, (pos, neg) = made(negative_weight=1.0), scores()
    torch.nn.init.zeros_(loss.users.weight)
    found = loss(pos, neg, user=USER, neg_item=NEG_ITEM)
    torch.testing.assert_close(found, SampledSoftmaxLoss(0.4)(pos, neg))


def test_negatives_of_weight_zero_have_no_share() -> None:
    loss, (pos, neg) = made(), scores()
    weight = torch.tensor([[1.0, 0.0]] * 3)
    found = loss(pos, neg, weight, user=USER, neg_item=NEG_ITEM)
    torch.testing.assert_close(found, loss(pos, neg[:, :1], user=USER, neg_item=NEG_ITEM[:, :1]))
    found.backward()
    assert all(x.grad.isfinite().all() for x in (pos, neg, *loss.parameters()))


def test_a_negative_per_layer_counts_with_the_mean() -> None:
    loss = made()
    same = NEG_ITEM.unsqueeze(2).expand(-1, -1, 3)
    found = [loss(*scores(), user=USER, neg_item=x) for x in (NEG_ITEM, same)]
    torch.testing.assert_close(*found)


def test_refuses_negatives_without_items_and_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"AdvInfoNCELoss: 'neg_item' must be .* makes its neg"):
        made()(*scores(), user=USER, neg_item=None)
    for argument in ("num_users", "num_items", "temperature", "negative_weight", "every", "dim"):
        with pytest.raises(ValueError, match=f"AdvInfoNCELoss: '{argument}'"):
            AdvInfoNCELoss(**{"num_users": 3, "num_items": 5, argument: 0})
