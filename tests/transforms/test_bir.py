"""BIR: how often rows draw each positive of the batch, against the exact probabilities."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import pool_layers
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import BIR


class TestBIR(SamplerContract):
    sampler_class = BIR

    @pytest.mark.parametrize("temperature", [1.0, 3.0])
    @pytest.mark.parametrize("score", ["dot", "cosine"])
    def test_draws_by_importance(self, score: str, temperature: float) -> None:
        problem = toy(1)
        draws = 5000
        sampler = self.make(problem, num_negatives=draws, temperature=temperature, score=score)
        weight = self.sample(sampler, problem).weight
        links = problem.data[EDGE_TYPE].edge_index.t().tolist()
        items = [i for _, i in links]
        users, table = (pool_layers(xs, "mean") for xs in (problem.user_xs, problem.item_xs))
        if score == "cosine":
            users, table = (torch.nn.functional.normalize(x) for x in (users, table))
        for b, user in enumerate(problem.user.tolist()):
            allowed = torch.tensor([[user, i] not in links for i in problem.pos.tolist()])
            chance = torch.tensor(
                [
                    (users[user] @ table[i] / temperature).exp() / items.count(i)
                    for i in problem.pos.tolist()
                ]
            )
            assert weight[b].sum() == draws
            assert not weight[b][~allowed].any()
            share = chance[allowed] / chance[allowed].sum() * draws
            likely = share > 5
            found = [*weight[b][allowed][likely], weight[b][allowed][~likely].sum()]
            expected = [*share[likely], share[~likely].sum()]
            if expected[-1] < 5:
                found[-2:], expected[-2:] = [sum(found[-2:])], [sum(expected[-2:])]
            if len(found) > 1:
                assert chisquare(found, expected, sum_check=False).pvalue > 1e-5

    def test_as_many_draws_as_positives(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem), problem)
        assert negatives.weight.sum(dim=1).tolist() == [9.0] * 9
        assert torch.equal(negatives.index[0], problem.pos)

    @pytest.mark.parametrize("draws", [None, 3])
    def test_an_empty_batch_draws_nothing(self, draws: int | None) -> None:
        problem = toy()
        problem.user, problem.pos = problem.user[:0], problem.pos[:0]
        negatives = self.sample(BIR(problem.data, num_negatives=draws), problem)
        assert negatives.weight.shape == (0, 0)

    def test_a_row_for_which_nothing_is_left_has_no_negatives(self) -> None:
        problem = toy()
        problem.user, problem.pos = problem.user[:1], problem.pos[:1]
        assert self.sample(self.make(problem), problem).weight.tolist() == [[0.0]]
        with pytest.raises(ValueError, match="temperature"):
            self.make(problem, temperature=0.0)
