"""Scores of rows against torch's own operations on normalised copies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp import scoring
from pyg_negsamp.scoring import (
    FEW,
    candidate_scores,
    cosine,
    dot,
    ranking_tables,
    scores_by,
    shared_scores,
)


def rows(dtype: torch.dtype = torch.double, num_items: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(5, 4, dtype=dtype, generator=generator)
    item = torch.randn(5, num_items, 4, dtype=dtype, generator=generator)
    return user, item


def slow_cosine(user: Tensor, item: Tensor) -> Tensor:
    return (normalize(user, dim=-1).unsqueeze(1) * normalize(item, dim=-1)).sum(-1)


@pytest.mark.parametrize("num_items", [1, FEW - 1, FEW, 20])
def test_dot_is_the_sum_of_products(num_items: int) -> None:
    user, item = (x.requires_grad_() for x in rows(num_items=num_items))
    torch.testing.assert_close(dot(user, item), (user.unsqueeze(1) * item).sum(-1))
    assert torch.autograd.gradcheck(dot, (user, item))


def test_cosine_has_the_gradient_of_finite_differences() -> None:
    user, item = (x.requires_grad_() for x in rows())
    assert torch.autograd.gradcheck(cosine, (user, item))


def test_cosine_is_that_of_normalised_vectors_however_short() -> None:
    user, item = rows()
    user[1], item[2, 1], item[3] = 0, 0, item[3] * 1e-13
    weight = torch.arange(15, dtype=torch.double).view(5, 3)
    results = []
    for score in (cosine, slow_cosine):
        u, i = user.clone().requires_grad_(), item.clone().requires_grad_()
        scores = score(u, i)
        results.append((scores, *torch.autograd.grad((scores * weight).sum(), (u, i))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("num_items", [FEW - 1, FEW])
def test_mixed_precision_gives_cosines_a_gradient(shared: bool, num_items: int) -> None:
    user, item = (x.requires_grad_() for x in rows(torch.float32, num_items))
    of = item[0] if shared else item
    results = []
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            scores = shared_scores("cosine", user, of) if shared else cosine(user, of)
        results.append((scores.float(), *torch.autograd.grad(scores.sum(), (user, item))))
    for exact, rounded in zip(*results, strict=True):
        torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02)


def test_only_what_needs_a_gradient_gets_one() -> None:
    user, item = rows()
    user.requires_grad_()
    cosine(user, item).sum().backward()
    expected = torch.autograd.grad(slow_cosine(user, item).sum(), user)[0]
    torch.testing.assert_close(user.grad, expected)


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("num_candidates", [4, 12])  # fewer than there are items, and more
@pytest.mark.parametrize("dtype", [torch.double, torch.bfloat16])
def test_candidates_score_alike_in_blocks_of_any_size(
    at_once: int, num_candidates: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    user, items = (torch.randn(n, 4, generator=generator).to(dtype) for n in (7, 9))
    candidates = torch.randint(9, (7, num_candidates), generator=generator)
    row_bytes = num_candidates * 4 * user.element_size()
    monkeypatch.setattr(scoring, "BLOCK_BYTES", at_once * row_bytes)
    wide = torch.promote_types(dtype, torch.float)  # scores of half precision are in single
    expected = torch.stack(
        [items[c].to(wide) @ u.to(wide) for u, c in zip(user, candidates, strict=True)]
    )
    torch.testing.assert_close(candidate_scores(user, items, candidates), expected)


def test_a_decoder_of_another_shape_is_refused_where_it_ranks() -> None:
    rank = scores_by(
        lambda user, item: item.sum(-1, keepdim=True), torch.ones(3, 2), torch.ones(4, 2)
    )
    with pytest.raises(ValueError, match=r"'score' must be .* gives \[2, 4\]"):
        rank(torch.tensor([0, 2]))


def test_products_of_ranking_tables_are_the_scores() -> None:
    user, item = rows()
    for similarity, score in (("dot", dot), ("cosine", cosine)):
        u, i = ranking_tables(user, similarity), ranking_tables(item, similarity)
        torch.testing.assert_close(dot(u, i), score(user, item))
