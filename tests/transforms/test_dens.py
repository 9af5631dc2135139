"""DENS against its loop oracle, its schedule, and the loss of its gates."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from grid import as_given, every_case, problem_and_candidates
from oracles import dens
from pyg_negsamp import scoring
from pyg_negsamp.layers import POOLS, gather_rows
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import DENS, DNS
from pyg_negsamp.transforms.hardness import hardest_per_layer


def seeded(sampler: DENS) -> DENS:
    """The sampler with fixed weights and biases, large enough for gates of all sizes."""
    generator = torch.Generator().manual_seed(3)
    for parameter in sampler.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return sampler


def constant_gates(sampler: DENS, logit: float) -> DENS:
    """The sampler with gates that do not depend on what they see."""
    for parameter in sampler.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(sampler.item_map.bias, logit)
    torch.nn.init.constant_(sampler.neg_map.bias, logit)
    return sampler


def gates_of(sampler: DENS, step: float = 0.0) -> dens.Gates:
    """The sampler's maps, moved by `step` in all weights and biases."""
    none = torch.zeros(5, dtype=torch.double)
    w_i, c_i, w_u, w_n, c_n, w_p = (x.detach() + step for x in sampler.parameters())
    return dens.Gates(w_i, w_u, w_n, w_p, c_i, none, c_n, none)


class TestDENS(SamplerContract):
    sampler_class = DENS
    arguments: ClassVar[dict[str, Any]] = {"dim": 5}

    @every_case
    @pytest.mark.parametrize(("epoch", "factor"), [(0, -1.0), (3, -1.0), (25, -1.0), (3, 0.4)])
    def test_equals_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, epoch: int, factor: float
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        problem.user, problem.pos, candidates = problem.user[:4], problem.pos[:4], candidates[:4]
        arguments = {"gamma": 0.7, "warmup": 10, "factor": factor}
        sampler = seeded(self.make(problem, num_negatives=num_negatives, pool=pool, **arguments))
        sampler.set_epoch(epoch, 99)
        negatives = self.sample(sampler, problem, candidates=candidates)
        gates = gates_of(sampler)
        weight = dens.schedule(epoch, 10) if factor < 0 else factor
        ids = dens.select(*as_given(problem), candidates, gates, weight, num_negatives, pool)
        loss = dens.auxiliary_loss(*as_given(problem), ids, gates, 0.7, pool)
        assert negatives.index.tolist() == ids
        rows = gather_rows(problem.item_xs, negatives.index.flatten(0, 1))
        assert torch.equal(negatives.xs.flatten(0, 1), rows)
        # Torch's softplus is the identity above 20, so this is its precision.
        assert negatives.loss.item() == pytest.approx(loss, rel=1e-9)

    def test_the_schedule_changes_the_ranking(self) -> None:
        """So that the comparison with the oracle at several epochs says something."""
        problem, candidates = problem_and_candidates(3)
        sampler = seeded(self.make(problem, warmup=10))
        chosen = []
        for epoch in (0, 5, 10, 1000):
            sampler.set_epoch(epoch, 1001)
            chosen.append(self.sample(sampler, problem, candidates=candidates).index)
        assert not torch.equal(chosen[0], chosen[1])
        assert not torch.equal(chosen[1], chosen[2])
        assert torch.equal(chosen[2], chosen[3])

    @pytest.mark.parametrize("pool", POOLS)
    def test_blocks_do_not_show(self, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One row at a time gets what all at once get."""
        problem, candidates = problem_and_candidates(3)
        sampler = seeded(self.make(problem, num_negatives=2, pool=pool))
        whole = self.sample(sampler, problem, candidates=candidates).index
        monkeypatch.setattr(scoring, "BLOCK_BYTES", 1)
        assert torch.equal(self.sample(sampler, problem, candidates=candidates).index, whole)

    def test_factor_falls_to_zero_and_can_be_fixed(self) -> None:
        sampler, fixed = DENS(warmup=4), DENS(warmup=4, factor=0.25)
        factors = []
        for epoch in range(7):
            sampler.set_epoch(epoch, 7)
            fixed.set_epoch(epoch, 7)
            factors.append(sampler.factor)
            assert fixed.factor == 0.25
        assert factors == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]
        assert DENS(factor=0.0).factor == 0.0
        assert "factor=0.25" in repr(fixed)

    @pytest.mark.parametrize("pool", POOLS)
    @pytest.mark.parametrize(
        ("logit", "factor", "sign"),
        [(0.0, 1.0, 1), (0.0, 0.0, -1), (-1e3, 0.1, 1), (1e3, 0.9, -1)],
    )
    def test_constant_gates_take_the_hardest_or_the_easiest(
        self, pool: str, logit: float, factor: float, sign: int
    ) -> None:
        """All dimensions then count alike, by `factor - gate`, above zero or below."""
        problem, candidates = problem_and_candidates(3)
        sampler = self.make(problem, pool=pool, factor=factor, num_negatives=3)
        chosen = self.sample(constant_gates(sampler, logit), problem, candidates=candidates).index
        users = [sign * x for x in problem.user_xs]
        expected = hardest_per_layer(problem.user, users, problem.item_xs, candidates, 3, pool)
        assert torch.equal(chosen, expected)

    def test_is_dns_for_one_layer_if_nothing_is_relevant(self) -> None:
        problem, candidates = problem_and_candidates(0)
        sampler = constant_gates(self.make(problem, factor=1.0), -1e3)
        chosen = self.sample(sampler, problem, candidates=candidates).index
        hard = self.sample(DNS(), problem, candidates=candidates).index
        assert torch.equal(chosen.squeeze(2), hard)

    def test_loss_of_gates_at_one_half(self) -> None:
        """Both parts score the same, `s / 2`: two terms are ln 2, two weigh `s_n - s_p`."""
        problem, candidates = problem_and_candidates(3)
        sampler = constant_gates(self.make(problem, gamma=2.0), 0.0)
        negatives = self.sample(sampler, problem, candidates=candidates)
        user = sum(problem.user_xs)[problem.user] / 4
        pos_score = (user * sum(problem.item_xs)[problem.pos] / 4).sum(1)
        neg_score = (user * negatives.xs.squeeze(1).mean(1)).sum(1)
        gap = (neg_score - pos_score) / 2
        each = 2 * math.log(2) + gap.exp().log1p() + (-gap).exp().log1p()
        torch.testing.assert_close(negatives.loss, 2.0 / 4 * each.mean())

    # Gradients ------------------------------------------------------------------------------

    @pytest.mark.parametrize("pool", POOLS)
    def test_gradients_of_the_loss_are_those_of_the_oracle(self, pool: str) -> None:
        """Of gates, users and items together, along one direction: all entries by the same."""
        problem, candidates = problem_and_candidates(3)
        problem.user, problem.pos, candidates = problem.user[:3], problem.pos[:3], candidates[:3]
        sampler = seeded(self.make(problem, pool=pool, num_negatives=2))
        tables = [*problem.user_xs, *problem.item_xs]
        for x in tables:
            x.requires_grad_()
        negatives = self.sample(sampler, problem, candidates=candidates)
        negatives.loss.backward()
        slope = sum(x.grad.sum().item() for x in (*tables, *sampler.parameters()))

        def value(step: float) -> float:
            moved = ([x.detach() + step for x in xs] for xs in as_given(problem)[2:])
            ids, gates = negatives.index.tolist(), gates_of(sampler, step)
            return dens.auxiliary_loss(problem.user, problem.pos, *moved, ids, gates, 0.3, pool)

        assert slope == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-6)
        assert abs(slope) > 1e-3

    def backward(self, sampler: DENS, problem: Toy, part: str) -> list[Tensor | None]:
        """Gradients of users, items and gates, of the loss alone or of the rows alone."""
        tables = [*problem.user_xs, *problem.item_xs]
        for x in tables:
            x.requires_grad_()
        getattr(self.sample(sampler, problem), part).square().sum().backward()
        return [x.grad for x in (*tables, *sampler.parameters())]

    def test_loss_reaches_every_gate_users_and_items(self) -> None:
        problem = toy(3)
        for grad in self.backward(seeded(self.make(problem)), problem, "loss"):
            assert grad is not None
            assert grad.abs().sum() > 0

    def test_rows_reach_the_items_alone(self) -> None:
        """The choice is without gradient, so a ranking loss does not train the gates."""
        problem = toy(3)
        grads = self.backward(seeded(self.make(problem)), problem, "xs")
        assert all(grad is None for grad in grads[:4] + grads[8:])
        assert all(grad.abs().sum() > 0 for grad in grads[4:8])

    def test_zero_embeddings(self) -> None:
        problem = toy(3)
        for x in (*problem.user_xs, *problem.item_xs):
            x.zero_()
        sampler = seeded(self.make(problem, gamma=0.5))
        loss = self.sample(sampler, problem).loss
        assert loss.item() == pytest.approx(0.5 * math.log(2))
        for grad in self.backward(sampler, problem, "loss"):
            assert grad.isfinite().all()

    def test_large_embeddings_do_not_overflow(self) -> None:
        problem = toy(3, dtype=torch.float32)
        for x in (*problem.user_xs, *problem.item_xs):
            x *= 1e4
        sampler = seeded(self.make(problem))
        assert self.sample(sampler, problem).loss.isfinite()
        for grad in self.backward(sampler, problem, "loss"):
            assert grad.isfinite().all()

    def test_zero_gamma_is_zero_loss(self) -> None:
        problem = toy(3)
        assert self.sample(seeded(self.make(problem, gamma=0.0)), problem).loss == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dim", 0),
            ("gamma", -0.1),
            ("gamma", float("nan")),
            ("gamma", float("inf")),
            ("warmup", 0),
            ("factor", -0.5),
            ("factor", 1.1),
            ("factor", float("nan")),
        ],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"DENS: '{name}'"):
            DENS(**{name: value})
