"""DNS(M, N) against its loop oracle."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from grid import as_given, every_case, problem_and_candidates
from oracles import dnsmn
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DNS, DNSMN, RNS


class TestDNSMN(SamplerContract):
    sampler_class = DNSMN
    least_candidates = 4

    @every_case
    def test_chooses_what_the_oracle_allows(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, n=4)
        user, _, *xs = as_given(problem)
        allowed = dnsmn.allowed(user, *xs, candidates, 4, pool)
        reached: list[set[int]] = [set() for _ in allowed]
        for seed in range(30):
            generator = torch.Generator().manual_seed(seed)
            index = self.sample(sampler, problem, candidates=candidates, generator=generator).index
            for row, chosen in enumerate(index.tolist()):
                assert len(set(chosen)) == num_negatives
                reached[row] |= set(chosen)
        assert reached == [set(row) for row in allowed]

    def test_chooses_uniformly_among_the_hardest(self) -> None:
        problem = toy(0)
        user = torch.zeros(6000, dtype=torch.long)
        candidates = torch.arange(8).expand(6000, -1)
        index = (
            DNSMN(n=3, num_candidates=8)
            .sample(
                user,
                user,
                problem.user_xs,
                problem.item_xs,
                candidates,
                torch.Generator().manual_seed(0),
            )
            .index
        )
        counts = torch.bincount(index.flatten())
        assert chisquare(counts[counts > 0]).pvalue > 1e-3
        assert (counts > 0).sum() == 3

    def test_is_dns_with_one_and_rns_with_all(self) -> None:
        problem, candidates = problem_and_candidates(3)
        sampled = [
            self.sample(sampler, problem, candidates=candidates).index
            for sampler in (DNSMN(n=1), DNS(), DNSMN(n=6), RNS())
        ]
        assert torch.equal(sampled[0], sampled[1])
        assert torch.equal(sampled[2].sort().values, sampled[2].sort().values)

    def test_refuses_n_outside_k_and_m(self) -> None:
        for arguments in ({"n": 0}, {"n": 33}, {"n": 2, "num_negatives": 3}):
            with pytest.raises(ValueError, match="DNSMN: 'n'"):
                DNSMN(**arguments)
        problem = toy()
        with pytest.raises(ValueError, match="n = 5"):
            self.sample(self.make(problem, n=5), problem, candidates=torch.zeros(9, 4).long())
