"""NSCaching: uniform out of the cache, and what stays in it, by enumeration."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from torch_geometric.data import HeteroData

from grid import every_case
from oracles.scoring import candidate_scores
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import NSCaching
from pyg_negsamp.transforms.per_user import draw_without_replacement


def crowd(num_users: int) -> HeteroData:
    """Many users who have all seen item 7 of 8."""
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = num_users, 8
    user = torch.arange(num_users)
    data[EDGE_TYPE].edge_index = torch.stack([user, torch.full_like(user, 7)])
    return data


def drawn_in_order(weights: dict[int, float], num: int) -> dict[tuple[int, ...], float]:
    """How likely each order of `num` items is, drawn one by one without replacement."""
    found = {}
    for order in itertools.permutations(weights, num):
        left, probability = sum(weights.values()), 1.0
        for item in order:
            probability *= weights[item] / left
            left -= weights[item]
        found[order] = probability
    return found


class TestNSCaching(SamplerContract):
    sampler_class = NSCaching

    @pytest.mark.parametrize("tau", [1.0, 0.5])
    def test_what_stays_in_the_cache_by_enumeration(self, tau: float) -> None:
        """Of users with equal embeddings; newcomers at random, duplicates counted once."""
        size, n1, n2 = 20_000, 2, 2
        scores = torch.tensor([0.5, -0.3, 0.9, 0.2, -0.6, 0.0, 0.4, 9.0])
        sampler = NSCaching(crowd(size), num_candidates=n1, num_new=n2, tau=tau)
        sampler.memory[:] = torch.tensor([0, 1])
        everyone, pos = torch.arange(size), torch.full((size,), 7)
        generator = torch.Generator().manual_seed(0)
        tables = torch.ones(size, 1), scores.unsqueeze(1)
        index = sampler.sample(everyone, pos, *tables, generator=generator).index
        assert index is not None
        # The negatives are either of the old cache, alike.
        assert chisquare(index.flatten().bincount(minlength=2)).pvalue > 1e-3
        sets: Counter[tuple[int, ...]] = Counter()
        for new in itertools.product(range(7), repeat=n2):
            weights = {i: float((scores[i] / tau).exp()) for i in {0, 1, *new}}
            for order, probability in drawn_in_order(weights, n1).items():
                sets[tuple(sorted(order))] += probability / 7**n2
        observed = Counter(map(tuple, sampler.memory.sort(dim=1).values.tolist()))
        assert set(observed) <= set(sets)
        expected = [size * sets[key] for key in sets]
        assert chisquare([observed[key] for key in sets], expected).pvalue > 1e-3

    def test_draws_in_order_without_replacement(self) -> None:
        """The first of the kept ones is drawn in proportion to its weight alone, and so on."""
        item = torch.tensor([[4, 1, 4, 2]]).expand(30_000, -1)
        logit = torch.tensor([0.7, -0.5, 0.7, 0.1])[None].expand(30_000, -1)
        kept = draw_without_replacement(item, logit, 2, torch.Generator().manual_seed(1))
        weights = {4: 2.0137527, 1: 0.6065307, 2: 1.1051709}
        expected = drawn_in_order(weights, 2)
        observed = Counter(map(tuple, kept.tolist()))
        found = [observed[order] for order in expected]
        assert chisquare(found, [30_000 * p for p in expected.values()]).pvalue > 1e-3

    @every_case
    def test_a_cold_cache_keeps_the_highest_scores(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem = toy(num_layers)
        arguments = {"num_negatives": num_negatives, "pool": pool, "num_new": 5}
        sampler = self.make(problem, tau=1e-9, **arguments)
        before = sampler.memory.clone()
        new = sampler.candidates(problem.user, 5, problem.generator())
        union = torch.cat([before[problem.user], new], dim=1)
        index = self.sample(sampler, problem).index
        for row, user in zip(index.tolist(), problem.user.tolist(), strict=True):
            assert set(row) <= set(before[user].tolist())  # drawn before it is renewed
        tables = problem.user, problem.user_xs, problem.item_xs
        scores = candidate_scores(*tables, union, pool)
        # A user's last row is the one that renews.
        for user, b in {u: b for b, u in enumerate(problem.user.tolist())}.items():
            pairs = set(zip(scores[b], union[b].tolist(), strict=True))
            best = [item for _, item in sorted(pairs, reverse=True)[:6]]
            assert set(sampler.memory[user].tolist()) == set(best)
        idle = [u for u in range(7) if u not in problem.user.tolist()]
        assert torch.equal(sampler.memory[idle], before[idle])

    def test_given_candidates_leave_the_cache_alone(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_negatives=2)
        before = sampler.memory.clone()
        candidates = torch.arange(6).expand(9, -1)
        index = self.sample(sampler, problem, candidates=candidates).index
        assert all(len(set(row)) == 2 for row in index.tolist())
        assert torch.equal(sampler.memory, before)
        self.sample(NSCaching(), problem, candidates=candidates)
        self.sample(sampler, problem)
        assert not torch.equal(sampler.memory, before)

    @pytest.mark.parametrize(("name", "value"), [("num_new", 0), ("tau", 0.0), ("tau", -1.0)])
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"NSCaching: '{name}'"):
            NSCaching(**{name: value})
