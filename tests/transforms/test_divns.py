"""DivNS: the k-DPP by enumerating all subsets; the caches; and what is mixed."""

from __future__ import annotations

import io
import itertools
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from grid import every_case, problem_and_candidates
from oracles.scoring import candidate_scores
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import SamplerContract, toy
from pyg_negsamp.transforms import DivNS
from pyg_negsamp.transforms.k_dpp import conditioned, k_dpp

DRAWS = 20_000


def vectors(num: int, dim: int = 4) -> Tensor:
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(num)).double()


def subsets(kernel: Tensor, num: int) -> dict[tuple[int, ...], float]:
    """All subsets of a size, by their determinants."""
    found = {
        y: float(torch.linalg.det(kernel[list(y)][:, list(y)]))
        for y in itertools.combinations(range(len(kernel)), num)
    }
    return {y: det / sum(found.values()) for y, det in found.items()}


def check(kernel: Tensor, num: int, expected: dict[tuple[int, ...], float]) -> None:
    drawn = k_dpp(kernel.expand(DRAWS, -1, -1), num, torch.Generator().manual_seed(0))
    observed = Counter(map(tuple, drawn.sort(dim=1).values.tolist()))
    assert set(observed) <= set(expected)
    likely = [y for y, p in expected.items() if p * DRAWS > 5]
    rare = DRAWS - sum(observed[y] for y in likely)
    assert rare <= 5 * len(expected) + 5
    counts = [observed[y] for y in likely] + [rare]
    wanted = [expected[y] * DRAWS for y in likely]
    wanted.append(DRAWS - sum(wanted))
    keep = [n for n, w in enumerate(wanted) if w > 1e-2]
    scale = sum(counts[n] for n in keep) / sum(wanted[n] for n in keep)
    assert len(keep) == 1 or (
        chisquare([counts[n] for n in keep], [wanted[n] * scale for n in keep]).pvalue > 1e-4
    )


@pytest.mark.parametrize("num", [1, 2, 3, 6])
def test_subsets_by_enumeration(num: int) -> None:
    x = vectors(6, dim=7)
    check(x @ x.t(), num, subsets(x @ x.t(), num))


@pytest.mark.parametrize("num", [1, 2])
def test_subsets_given_others_by_enumeration(num: int) -> None:
    """As those subsets of all vectors that hold the others."""
    x = vectors(7, dim=7)
    every = x @ x.t()
    given = {y: p for y, p in subsets(every, num + 2).items() if {5, 6} <= set(y)}
    expected = {y[:-2]: p / sum(given.values()) for y, p in given.items()}
    kernel = conditioned(x[None, :5], on=x[None, 5:])[0]
    check(kernel, num, expected)


def test_what_is_there_twice_is_drawn_once() -> None:
    """And there is a subset even where vectors leave nothing beside each other."""
    x = vectors(4, dim=3)
    twice = torch.cat([x, x])
    drawn = k_dpp((twice @ twice.t()).expand(3000, -1, -1), 3, torch.Generator().manual_seed(0))
    assert (drawn % 4).sort(dim=1).values.diff(dim=1).gt(0).all()
    for kernel in (torch.zeros(5, 5).double(), torch.ones(5, 5).double()):
        drawn = k_dpp(kernel.expand(100, -1, -1), 3, torch.Generator().manual_seed(0))
        assert drawn.sort(dim=1).values.diff(dim=1).gt(0).all()


class TestDivNS(SamplerContract):
    sampler_class = DivNS

    @every_case
    def test_mixes_the_hardest_with_the_diverse(
        self, num_layers: int, num_negatives: int, pool: str
    ) -> None:
        problem, candidates = problem_and_candidates(num_layers)
        sampler = self.make(problem, num_negatives=num_negatives, pool=pool, weight=0.7)
        found = self.sample(sampler, problem, candidates=candidates)
        scores = candidate_scores(problem.user, problem.user_xs, problem.item_xs, candidates, pool)
        table = torch.stack(problem.item_xs, 1)
        for b, row in enumerate(candidates.tolist()):
            best = sorted(zip(map(float, scores[b]), row, strict=True), reverse=True)
            hard = [item for _, item in best[:num_negatives]]
            assert found.index[b].tolist() == hard
            partner = (found.xs[b] - 0.7 * table[hard]) / 0.3
            diverse = table[sampler.diverse[problem.user[b]]]
            for x in partner:
                assert (x - diverse).flatten(1).norm(dim=1).min() < 1e-9

    def test_caches_what_it_did_not_use(self) -> None:
        problem = toy(0)
        problem.user, problem.pos = torch.tensor([4, 0, 4]), torch.tensor([1, 2, 3])
        options = {"num_unused": 3, "num_cached": 5, "check_positives": False}
        sampler = self.make(problem, num_candidates=8, num_negatives=2, **options)
        before = {name: x.clone() for name, x in sampler.named_buffers()}
        drawn = sampler.candidates(problem.user, 8, problem.generator())
        self.sample(sampler, problem)
        scores = problem.user_xs[0][problem.user] @ problem.item_xs[0].t()
        ranked = drawn.gather(1, scores.gather(1, drawn).argsort(dim=1, descending=True))
        score = problem.item_xs[0] @ problem.user_xs[0].t()
        for user, b in ((0, 1), (4, 2)):  # of two rows, the last
            of = score[:, user]
            torch.testing.assert_close(of[sampler.cached[user, 2:]], of[ranked[b, 2:5]])
            assert torch.equal(sampler.cached[user, :2], before["cached"][user, 3:])
            torch.testing.assert_close(of[sampler.used[user, -2:]], of[ranked[b, :2]])
        idle = torch.tensor([1, 2, 3, 5, 6])
        for name in ("cached", "used"):
            assert torch.equal(getattr(sampler, name)[idle], before[name][idle])
        assert torch.equal(sampler.diverse, before["diverse"])
        self.sample(sampler, problem, candidates=torch.arange(8).expand(3, -1))
        assert torch.equal(sampler.cached[idle], before["cached"][idle])

    def test_subsets_are_diverse_and_away_from_what_was_used(self) -> None:
        """Of two kinds of items, the one that was used is hardly ever taken."""
        problem = toy(0)
        kinds = torch.eye(2).double()[torch.arange(12) % 2]
        items = kinds + 1e-2 * problem.item_xs[0][:, :2]
        sampler = self.make(problem, num_cached=6, num_diverse=1)
        sampler.cached[:] = torch.arange(6)
        sampler.used[:] = 8  # an even one
        taken = []
        for epoch in range(20):
            sampler.set_epoch(epoch, 20)
            sampler.refresh({"user": torch.ones(7, 2).double(), "item": items})
            taken.append(sampler.diverse.clone())
        assert (torch.stack(taken) % 2).double().mean() > 0.95
        assert len(torch.stack(taken).unique()) >= 3

    def test_never_holds_a_known_item(self) -> None:
        problem = toy()
        sampler = self.make(problem)
        user, item = problem.data[EDGE_TYPE].edge_index
        seen = torch.zeros(7, 12, dtype=torch.bool)
        seen[user, item] = True
        for epoch in range(4):
            sampler.start_epoch(epoch, 4, problem.x_dict())
            self.sample(sampler, problem)
            for name in ("cached", "used", "diverse"):
                assert not seen.gather(1, getattr(sampler, name)).any()

    def test_goes_on_from_a_file_as_it_would_have(self) -> None:
        problem = toy()
        first, second = self.make(problem), self.make(problem)
        for epoch in range(3):
            first.start_epoch(epoch, 9, problem.x_dict())
            self.sample(first, problem)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        results = []
        for sampler in (first, second):
            sampler.start_epoch(3, 9, problem.x_dict())
            results.append(self.sample(sampler, problem).xs)
        assert torch.equal(*results)

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"weight": 1.1}, "weight"),
            ({"num_unused": 0}, "num_unused"),
            ({"num_cached": 0}, "num_cached"),
            ({"num_diverse": 0}, "num_diverse"),
            ({"num_diverse": 30}, "num_diverse"),
            ({"num_cached": 3}, "num_diverse"),
        ],
    )
    def test_refuses_bad_arguments_of_its_own(self, arguments: dict, name: str) -> None:
        with pytest.raises(ValueError, match=f"DivNS: '{name}'"):
            DivNS(toy().data, **arguments)
        with pytest.raises(ValueError, match="DivNS: 'candidates' must be given"):
            DivNS()


def test_as_many_as_there_are_vectors_and_more() -> None:
    """Products of so many small eigenvalues are below the least float64."""
    x = vectors(100, dim=30)
    for num in (63, 99, 100):
        drawn = k_dpp((x @ x.t()).expand(20, -1, -1), num, torch.Generator().manual_seed(0))
        assert all(len(row.unique()) == num for row in drawn)
