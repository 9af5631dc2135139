"""AdvIR against its loop oracle: IRGAN's generator, and BPR under the worst small shift."""

from __future__ import annotations

import itertools

import pytest
import torch

from grid import every_case, problem_and_candidates
from oracles import policy
from oracles.scoring import pooled
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.layers import gather_rows, pool_rows
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import IRGAN, AdvIR


class TestAdvIR(SamplerContract):
    sampler_class = AdvIR
    arguments = {"dim": 3, "temperature": 0.2}  # noqa: RUF012

    @every_case
    @pytest.mark.parametrize(("epsilon", "gamma"), [(0.0, 1.0), (0.5, 1.0), (2.0, 0.3)])
    def test_adds_the_perturbed_loss_of_the_oracle(
        self, num_layers: int, num_negatives: int, pool: str, epsilon: float, gamma: float
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        common = {"num_negatives": num_negatives, "pool": pool}
        sampler = self.make(problem, epsilon=epsilon, gamma=gamma, **common)
        irgan = IRGAN(UniformCandidates(problem.data), **self.arguments, **common).double()
        irgan.load_state_dict(sampler.state_dict())
        negatives = self.sample(sampler, problem, candidates=candidates)
        plain = self.sample(irgan, problem, candidates=candidates)
        assert torch.equal(negatives.index, plain.index)
        assert torch.equal(negatives.xs, plain.xs)
        total = 0.0
        for b, row in enumerate(negatives.index.tolist()):
            e_u = pooled(problem.user_xs, int(problem.user[b]), pool)
            e_p = pooled(problem.item_xs, int(problem.pos[b]), pool)
            for item in row:
                e_n = pooled(problem.item_xs, item, pool)
                total += policy.perturbed_bpr(e_u, e_p, e_n, epsilon, "upn")
        value = plain.loss.item() + gamma * total / (9 * num_negatives)
        assert negatives.loss.item() == pytest.approx(value)

    @pytest.mark.parametrize("epsilon", [0.0, 0.7])
    def test_gradients_are_those_of_bpr_at_the_shifted_point(self, epsilon: float) -> None:
        """The shifts are constants: the oracle's gradients, where the vectors have moved to."""
        generator = torch.Generator().manual_seed(0)
        user, pos, neg = (
            torch.randn(4, k, 5, generator=generator, dtype=torch.double).requires_grad_()
            for k in (1, 1, 3)
        )
        sampler = self.make(toy(), epsilon=epsilon)
        loss = sampler.perturbed_loss(user, pos, neg)
        assert loss.shape == (4, 3)
        loss.sum().backward()
        wanted = [torch.zeros_like(x) for x in (user, pos, neg)]
        for b in range(4):
            for k in range(3):
                rows = [x[b, i].tolist() for x, i in ((user, 0), (pos, 0), (neg, k))]
                moved = [
                    policy.perturb(row, gradient, epsilon)
                    for row, gradient in zip(rows, policy.bpr_gradients(*rows), strict=True)
                ]
                of_u, of_p, of_n = torch.tensor(policy.bpr_gradients(*moved), dtype=torch.double)
                wanted[0][b, 0] += of_u
                wanted[1][b, 0] += of_p
                wanted[2][b, k] += of_n
        for x, gradient in zip((user, pos, neg), wanted, strict=True):
            torch.testing.assert_close(x.grad, gradient)

    @every_case
    def test_perturbed_loss_trains_the_recommender_alone(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        tables = [*problem.user_xs, *problem.item_xs]
        for x in tables:
            x.requires_grad_()
        common = {"num_candidates": 6, "num_negatives": num_negatives, "pool": pool}
        sampler = self.make(problem, **common)
        irgan = IRGAN(UniformCandidates(problem.data), **self.arguments, **common).double()
        irgan.load_state_dict(sampler.state_dict())
        self.sample(irgan, problem).loss.backward()
        assert all(x.grad is None for x in tables)
        self.sample(sampler, problem).loss.backward()
        for x, y in zip(irgan.parameters(), sampler.parameters(), strict=True):
            torch.testing.assert_close(x.grad, y.grad)
        read = [problem.user_xs[-1].grad[problem.user], problem.item_xs[-1].grad[problem.pos]]
        assert all(x.abs().sum(1).gt(0).all() for x in read)

    def test_without_shift_it_is_bpr(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=3, epsilon=0.0)
        u = pool_rows(gather_rows(problem.user_xs, problem.user), "mean").unsqueeze(1)
        p = pool_rows(gather_rows(problem.item_xs, problem.pos), "mean").unsqueeze(1)
        n = pool_rows(self.sample(sampler, problem).xs, "mean")
        bpr = BPRLoss()((u * p).sum(-1).squeeze(1), (u * n).sum(-1))
        torch.testing.assert_close(sampler.perturbed_loss(u, p, n).mean(), bpr)

    def test_shifts_only_after_the_warm_up(self) -> None:
        problem = toy()
        sampler = self.make(problem, warmup=2)
        unscheduled = self.sample(sampler, problem).loss
        losses = []
        for epoch in range(3):
            sampler.set_epoch(epoch, 5)
            losses.append(self.sample(sampler, problem).loss)
        assert losses[0] == losses[1] < losses[2] == unscheduled

    def test_the_further_the_worse(self) -> None:
        problem = toy(0)
        losses = [
            self.make(problem, epsilon=epsilon).perturbed_loss(
                *(x[:7].unsqueeze(1) for x in (problem.user_xs[0], *problem.item_xs)),
                problem.item_xs[0][5:].unsqueeze(1),
            )
            for epsilon in (0.0, 0.1, 0.5, 2.0)
        ]
        for less, more in itertools.pairwise(losses):
            assert (more > less).all()

    def test_vectors_of_length_zero_stay_where_they_are(self) -> None:
        user = torch.zeros(1, 1, 5, requires_grad=True)
        pos = torch.ones(1, 1, 5, requires_grad=True)
        sampler = self.make(toy(), epsilon=0.5)
        for neg in (pos.detach().clone(), pos.detach() * 3):
            loss = sampler.perturbed_loss(user, pos, neg)
            args = ([0.0] * 5, [1.0] * 5, neg.flatten().tolist())
            assert loss.item() == pytest.approx(policy.perturbed_bpr(*args, 0.5, "upn"))
            loss.backward()
            assert user.grad.isfinite().all()
            assert pos.grad.isfinite().all()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("epsilon", -0.1),
            ("epsilon", float("inf")),
            ("gamma", -0.1),
            ("gamma", float("nan")),
            ("warmup", -1),
            ("dim", 0),
            ("temperature", 0.0),
        ],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"AdvIR: '{name}'"):
            AdvIR(UniformCandidates(toy().data), **{name: value})
        with pytest.raises(ValueError, match="AdvIR: 'candidates'"):
            AdvIR(**{name: value})
