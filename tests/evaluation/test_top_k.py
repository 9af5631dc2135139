"""The fast selection against torch's own."""

from __future__ import annotations

import pytest
import torch

from pyg_negsamp.evaluation.top_k import DEPTH, LEAST, top_k


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("columns", [5, LEAST * 3 - 1, LEAST * 3, LEAST * 3 + 7, 1000, 5003])
def test_equals_topk(k: int, columns: int) -> None:
    scores = torch.randn(20, columns, generator=torch.Generator().manual_seed(columns))
    values, index = top_k(scores, k)
    expected = scores.topk(k, dim=1)
    assert torch.equal(values, expected.values)
    assert torch.equal(index, expected.indices)


def test_the_best_may_share_a_lane_or_be_left_over() -> None:
    columns = LEAST * 4 + DEPTH - 1
    lanes = columns // DEPTH
    scores = torch.zeros(2, columns)
    together = [3, 3 + lanes, 3 + 2 * lanes, 3 + 7 * lanes]
    scores[0, together] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    scores[1, -4:] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    index = top_k(scores, 4)[1].tolist()
    assert index[0] == together
    assert index[1] == [columns - 1, columns - 2, columns - 3, columns - 4]


def test_ties_and_masked_columns() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(3, (50, 700), generator=generator).float()
    scores[:, torch.randperm(700, generator=generator)[:690]] = -torch.inf
    values, index = top_k(scores, 10)
    assert torch.equal(values, scores.topk(10, dim=1).values)
    assert torch.equal(scores.gather(1, index), values)
    assert all(len(set(row)) == 10 for row in index.tolist())
