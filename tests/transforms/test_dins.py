"""DINS against its loop oracle and in closed form."""

from __future__ import annotations

import pytest
import torch

from grid import as_given, every_case, problem_and_candidates
from oracles.dins import dins
from pyg_negsamp.layers import POOLS, gather_rows
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DINS, DNS


class TestDINS(SamplerContract):
    sampler_class = DINS

    @every_case
    @pytest.mark.parametrize("beta", [0.5, 3.0])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, beta: float
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, beta=beta)
        negatives = self.sample(sampler, problem, candidates=candidates)
        ids, vectors = dins(
            *as_given(problem),
            candidates,
            beta,
            num_negatives,
            pool,
        )
        assert negatives.index.tolist() == ids
        torch.testing.assert_close(negatives.xs, torch.tensor(vectors, dtype=torch.double))

    def test_infinite_beta_is_the_positive(self) -> None:
        problem = toy()
        for beta in (1e300, float("inf")):
            negatives = self.sample(self.make(problem, num_negatives=2, beta=beta), problem)
            pos = gather_rows(problem.item_xs, problem.pos)
            torch.testing.assert_close(negatives.xs, pos.unsqueeze(1).expand(-1, 2, -1, -1))

    def test_zero_beta_is_the_hardest_candidate(self) -> None:
        problem = toy(0)
        candidates = torch.randint(12, (9, 6), generator=problem.generator())
        mixed = self.sample(self.make(problem, beta=0.0), problem, candidates=candidates)
        hard = self.sample(DNS(), problem, candidates=candidates)
        torch.testing.assert_close(mixed.xs, hard.xs)

    def test_stays_within_the_box_between_positive_and_boundary(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem), problem)
        pos = gather_rows(problem.item_xs, problem.pos)
        hard = gather_rows(problem.item_xs, negatives.index.squeeze(1))
        xs = negatives.xs.squeeze(1)
        assert (xs >= torch.minimum(pos, hard) - 1e-12).all()
        assert (xs <= torch.maximum(pos, hard) + 1e-12).all()

    def test_gradients_are_those_of_the_equations(self) -> None:
        problem = toy()
        rows = [torch.randn(2, 4, 5).double().requires_grad_() for _ in range(2)]
        neg = torch.randn(2, 3, 4, 5).double().requires_grad_()
        for pool in POOLS:
            sampler = self.make(problem, pool=pool, beta=2.0)
            assert torch.autograd.gradcheck(sampler.synthesize, (*rows, neg))

    def test_large_embeddings_do_not_overflow(self) -> None:
        problem = toy(0, dtype=torch.float32)
        for x in (*problem.user_xs, *problem.item_xs):
            x *= 1e4
        assert self.sample(self.make(problem), problem).xs.isfinite().all()

    @pytest.mark.parametrize("beta", [-0.1, float("nan")])
    def test_refuses_bad_beta(self, beta: float) -> None:
        with pytest.raises(ValueError, match="DINS: 'beta'"):
            DINS(beta=beta)
