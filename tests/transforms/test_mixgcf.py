"""MixGCF against its loop oracle, which mixes first and selects after."""

from __future__ import annotations

import torch

from grid import as_given, every_case, problem_and_candidates
from oracles.mixgcf import mixgcf
from pyg_negsamp.layers import gather_rows
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DINS, MixGCF


class TestMixGCF(SamplerContract):
    sampler_class = MixGCF

    @every_case
    def test_equals_the_oracle(self, num_layers: int, num_negatives: int, pool: str) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        sampled = self.sample(sampler, problem, candidates=candidates)
        alpha = sampler.choose(
            *as_given(problem),
            candidates,
            problem.generator(),
        ).state
        ids, vectors = mixgcf(
            *as_given(problem),
            candidates,
            alpha,
            num_negatives,
            pool,
        )
        assert sampled.index.tolist() == ids
        torch.testing.assert_close(sampled.xs, torch.tensor(vectors, dtype=torch.double))

    def test_coefficients_are_uniform_and_of_each_layer_its_own(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=3)
        alpha = torch.cat(
            [
                sampler.choose(problem.user, problem.pos, problem.user_xs, problem.item_xs).state
                for _ in range(200)
            ]
        )
        assert alpha.shape == (1800, 3, 4)
        assert 0 <= alpha.min() < 0.01
        assert 0.99 < alpha.max() < 1
        assert abs(alpha.mean() - 0.5) < 0.01
        assert torch.corrcoef(alpha.view(-1, 4).t()).fill_diagonal_(0).abs().max() < 0.06

    def test_lies_between_the_positive_and_the_hardest_layer_by_layer(self) -> None:
        problem = toy()
        negatives = self.sample(self.make(problem), problem)
        pos = gather_rows(problem.item_xs, problem.pos)
        hard = gather_rows(problem.item_xs, negatives.index.squeeze(1))
        step, whole = negatives.xs.squeeze(1) - pos, hard - pos
        share = (step * whole).sum(-1, keepdim=True) / whole.square().sum(-1, keepdim=True)
        assert ((share >= 0) & (share <= 1)).all()
        torch.testing.assert_close(step, share * whole)

    def test_selects_the_boundary_items_of_dins(self) -> None:
        problem = toy()
        candidates = torch.randint(12, (9, 6), generator=problem.generator())
        mixed = self.sample(self.make(problem), problem, candidates=candidates)
        dins = self.sample(DINS(), problem, candidates=candidates)
        assert torch.equal(mixed.index, dins.index)
