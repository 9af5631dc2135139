"""IRGAN against its loop oracle: policy, draws, and policy gradient."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from grid import every_case, problem_and_candidates
from oracles import policy
from oracles.scoring import candidate_scores, score
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.layers import gather_rows, pool_rows
from pyg_negsamp.losses import BPRLoss
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import IRGAN


def generator_scores(sampler: IRGAN, user: Tensor, candidates: Tensor) -> Tensor:
    """The generator's scores `[B, M]`, one dot product after the other."""
    users, items = sampler.users.weight.detach(), sampler.items.weight.detach()
    rows = [
        [float(users[u] @ items[c]) for c in row]
        for u, row in zip(user.tolist(), candidates.tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.double)


def advantages(
    sampler: IRGAN, problem: Toy, candidates: Tensor, drawn: list[list[int]]
) -> tuple[list[list[float]], list[float]]:
    """The rewards of the drawn positions, `[B][K]`, and the expected reward, `[B]`."""
    given = generator_scores(sampler, problem.user, candidates)
    distribution = policy.probabilities(given, sampler.temperature)
    args = problem.user_xs, problem.item_xs
    scores = candidate_scores(problem.user, *args, candidates, sampler.pool)
    rewards, baselines = [], []
    for b in range(len(drawn)):
        d_pos = score(*args, int(problem.user[b]), int(problem.pos[b]), sampler.pool)
        of_b = [policy.reward(d_neg, d_pos, "pairwise") for d_neg in scores[b]]
        rewards.append([of_b[m] for m in drawn[b]])
        baselines.append(policy.expected_reward(distribution[b], of_b))
    return rewards, baselines


def positions(candidates: Tensor, index: Tensor) -> list[list[int]]:
    """Where in its row of candidates, all different, every chosen item stands."""
    return [
        [row.index(item) for item in chosen]
        for row, chosen in zip(candidates.tolist(), index.tolist(), strict=True)
    ]


class TestIRGAN(SamplerContract):
    sampler_class = IRGAN
    arguments = {"dim": 3, "temperature": 0.2}  # noqa: RUF012

    @pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
    def test_probabilities_equal_the_oracle(self, temperature: float) -> None:
        problem, candidates = problem_and_candidates(0)
        sampler = self.make(problem, temperature=temperature)
        scores = generator_scores(sampler, problem.user, candidates)
        log_p = torch.tensor(policy.log_probabilities(scores, temperature), dtype=torch.double)
        torch.testing.assert_close(sampler.log_policy(problem.user, candidates), log_p)

    def test_draws_follow_the_policy(self) -> None:
        """One negative by its probability; a pair by those of both, one after the other."""
        problem = toy(0)
        size = 8000
        user = torch.zeros(size, dtype=torch.long)
        candidates = torch.arange(5).expand(size, -1)
        xs = problem.user_xs, problem.item_xs
        torch.manual_seed(3)
        one, two = (self.make(problem, num_negatives=k, check_positives=False) for k in (1, 2))
        two.load_state_dict(one.state_dict())
        (p,) = policy.probabilities(generator_scores(one, user[:1], candidates[:1]), 0.2)
        assert max(p) > 1.5 * min(p)

        index = one.sample(user, user, *xs, candidates, problem.generator()).index
        counts = index.flatten().bincount(minlength=5)
        assert chisquare(counts, [size * x for x in p]).pvalue > 1e-3
        assert chisquare(counts).pvalue < 1e-6

        index = two.sample(user, user, *xs, candidates, problem.generator()).index
        pairs = list(itertools.combinations(range(5), 2))
        found = [tuple(sorted(row)) for row in index.tolist()]
        counts = [found.count(pair) for pair in pairs]
        assert sum(counts) == size  # never the same one twice
        wanted = [size * p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j])) for i, j in pairs]
        assert chisquare(counts, wanted).pvalue > 1e-3

    @every_case
    def test_loss_and_gradients_are_the_policy_gradient(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        negatives = self.sample(sampler, problem, candidates=candidates)
        drawn = positions(candidates, negatives.index)
        rewards, baselines = advantages(sampler, problem, candidates, drawn)
        scores = generator_scores(sampler, problem.user, candidates)
        log_p = policy.log_probabilities(scores, 0.2)
        value = policy.policy_gradient_loss(
            [[row[m] for m in chosen] for row, chosen in zip(log_p, drawn, strict=True)],
            rewards,
            baselines,
        )
        assert negatives.loss.item() == pytest.approx(value)

        negatives.loss.backward()
        of_users, of_items = (torch.zeros_like(x.weight) for x in (sampler.users, sampler.items))
        for b, k in itertools.product(range(9), range(num_negatives)):
            advantage = rewards[b][k] - baselines[b]
            gradient = policy.policy_gradient(scores[b].tolist(), 0.2, drawn[b][k], advantage)
            user = problem.user[b]
            for m, item in enumerate(candidates[b]):
                share = gradient[m] / (9 * num_negatives)
                of_users[user] += share * sampler.items.weight[item].detach()
                of_items[item] += share * sampler.users.weight[user].detach()
        assert of_users.abs().max() > 1e-4
        torch.testing.assert_close(sampler.users.weight.grad, of_users)
        torch.testing.assert_close(sampler.items.weight.grad, of_items)

    @every_case
    def test_generator_and_recommender_do_not_train_each_other(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        tables = [*problem.user_xs, *problem.item_xs]
        for x in tables:
            x.requires_grad_()
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool)
        negatives = self.sample(sampler, problem)
        negatives.loss.backward(retain_graph=True)
        assert all(x.grad is None for x in tables)
        before = [x.grad.clone() for x in sampler.parameters()]
        assert all(x.abs().sum() > 0 for x in before)

        u = pool_rows(gather_rows(problem.user_xs, problem.user), pool)
        p = pool_rows(gather_rows(problem.item_xs, problem.pos), pool)
        n = pool_rows(negatives.xs, pool)
        BPRLoss()((u * p).sum(-1), (u.unsqueeze(1) * n).sum(-1)).backward()
        assert tables[-1].grad.abs().sum() > 0
        for old, x in zip(before, sampler.parameters(), strict=True):
            assert torch.equal(old, x.grad)

    def test_hands_on_the_rows_as_they_are(self) -> None:
        problem, candidates = problem_and_candidates(3)
        negatives = self.sample(self.make(problem, num_negatives=3), problem, candidates=candidates)
        rows = gather_rows(problem.item_xs, negatives.index.flatten()).unflatten(0, (9, 3))
        assert torch.equal(negatives.xs, rows)
        assert all(len(set(row)) == 3 for row in negatives.index.tolist())

    @pytest.mark.parametrize("num_negatives", [1, 3])
    def test_training_finds_the_hardest_candidate(self, num_negatives: int) -> None:
        """And leaves the easiest."""
        problem = toy(0)
        candidates = torch.tensor([[0, 3, 4, 7]]).expand(9, -1)
        torch.manual_seed(0)
        sampler = self.make(problem, num_negatives=num_negatives, dim=8, temperature=1.0)
        scores = problem.user_xs[0][problem.user] @ problem.item_xs[0].t()
        order = scores.gather(1, candidates).argsort(1)
        before = sampler.log_policy(problem.user, candidates).exp().detach()
        optimizer = torch.optim.Adam(sampler.parameters(), lr=0.02)
        generator = problem.generator()
        for _ in range(60):
            optimizer.zero_grad()
            given = {"candidates": candidates, "generator": generator}
            self.sample(sampler, problem, **given).loss.backward()
            optimizer.step()
        after = sampler.log_policy(problem.user, candidates).exp().detach()
        rise = (after - before).gather(1, order).mean(0)
        assert rise[-1] > 0.1
        assert rise[0] < -0.05

    def test_low_temperature_draws_the_best_of_the_generator(self) -> None:
        """And stays finite where all other probabilities vanish, also for more negatives."""
        problem, candidates = problem_and_candidates(0)
        torch.manual_seed(0)
        sampler = self.make(problem, num_negatives=3, temperature=1e-6)
        negatives = self.sample(sampler, problem, candidates=candidates)
        best = generator_scores(sampler, problem.user, candidates).argmax(1, keepdim=True)
        assert (negatives.index == candidates.gather(1, best)).any(1).all()
        negatives.loss.backward()
        assert negatives.loss.isfinite()
        assert all(x.grad.isfinite().all() for x in sampler.parameters())

    def test_state_is_a_vector_for_every_user_and_item(self) -> None:
        state = self.make(toy()).state_dict()
        shapes = {name: tuple(x.shape) for name, x in state.items()}
        assert shapes == {"users.weight": (7, 3), "items.weight": (12, 3)}

    @pytest.mark.parametrize(
        ("name", "value"),
        [("dim", 0), ("temperature", 0.0), ("temperature", float("nan")), ("temperature", -1.0)],
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        candidates = UniformCandidates(toy().data)
        with pytest.raises(ValueError, match=f"{self.sampler_class.__name__}: '{name}'"):
            self.sampler_class(candidates, **{name: value})

    def test_needs_to_know_how_many_users_there_are(self) -> None:
        with pytest.raises(ValueError, match=f"{self.sampler_class.__name__}: 'candidates'"):
            self.sampler_class()
