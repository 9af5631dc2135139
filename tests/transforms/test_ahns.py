"""AHNS against its loop oracle, also where the paper's power is undefined."""

from __future__ import annotations

import pytest
import torch

from grid import as_given, every_case, problem_and_candidates
from oracles import ahns
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import AHNS, DNS


class TestAHNS(SamplerContract):
    sampler_class = AHNS

    @every_case
    @pytest.mark.parametrize("p", [-0.5, -1.0, -1.7, -2.0, -3.0])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, p: float
    ) -> None:
        """Random scores: about half of the positives are below -alpha."""
        problem, candidates = problem_and_candidates(num_layers)
        arguments = {"alpha": 0.4, "beta": 0.7, "p": p}
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, **arguments)
        expected = ahns.select(
            *as_given(problem),
            candidates,
            **arguments,
            num_negatives=num_negatives,
            pool=pool,
        )
        assert self.sample(sampler, problem, candidates=candidates).index.tolist() == expected

    def test_zero_beta_takes_the_score_closest_to_zero(self) -> None:
        problem, candidates = problem_and_candidates(0)
        chosen = self.sample(AHNS(beta=0.0), problem, candidates=candidates).index
        scores = problem.user_xs[0][problem.user] @ problem.item_xs[0].t()
        scores = scores.gather(1, candidates)
        expected = candidates.gather(1, scores.abs().argmin(1, keepdim=True))
        assert torch.equal(chosen, expected)

    @pytest.mark.parametrize("p", [-1.5, -2.0, -4.0])
    def test_positives_scored_low_get_the_hardest_negative(self, p: float) -> None:
        """Also in single precision, where the target itself drowns the scores."""
        problem = toy(0, dtype=torch.float32)
        _, candidates = problem_and_candidates(0)
        for x in problem.user_xs:
            x *= 1e-4
        low = problem.item_xs[0][problem.pos] * 0 - 1e4 * problem.user_xs[0][problem.user]
        problem.item_xs[0] = torch.cat([problem.item_xs[0], low])
        problem.pos = torch.arange(12, 21)
        sampler = AHNS(alpha=1e-6, beta=1.0, p=p)
        hardest = self.sample(DNS(), problem, candidates=candidates).index
        assert torch.equal(self.sample(sampler, problem, candidates=candidates).index, hardest)

    def test_target_falls_as_the_positive_rises(self) -> None:
        """Criterion C2, over the whole line."""
        scores = torch.linspace(-3, 3, 50)
        target = AHNS(p=-2.0).target(scores)
        assert (target[1:] <= target[:-1]).all()
        assert AHNS(p=-2.0).target(torch.tensor([1.0])).item() == pytest.approx(0.05)
        assert AHNS(p=-1.0).target(scores).tolist() == pytest.approx([0.1] * 50)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("alpha", 0.0), ("alpha", float("nan")), ("beta", -0.1), ("p", 0.0), ("p", 1.0)],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"AHNS: '{name}'"):
            AHNS(**{name: value})
