"""Scores of rows against torch's own operations on normalised copies."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyg_negsamp import scoring
from pyg_negsamp.products import FEW, cosine, dot
from pyg_negsamp.scoring import (
    candidate_scores,
    ranking_tables,
    scores_by,
    scores_where_they_lie,
    shared_scores,
    similarity_of,
    table_scores,
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


#: A repeated item in a row, one in two rows, and one that nobody has.
IDS = torch.tensor([[0, 2, 2], [3, 4, 5], [6, 2, 1], [8, 0, 4], [7, 7, 7]])


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_scores_where_rows_lie_are_those_of_copies(score: scoring.Similarity) -> None:
    user, table = rows()[0], rows(num_items=10)[1][0]
    user[1], table[2], table[3] = 0, 0, table[3] * 1e-13
    weight = torch.arange(15, dtype=torch.double).view(5, 3)
    results = []
    for in_table in (True, False):
        u, t = user.clone().requires_grad_(), table.clone().requires_grad_()
        scores = table_scores(u, t, IDS, score) if in_table else similarity_of(score)(u, t[IDS])
        results.append((scores, *torch.autograd.grad((scores * weight).sum(), (u, t))))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_scores_where_rows_lie_have_the_gradient_of_finite_differences(
    score: scoring.Similarity,
) -> None:
    user, table = rows()[0].requires_grad_(), rows(num_items=10)[1][0].requires_grad_()
    assert torch.autograd.gradcheck(partial(table_scores, index=IDS, score=score), (user, table))
    for one in (user, table):  # and the other one stays as it is
        fixed = [x if x is one else x.detach() for x in (user, table)]
        assert torch.autograd.gradcheck(partial(table_scores, index=IDS, score=score), fixed)


@pytest.mark.parametrize("wrong", [-1, 9])
def test_scores_where_rows_lie_refuse_ids_of_no_row(wrong: int) -> None:
    user, table = rows()[0], rows(num_items=9)[1][0]
    index = IDS.clone()
    index[2, 1] = wrong
    with pytest.raises(ValueError, match=rf"table_scores:.*index.*\[0, 9\).*{wrong}"):
        table_scores(user, table, index)


def test_where_rows_are_scored_in_place() -> None:
    user, table = rows(torch.float32)[0], rows(torch.float32, num_items=7)[1][0]
    ids = IDS % 7
    assert scores_where_they_lie(user, table, ids, "cosine")
    assert not scores_where_they_lie(user, table, ids, lambda u, i: u)  # a decoder reads rows
    few = ids[:1]
    assert not scores_where_they_lie(user, table, few, "dot")
    assert scores_where_they_lie(user, table, few, "dot", layers=4)  # of which copies would be four
    assert not scores_where_they_lie(user, table[:2], ids % 2, "dot")  # no room for so many
    assert not scores_where_they_lie(user.half(), table.half(), ids, "dot")
    assert not scores_where_they_lie(user.to("meta"), table.to("meta"), ids.to("meta"), "dot")
    with torch.autocast("cpu", torch.bfloat16):
        assert not scores_where_they_lie(user, table, ids, "dot")


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cosines_of_half_precision_are_single(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    user, items = (torch.randn(n, 64, generator=generator).to(dtype) for n in (20, 300))
    candidates = torch.arange(300).repeat(20, 1)
    found = candidate_scores(user, items, candidates, "cosine")
    exact = candidate_scores(user.double(), items.double(), candidates, "cosine")
    torch.testing.assert_close(found.double(), exact, atol=1e-6, rtol=0)
