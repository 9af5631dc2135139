"""RNS against its definition."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from scipy.stats import chisquare

from pyg_negsamp.candidates import BatchCandidates, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DNS, RNS


class TestRNS(SamplerContract):
    sampler_class = RNS

    def test_takes_candidates_as_they_come_if_there_are_no_more_than_needed(self) -> None:
        problem = toy()
        candidates = torch.randint(12, (9, 3))
        negatives = self.sample(
            self.make(problem, num_candidates=3, num_negatives=3), problem, candidates=candidates
        )
        assert torch.equal(negatives.index, candidates)
        for h, x in enumerate(problem.item_xs):
            assert torch.equal(negatives.xs[:, :, h], x[candidates])

    def test_takes_each_of_more_candidates_equally_often_and_none_twice(self) -> None:
        problem = toy(0)
        sampler = RNS(num_negatives=2)
        candidates = torch.tensor([[4, 7, 2, 9, 11]]).expand(4000, -1)
        user = torch.zeros(4000, dtype=torch.long)
        generator = torch.Generator().manual_seed(0)
        index = sampler.sample(
            user, user, problem.user_xs, problem.item_xs, candidates, generator
        ).index
        assert (index[:, 0] != index[:, 1]).all()
        counts = torch.bincount(index.flatten(), minlength=12)[[4, 7, 2, 9, 11]]
        assert counts.sum() == 8000
        assert chisquare(counts).pvalue > 1e-3

    def test_needs_no_embeddings(self) -> None:
        problem = toy()
        out = self.make(problem, num_negatives=2, num_candidates=2)(problem.batch())
        assert out["item"].dst_neg_index.shape == (9, 2)
        assert "dst_neg_xs" not in out["item"]

    def test_is_dns_with_one_candidate(self) -> None:
        problem = toy()
        rns, dns = self.make(problem, num_candidates=1), DNS(num_candidates=1)
        dns.candidates = rns.candidates
        assert torch.equal(self.sample(rns, problem).xs, self.sample(dns, problem).xs)


class TestSharedRNS(SamplerContract):
    """With `shared`: the same items for all rows, and what a user has seen does not count."""

    sampler_class = RNS
    arguments: ClassVar[dict[str, Any]] = {"shared": True}

    def test_draws_uniformly_for_all_rows_at_once(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem, num_negatives=6000), problem)
        assert chisquare(torch.bincount(negatives.index[0], minlength=12)).pvalue > 1e-3
        torch.testing.assert_close(
            negatives.log_q.exp(), torch.full((9, 6000), 1 / 12, dtype=torch.double)
        )
        links = problem.data[EDGE_TYPE].edge_index.t().tolist()
        for user, row, index in zip(
            problem.user.tolist(), negatives.weight[:, :50], negatives.index[:, :50], strict=True
        ):
            assert row.tolist() == [float([user, item] not in links) for item in index.tolist()]

    def test_draws_only_what_may_be_drawn(self) -> None:
        problem = toy()
        source = UniformCandidates(problem.data, items=torch.tensor([2, 3, 5, 7]))
        index = self.sample(RNS(source, shared=True, num_negatives=99).double(), problem).index
        assert set(index.flatten().tolist()) == {2, 3, 5, 7}

    def test_refuses_candidates_that_draw_for_each_user(self) -> None:
        with pytest.raises(ValueError, match=r"RNS: 'candidates' must be UniformCandidates or"):
            RNS(BatchCandidates(toy().data), shared=True)
        with pytest.raises(ValueError, match="shared"):
            RNS(toy().data, shared=1)
