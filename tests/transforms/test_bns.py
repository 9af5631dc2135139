"""BNS by its formula, one number at a time: the prior, the share below, and the least risk."""

from __future__ import annotations

import math

import pytest
import torch

from grid import every_case, problem_and_candidates
from oracles.scoring import candidate_scores, score
from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, Toy, toy
from pyg_negsamp.transforms import BNS


def links_of(problem: Toy) -> list[list[int]]:
    return problem.data[EDGE_TYPE].edge_index.t().tolist()


def shares(problem: Toy, shared: list[int], candidates: list[list[int]], pool: str) -> list:
    """`F` of every candidate, counted among the shared items that its user has not seen."""
    links, found = links_of(problem), []
    for user, row in zip(problem.user.tolist(), candidates, strict=True):
        unseen = [i for i in shared if [user, i] not in links]
        of = {i: score(problem.user_xs, problem.item_xs, user, i, pool) for i in range(12)}
        below = [sum(of[i] < of[item] for i in unseen if i != item) for item in row]
        found.append([(rank + 0.5) / (len(unseen) + 1) for rank in below])
    return found


def risk(pos: float, neg: float, share: float, prior: float, weight: float) -> float:
    """As the paper prints it."""
    info = 1 - 1 / (1 + math.exp(-(pos - neg)))
    unbias = (1 - share) * (1 - prior) / (1 - share - prior + 2 * share * prior)
    return info * (1 - (1 + weight) * unbias)


class TestBNS(SamplerContract):
    sampler_class = BNS

    @every_case
    @pytest.mark.parametrize("weight", [0.0, 5.0])
    def test_takes_the_least_risk(
        self, num_layers: int, num_negatives: int, pool: str, weight: float
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(
            problem, num_negatives=num_negatives, pool=pool, weight=weight, num_shared=9
        )
        index = self.sample(sampler, problem, candidates=candidates).index
        shared = torch.empty(9, dtype=torch.long).random_(12, generator=problem.generator())
        share = shares(problem, shared.tolist(), candidates.tolist(), pool)
        tables = problem.user, problem.user_xs, problem.item_xs
        neg = candidate_scores(*tables, candidates, pool)
        pos = candidate_scores(*tables, problem.pos.unsqueeze(1), pool)
        links = [item for _, item in links_of(problem)]
        for b, row in enumerate(candidates.tolist()):
            prior = [links.count(item) / len(links) for item in row]
            risks = [
                risk(float(pos[b][0]), float(n), f, p, weight)
                for n, f, p in zip(neg[b], share[b], prior, strict=True)
            ]
            best = sorted(zip(risks, row, strict=True))[:num_negatives]
            assert index[b].tolist() == [item for _, item in best]

    def test_share_below_comes_close_to_the_share_of_all_unseen_items(self) -> None:
        problem, candidates = problem_and_candidates(0)
        sampler = self.make(problem, num_shared=50_000)
        scores = torch.tensor(
            candidate_scores(problem.user, problem.user_xs, problem.item_xs, candidates, "mean")
        )
        found = sampler.share_below(
            problem.user,
            problem.user_xs[0][problem.user],
            problem.item_xs[0],
            candidates,
            scores,
            problem.generator(),
        )
        links = links_of(problem)
        for b, user in enumerate(problem.user.tolist()):
            of = problem.item_xs[0] @ problem.user_xs[0][user]
            unseen = [i for i in range(12) if [user, i] not in links]
            for m, item in enumerate(candidates[b].tolist()):
                share = sum(bool(of[i] < of[item]) for i in unseen) / len(unseen)
                assert found[b, m].item() == pytest.approx(share, abs=0.02)

    def test_shuns_what_scores_highest_where_dns_would_take_it(self) -> None:
        """And what is popular: of two items that score alike."""
        problem = toy(0)
        sampler = self.make(problem, weight=5.0)
        pos, ends = torch.zeros(1, 1), torch.tensor([[0.5, 0.999]])
        risks = sampler.risk(pos, torch.tensor([[0.0, 1.0]]), ends, torch.full((1, 2), 0.1))
        assert risks[0, 0] < 0 < risks[0, 1]
        rare, popular = sampler.risk(
            pos, torch.zeros(1, 2), torch.full((1, 2), 0.9), torch.tensor([[0.01, 0.5]])
        )[0]
        assert rare < popular

    @pytest.mark.parametrize("scale", [1.0, 1e4])
    def test_risks_are_numbers_at_the_ends(self, scale: float) -> None:
        """Where nothing is unseen among the shared items, and where all links are of one item."""
        problem = toy(0)
        user = problem.data[EDGE_TYPE].edge_index[0].unique()
        problem.data[EDGE_TYPE].edge_index = torch.stack([user, torch.full_like(user, 3)])
        problem.user, problem.pos = user, torch.full_like(user, 3)
        problem.item_xs = [x * scale for x in problem.item_xs]
        sampler = BNS(UniformCandidates(problem.data), num_shared=1)
        assert sampler.popularity.tolist() == [0, 0, 0, len(user)] + [0] * 8
        for seed in range(20):
            generator = torch.Generator().manual_seed(seed)
            index = self.sample(sampler, problem, generator=generator).index
            assert (index != 3).all()
        prior = torch.tensor([[0.0, 1.0]], dtype=torch.double)
        for share in (0.5 / 129, 128.5 / 129):
            found = sampler.risk(prior[:, :1], prior * scale, torch.full((1, 2), share), prior)
            assert found.isfinite().all()

    def test_items_that_may_be_drawn_are_those_that_count(self) -> None:
        problem = toy(0)
        source = UniformCandidates(problem.data, items=torch.tensor([0, 1]))  # which nobody has
        args = problem.user, problem.user_xs[0][problem.user], problem.item_xs[0]
        above_all = torch.full((9, 1), torch.inf, dtype=torch.double)
        found = BNS(source, num_shared=7).share_below(*args, torch.full((9, 1), 3), above_all)
        assert found.eq(7.5 / 8).all()

    @pytest.mark.parametrize(
        ("name", "value"), [("weight", -1.0), ("weight", float("nan")), ("num_shared", 0)]
    )
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"BNS: '{name}'"):
            BNS(toy().data, **{name: value})
        with pytest.raises(ValueError, match="BNS: 'candidates' must be given"):
            BNS()
