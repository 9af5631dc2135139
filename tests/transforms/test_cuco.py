"""CuCo against its loop oracle, epoch by epoch."""

from __future__ import annotations

import pytest
import torch

from grid import as_given, every_case, problem_and_candidates
from oracles import cuco
from pyg_negsamp.testing import SamplerContract
from pyg_negsamp.transforms import DNS, CuCo


class TestCuCo(SamplerContract):
    sampler_class = CuCo

    @every_case
    @pytest.mark.parametrize("max_epochs", [1, 7, 10])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, max_epochs: int
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        for epoch in range(max_epochs):
            sampler.set_epoch(epoch, max_epochs)
            found = self.sample(sampler, problem, candidates=candidates).index
            user, _, *xs = as_given(problem)
            expected = cuco.select(user, *xs, candidates, epoch, max_epochs, num_negatives, pool)
            assert found.tolist() == expected

    def test_starts_as_dns_and_never_runs_out(self) -> None:
        problem, candidates = problem_and_candidates(3)
        hardest = self.sample(DNS(), problem, candidates=candidates).index
        for never_told in (True, False):
            sampler = CuCo()
            if not never_told:
                sampler.set_epoch(0, 50)
            assert torch.equal(self.sample(sampler, problem, candidates=candidates).index, hardest)
        for epoch, max_epochs in ((49, 50), (50, 50), (3, 0)):
            sampler.set_epoch(epoch, max_epochs)
            found = self.sample(sampler, problem, candidates=candidates).index
            assert torch.equal(found, candidates[:, :1])
