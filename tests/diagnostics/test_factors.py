"""Hard and easy factors of ANS, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.diagnostics import ans_factors
from pyg_negsamp.layers import pool_layers
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import ANS, DNS


def test_by_hand() -> None:
    sampler = ANS(dim=2)
    for each in (sampler.item_map, sampler.user_map):
        torch.nn.init.eye_(each.weight)
    user_xs = torch.tensor([[math.log(3), -1.0]])
    item_xs = torch.tensor([[1.0, 0.0], [2.0, 8.0]])
    one = torch.tensor([0])
    found = ans_factors(sampler, one, torch.tensor([1]), one[None], user_xs, item_xs)
    # sigmoid(1 * ln 3) = 3 / 4; sigmoid(0 * -1) = 1 / 2.
    expected = {
        "hard": [[0.75, 0.0]],
        "easy": [[0.25, 0.0]],
        "positive hard": [[1.5, 4.0]],
        "positive easy": [[0.5, 4.0]],
    }
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(rows))


@pytest.mark.parametrize("pool", ["mean", "concat"])
def test_hard_and_easy_are_the_whole(pool: str) -> None:
    problem = toy(2)
    sampler = ANS(UniformCandidates(problem.data), dim=5, pool=pool).double()
    candidates = torch.randint(12, (9, 4), generator=problem.generator())
    given = (problem.user, problem.pos, candidates, problem.user_xs, problem.item_xs)
    found = ans_factors(sampler, *given)
    table = pool_layers(problem.item_xs, pool)
    torch.testing.assert_close(found["hard"] + found["easy"], table[candidates].flatten(0, 1))
    positive = table[problem.pos].repeat_interleave(4, dim=0)
    torch.testing.assert_close(found["positive hard"] + found["positive easy"], positive)


def test_refuses_what_is_wrong() -> None:
    problem = toy(0)
    ids = torch.zeros(2, 3).long()
    good = (ANS(dim=5).double(), ids[:, 0], ids[:, 1], ids, problem.user_xs, problem.item_xs)
    assert ans_factors(*good)["hard"].shape == (6, 5)
    for place, wrong, said in (
        (0, DNS(), r"'sampler' must be an ANS that disentangles \(got a DNS\)"),
        (0, ANS(dim=5, disentangle=False), "'sampler' must be an ANS that disentangles"),
        (0, ANS(dim=6), "'user_xs' must be 1 layers of width 6"),
        (3, ids[:1], r"'candidates' must be ids \[2, M\]"),
        (5, problem.item_xs * 2, "'item_xs' must be 1 layers of width 5"),
    ):
        given = [*good[:place], wrong, *good[place + 1 :]]
        with pytest.raises(ValueError, match=f"^ans_factors: {said}"):
            ans_factors(*given)  # type: ignore[arg-type]
