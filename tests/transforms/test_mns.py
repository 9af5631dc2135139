"""MNS: the batch and uniform items, and the probability of their mixture."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from scipy.stats import chisquare

from pyg_negsamp.candidates import BatchCandidates, PopularityCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import MNS


class TestMNS(SamplerContract):
    sampler_class = MNS
    arguments: ClassVar[dict[str, Any]] = {"num_uniform": 4}

    def test_the_batch_and_uniform_items(self) -> None:
        problem = toy()
        index = self.sample(self.make(problem, num_uniform=6000), problem).index[0]
        assert torch.equal(index[:9], problem.pos)
        assert chisquare(torch.bincount(index[9:], minlength=12)).pvalue > 1e-3

    def test_probabilities_are_those_of_the_mixture(self) -> None:
        problem = toy()
        items = problem.data[EDGE_TYPE].edge_index[1]
        share = torch.bincount(items, minlength=12).double() / len(items)
        for num in (1, 50):
            negatives = self.sample(self.make(problem, num_uniform=num), problem)
            mixed = (9 * share + num / 12) / (9 + num)
            torch.testing.assert_close(negatives.log_q[0].exp(), mixed[negatives.index[0]])
            torch.testing.assert_close(negatives.pos_log_q.exp(), mixed[problem.pos])
            assert (negatives.weight.sum(1) > 0).all()

    def test_other_candidates_have_their_own_probabilities(self) -> None:
        problem = toy()
        source = PopularityCandidates(problem.data, power=1.0, items=torch.arange(8))
        sampler = MNS(source, num_uniform=20_000).double()
        negatives = self.sample(sampler, problem)
        drawn = negatives.index[0, 9:]
        assert drawn.max() < 8
        share = torch.bincount(drawn, minlength=12).double() / 20_000
        q = source.log_shared(torch.arange(8)).exp()
        torch.testing.assert_close(q.sum(), torch.ones((), dtype=torch.double))
        torch.testing.assert_close(share[:8], q, atol=0.015, rtol=0)

    def test_a_positive_that_no_draw_gives_counts_as_one_link(self) -> None:
        """Its link is none of the known ones, and popularity does not propose what none has."""
        problem = toy()
        links = problem.data[EDGE_TYPE].edge_index
        problem.data[EDGE_TYPE].edge_index = links[:, links[1] != problem.pos[0]]
        source = PopularityCandidates(problem.data, power=1.0)
        negatives = self.sample(MNS(source, num_uniform=4, check_positives=False), problem)
        num = problem.data[EDGE_TYPE].edge_index.size(1)
        assert negatives.pos_log_q[0].exp().item() == pytest.approx(1 / num)
        assert negatives.log_q.isfinite().all()

    def test_refuses_candidates_that_draw_for_each_user(self) -> None:
        with pytest.raises(ValueError, match=r"MNS: 'candidates' must be UniformCandidates or"):
            MNS(BatchCandidates(toy().data))
        with pytest.raises(ValueError, match="num_uniform"):
            MNS(toy().data, num_uniform=0)
