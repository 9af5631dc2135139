"""MCNS: one step by enumeration of the whole transition matrix, and where many steps lead."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from grid import every_case, problem_and_candidates
from oracles.scoring import candidate_scores
from pyg_negsamp.candidates import (
    BatchCandidates,
    Candidates,
    PopularityCandidates,
    UniformCandidates,
)
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import MCNS

SIZE = 20_000
#: Item 5 is known to everybody who counts, and scores highest; some score below zero.
SCORES = [2.0, -1.5, 0.3, -0.2, 1.0, 9.0]
DEGREES = [1, 8, 2, 5, 3]
#: The two nearest items of each; not symmetric, and the known item is among them.
NEAR = [[1, 5], [0, 2], [0, 1], [5, 4], [3, 2], [3, 4]]
TABLES = torch.ones(SIZE + 8, 1).double(), torch.tensor(SCORES, dtype=torch.double)[:, None]
USER, POS = torch.arange(SIZE), torch.full((SIZE,), 5)


def crowd() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = SIZE + 8, 6
    links = [(SIZE + n, item) for item, degree in enumerate(DEGREES) for n in range(degree)]
    data[EDGE_TYPE].edge_index = torch.cat([torch.stack([USER, POS]), torch.tensor(links).t()], 1)
    return data


def target(alpha: float) -> list[float]:
    weight = [(1 / (1 + math.exp(-s))) ** alpha for s in SCORES[:5]]
    return [w / sum(weight) for w in weight]


def transitions(p: list[float], q: list[float], near: bool) -> Tensor:
    """The chance of getting from each unseen item to each other in one step, and of staying."""
    T = torch.zeros(5, 5, dtype=torch.double)

    def proposed(y: int, x: int) -> float:
        return 0.5 * q[y] + 0.5 * (y in NEAR[x]) / 2 if near else q[y]

    for x in range(5):
        for y in range(5):
            if x != y:
                ratio = p[y] * proposed(x, y) / (p[x] * proposed(y, x))
                T[x, y] = proposed(y, x) * min(1.0, ratio)
        T[x, x] = 1 - T[x].sum()
    return T


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
class TestWalk:
    """With uniform proposals and others, with neighbours and before there are any."""

    def made(self, source: type[Candidates], near: bool, steps: int) -> tuple[MCNS, Tensor]:
        weight = [1.0] * 5 if source is UniformCandidates else [d**0.75 for d in DEGREES]
        T = transitions(target(0.6), [w / sum(weight) for w in weight], near)
        sampler = MCNS(source(crowd()), alpha=0.6, num_near=2, num_candidates=steps)
        if near:
            sampler.near[:] = torch.tensor(NEAR)
        return sampler, T

    def walk(self, sampler: MCNS) -> Tensor:
        stream = torch.Generator().manual_seed(3)
        index = sampler.sample(USER, POS, *TABLES, generator=stream).index
        assert index is not None
        assert torch.equal(sampler.memory[:SIZE], index[:, -1])
        return index.flatten().bincount(minlength=5)

    @pytest.mark.filterwarnings("ignore:.*was not told of epochs")
    def test_one_step_by_enumeration(self, source: type[Candidates], near: bool) -> None:
        sampler, T = self.made(source, near, steps=1)
        p = torch.tensor(target(0.6), dtype=torch.double)
        torch.testing.assert_close(p @ T, p)  # so the target is where the chain settles
        for start in range(5):
            sampler.memory.fill_(start)
            assert chisquare(self.walk(sampler), T[start] * SIZE).pvalue > 1e-4

    @pytest.mark.filterwarnings("ignore:.*was not told of epochs")
    def test_many_steps_lead_to_the_target(self, source: type[Candidates], near: bool) -> None:
        """In one call and over several: the chain goes on where it was."""
        sampler, _ = self.made(source, near, steps=20)
        sampler.memory.fill_(3)
        for _ in range(3):
            found = self.walk(sampler)
        assert chisquare(found, torch.tensor(target(0.6)) * SIZE).pvalue > 1e-4


class TestMCNS(SamplerContract):
    sampler_class = MCNS

    @pytest.mark.parametrize("source", [UniformCandidates, PopularityCandidates])
    def test_a_walk_among_given_candidates(self, source: type[Candidates]) -> None:
        """Drawn as the source would: after many, by the target; the chains stay where they are."""
        data = crowd()
        sampler = MCNS(source(data), alpha=0.6)
        before = sampler.memory.clone()
        drawn = source(data)(USER, 25, torch.Generator().manual_seed(5))
        index = sampler.sample(USER, POS, *TABLES, candidates=drawn).index
        assert index is not None
        expected = torch.tensor(target(0.6)) * SIZE
        assert chisquare(index.flatten().bincount(minlength=5), expected).pvalue > 1e-4
        assert torch.equal(sampler.memory, before)

    @every_case
    def test_given_candidates_step_by_step(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, alpha=0.8)
        index = self.sample(sampler, problem, candidates=candidates).index
        chance = torch.empty(9, 6, dtype=torch.double).uniform_(generator=problem.generator())
        scores = candidate_scores(problem.user, problem.user_xs, problem.item_xs, candidates, pool)
        for b, row in enumerate(candidates.tolist()):
            p = [(1 / (1 + math.exp(-float(s)))) ** 0.8 for s in scores[b]]
            at, states = 0, [row[0]]
            for m in range(1, 6):
                at = m if chance[b, m] < p[m] / p[at] else at
                states.append(row[at])
            assert index[b].tolist() == states[-num_negatives:]

    @pytest.mark.parametrize("pool", ["mean", "concat"])
    def test_neighbours_are_the_nearest_by_cosine(self, pool: str) -> None:
        problem = toy()
        sampler = self.make(problem, pool=pool, num_near=3)
        assert (sampler.near == -1).all()
        sampler.refresh(problem.x_dict())
        xs = torch.stack(problem.item_xs, 1)
        xs = xs.flatten(1) if pool == "concat" else xs.mean(1)
        for item, near in enumerate(sampler.near.tolist()):
            cosines = [float(torch.cosine_similarity(xs[item], x, 0)) for x in xs]
            others = sorted((i for i in range(12) if i != item), key=lambda i: -cosines[i])
            assert near == others[:3]
        assert MCNS(problem.data, num_near=50).near.shape == (12, 11)

    def test_never_a_known_item_though_it_is_near(self) -> None:
        problem = toy()
        sampler = self.make(problem, num_near=11, num_negatives=6)
        sampler.refresh(problem.x_dict())
        user, item = problem.data[EDGE_TYPE].edge_index
        seen = torch.zeros(7, 12, dtype=torch.bool)
        seen[user, item] = True
        for seed in range(20):
            stream = torch.Generator().manual_seed(seed)
            index = self.sample(sampler, problem, generator=stream).index
            assert not seen[problem.user].gather(1, index).any()
            assert not seen.gather(1, sampler.memory.unsqueeze(1)).any()

    @pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("num_near", 0)])
    def test_refuses_bad_arguments_of_its_own(self, name: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"MCNS: '{name}'"):
            MCNS(**{name: value})

    def test_chains_do_not_move_by_what_is_in_a_batch(self) -> None:
        problem = toy()
        one, other = (
            self.sample(MCNS(source(problem.data)), problem)
            for source in (UniformCandidates, BatchCandidates)
        )
        assert torch.equal(one.index, other.index)

    def test_a_walk_among_what_the_batch_offers(self) -> None:
        """Items 0 to 4 as often as DEGREES say, which is taken off."""
        data, num = crowd(), 4000
        offered = torch.arange(5).repeat_interleave(torch.tensor(DEGREES))
        user = torch.full_like(offered, SIZE)  # whose rows offer them
        source = BatchCandidates(data, also=torch.stack([user, offered]))
        rows = torch.cat([USER[:num], user]), torch.cat([POS[:num], offered])
        drawn = source(rows[0], 25, torch.Generator().manual_seed(5), rows[1])
        sampler = MCNS(source, alpha=0.6)
        index = sampler.sample(*rows, *TABLES, candidates=drawn).index[:num]
        expected = torch.tensor(target(0.6), dtype=torch.double) * num
        assert chisquare(index.flatten().bincount(minlength=5), expected).pvalue > 1e-4

    def test_in_a_graph_of_one_kind_no_user_is_near_an_item(self) -> None:
        problem = toy()
        user, item = problem.data[EDGE_TYPE].edge_index
        num = problem.data["user"].num_nodes
        links = torch.stack([user, item + num])
        data = Data(edge_index=torch.cat([links, links.flip(0)], 1), num_nodes=num + 12)
        sampler = MCNS(UniformCandidates(data, items=range(num, num + 12)), num_near=30)
        x = [torch.cat(both) for both in zip(problem.user_xs, problem.item_xs, strict=True)]
        sampler.refresh(x)
        alone = MCNS(UniformCandidates(problem.data), num_near=30)
        alone.refresh(problem.x_dict())
        assert torch.equal(sampler.near[num:] - num, alone.near)
