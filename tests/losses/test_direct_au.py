"""DirectAU: alignment and uniformity, without negatives."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp.losses import DirectAULoss


def rows(size: int = 5, width: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    user, item = torch.randn(2, size, width, generator=generator, dtype=torch.double)
    return user.requires_grad_(), item.requires_grad_()


def value(user: Tensor, item: Tensor, gamma: float = 1.0) -> Tensor:
    """Whatever the scores are."""
    return DirectAULoss(gamma)(
        user.new_zeros(len(user)), user.new_zeros(len(user), 2), user_rows=user, pos_rows=item
    )


def test_by_hand() -> None:
    user, item = rows()
    u, i = (normalize(x.detach(), dim=1) for x in (user, item))
    spread = [
        math.log(
            sum(math.exp(-2 * float((a - b).square().sum())) for a, b in pairs) / math.comb(5, 2)
        )
        for pairs in (itertools.combinations(u, 2), itertools.combinations(i, 2))
    ]
    expected = float((u - i).square().sum(1).mean()) + 0.7 / 2 * sum(spread)
    assert value(user, item, 0.7).item() == pytest.approx(expected)


def test_gradients_are_those_of_the_value() -> None:
    assert torch.autograd.gradcheck(value, rows())


def test_one_row_has_nobody_to_keep_away_from() -> None:
    user, item = rows(1)
    torch.testing.assert_close(value(user, item), value(user, item, 0.0))
    value(user, item).backward()
    assert user.grad.isfinite().all()


def test_repeated_users_are_at_no_distance() -> None:
    user, item = rows()
    user = user.detach()[[0, 0, 0, 1, 2]].requires_grad_()
    value(user, item).backward()
    assert user.grad.isfinite().all()


def test_weights_of_negatives_do_not_matter() -> None:
    user, item = rows()
    scores = torch.zeros(5).double(), torch.zeros(5, 2).double()
    weighted = DirectAULoss()(*scores, torch.zeros(5, 2), user_rows=user, pos_rows=item)
    torch.testing.assert_close(weighted, value(user, item))


def test_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="DirectAULoss: 'gamma'"):
        DirectAULoss(-1.0)
