"""Compiled, a sampler gives what it gives otherwise.

`sample` checks its arguments, which breaks the graph again and again, in the same places for all.
So one sampler is traced with all that, and the others without. Most draw alike, which takes longer
to trace than their choice: one of them is traced with its draw, the others choose from candidates
that were drawn before. One choice goes through the whole compiler, which takes ten seconds.
"""

from __future__ import annotations

import copy
import inspect
import logging
import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.layers import gather_rows
from pyg_negsamp.testing import Toy, toy
from pyg_negsamp.transforms import SAMPLERS, Negatives, NegativeSampling

#: The sampler that is traced with its checks of arguments.
CHECKS = "dns"
#: The one that is traced with the draw that most have in common.
DRAWS = "rns"
#: Samplers that draw real and whole numbers themselves: traced for batches of any size, down to
#: operations of torch.
ANY_SIZE = ("mixgcf", "contrastive-dns")


def draws_as_most(cls: type[NegativeSampling]) -> bool:
    """Whether a sampler's candidates are uniform ones, drawn as the base class does."""
    plain = cls.draw is NegativeSampling.draw and cls.choose is NegativeSampling.choose
    return plain and cls.proposal is UniformCandidates


def without_checks(sampler: NegativeSampling) -> Callable[..., Negatives]:
    """The steps of `sample`, on one layer, and nothing that looks at its arguments."""

    def steps(
        user: Tensor,
        pos: Tensor,
        users: Tensor,
        items: Tensor,
        candidates: Tensor | None,
        generator: torch.Generator | None,
    ) -> Negatives:
        chosen = sampler.choose(user, pos, [users], [items], candidates, generator)
        neg = chosen.arrange(gather_rows([items], chosen.items))
        rows = gather_rows([users], user), gather_rows([items], pos)
        return sampler.make(chosen, *rows, neg)

    return steps


def made(name: str) -> tuple[NegativeSampling, Toy]:
    problem, cls = toy(0), SAMPLERS[name]
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    own |= {"num_candidates": 8} if cls.takes_candidates else {}
    return cls(cls.proposal(problem.data), num_negatives=2, **own).double(), problem


@pytest.fixture(autouse=True)
def _nothing_is_compiled_yet() -> None:
    torch._dynamo.reset()
    # Checks of arguments break the graph, which it would say.
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)


@torch.no_grad()
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_compiled_equals_eager(name: str) -> None:
    """From torch's own stream."""
    eager, problem = made(name)
    twin = copy.deepcopy(eager)
    call = twin.sample if name == CHECKS else without_checks(twin)
    backend = "aot_eager" if name in ANY_SIZE else "eager"
    compiled = torch.compile(call, backend=backend, dynamic=name in ANY_SIZE)
    given = [problem.user, problem.pos, problem.user_xs[0], problem.item_xs[0], None]
    if draws_as_most(type(eager)) and name not in (CHECKS, DRAWS):
        given[-1] = eager.draw(problem.user, problem.pos, problem.generator())
    results = []
    for sample in (compiled, eager.sample):
        torch.manual_seed(0)
        results.append(vars(sample(*given, generator=None)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_whole_compiler() -> None:
    """Its stream of random numbers is not torch's, so that it gets candidates."""
    eager, problem = made("dns")
    candidates = eager.draw(problem.user, problem.pos, problem.generator())
    given = (problem.user, problem.pos, problem.user_xs[0], problem.item_xs[0], candidates)
    compiled = torch.compile(without_checks(eager), backend="inductor")
    results = [vars(sample(*given, generator=None)) for sample in (compiled, eager.sample)]
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
