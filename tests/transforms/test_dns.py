"""DNS against its loop oracle."""

from __future__ import annotations

import pytest
import torch

from grid import as_given, every_case
from oracles import selection
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DNS


class TestDNS(SamplerContract):
    sampler_class = DNS

    @every_case
    def test_equals_the_oracle(self, num_layers: int, num_negatives: int, pool: str) -> None:
        problem = toy(num_layers, seed=1)
        candidates = torch.randint(12, (9, 6), generator=problem.generator())  # some twice in a row
        negatives = self.sample(
            self.make(problem, num_negatives=num_negatives, pool=pool),
            problem,
            candidates=candidates,
        )
        ids = selection.dns(
            *as_given(problem),
            candidates,
            num_negatives,
            pool,
        )
        assert negatives.index.tolist() == ids
        for h, x in enumerate(problem.item_xs):
            assert torch.equal(negatives.xs[:, :, h], x[negatives.index])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_other_precisions_choose_a_hardest_candidate(self, dtype: torch.dtype) -> None:
        problem = toy(0, dtype=dtype)
        sampler = DNS(self.make(problem).candidates, num_candidates=6)
        candidates = torch.arange(12).expand(9, -1)
        index = self.sample(sampler, problem, candidates=candidates).index.squeeze(1)
        scores = problem.user_xs[0][problem.user].double() @ problem.item_xs[0].double().t()
        best = scores.max(dim=1).values
        chosen = scores.gather(1, index.unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(chosen, best, rtol=2e-2, atol=2e-2)
