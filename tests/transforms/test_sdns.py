"""SDNS against its loop oracle, and against soft BPR."""

from __future__ import annotations

import pytest
import torch

from grid import as_given, every_case, problem_and_candidates
from oracles import sdns
from pyg_negsamp.layers import pool_layers, pool_rows
from pyg_negsamp.losses import BPRLoss, SoftBPRLoss
from pyg_negsamp.testing import SamplerContract
from pyg_negsamp.transforms import DNS, SDNS


class TestSDNS(SamplerContract):
    sampler_class = SDNS

    @every_case
    def test_equals_the_oracle(self, num_layers: int, num_negatives: int, pool: str) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, alpha=0.8)
        negatives = self.sample(sampler, problem, candidates=candidates)
        ids, vectors = sdns.sdns(*as_given(problem), candidates, 0.8, num_negatives, pool)
        assert negatives.index.tolist() == ids
        torch.testing.assert_close(negatives.xs, torch.tensor(vectors, dtype=torch.double))

    def test_is_dns_without_the_positive(self) -> None:
        problem, candidates = problem_and_candidates(3)
        pair = [
            self.sample(sampler, problem, candidates=candidates).xs
            for sampler in (SDNS(alpha=0.0), DNS())
        ]
        assert torch.equal(*pair)

    @every_case
    def test_with_bpr_is_dns_with_soft_bpr(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        """Same loss, same gradients, as the paper proves (eq. 7 and 10)."""
        problem, candidates = problem_and_candidates(num_layers)
        tables = [*problem.user_xs, *problem.item_xs]
        found = []
        for sampler, loss in (
            (SDNS(alpha=0.7, pool=pool, num_negatives=num_negatives), BPRLoss()),
            (DNS(pool=pool, num_negatives=num_negatives), SoftBPRLoss(alpha=0.7)),
        ):
            for x in tables:
                x.grad = None
                x.requires_grad_()
            negatives = self.sample(sampler, problem, candidates=candidates)
            u = pool_layers([x[problem.user] for x in problem.user_xs], pool)
            p = pool_layers([x[problem.pos] for x in problem.item_xs], pool)
            n = pool_rows(negatives.xs, pool)
            value = loss((u * p).sum(-1), (u.unsqueeze(1) * n).sum(-1))
            value.backward()
            grads = [torch.zeros_like(x) if x.grad is None else x.grad for x in tables]
            found.append([value.detach(), *grads])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)

    @pytest.mark.parametrize("alpha", [-0.1, 1.0, float("nan")])
    def test_refuses_bad_alpha(self, alpha: float) -> None:
        for cls in (SDNS, SoftBPRLoss):
            with pytest.raises(ValueError, match=f"{cls.__name__}: 'alpha'"):
                cls(alpha=alpha)
