"""Draws out of cells: uniform over exactly the unseen items of each."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from pyg_negsamp.candidates import Cells, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import toy


@pytest.mark.parametrize("items", [None, torch.tensor([1, 2, 4, 5, 7, 8, 9])])
def test_draws_are_uniform_over_the_unseen_items_of_a_cell(items: torch.Tensor | None) -> None:
    problem = toy()
    source = UniformCandidates(problem.data, items=items)
    cell = torch.tensor([2, 0, 4, 4, 0, 2, 1, 0, 4, 1, 0, 4])  # cell 3 is empty
    cells = Cells(source, cell, 5)
    links = problem.data[EDGE_TYPE].edge_index.t().tolist()
    for user in range(7):
        for number in range(5):
            expected = [
                i
                for i in range(12)
                if cell[i] == number
                and [user, i] not in links
                and (items is None or i in items.tolist())
            ]
            assert cells.unseen[user, number] == len(expected)
            if expected:
                wanted = torch.full((1, 2000), number)
                stream = torch.Generator().manual_seed(number)
                count = cells(torch.tensor([user]), wanted, stream).flatten().bincount(minlength=12)
                assert count.sum() == count[expected].sum()
                assert len(expected) == 1 or chisquare(count[expected]).pvalue > 1e-4
