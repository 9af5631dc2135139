"""Compiled, a sampler gives what it gives otherwise.

`sample` checks its arguments, which breaks the graph again and again, in the same places for all.
So one sampler is compiled with all that, and the others without. Most draw alike, which takes
longer to trace than their choice: one of them is traced with its draw, the others choose from
candidates that were drawn before.
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
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import SAMPLERS, Negatives, NegativeSampling

#: The sampler that goes through the whole compiler; the others are traced, which takes half a
#: second.
WHOLE = "dns"
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


@torch.no_grad()
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_compiled_equals_eager(name: str) -> None:
    """From torch's own stream, but where the whole compiler has one of its own."""
    if name == WHOLE and shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    logging.getLogger("torch._dynamo").setLevel(
        logging.ERROR
    )  # checks of arguments break the graph
    torch._dynamo.reset()
    problem, cls = toy(0), SAMPLERS[name]
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    own |= {"num_candidates": 8} if cls.takes_candidates else {}
    eager = cls(cls.proposal(problem.data), num_negatives=2, **own).double()
    backend = "inductor" if name == WHOLE else "aot_eager" if name in ANY_SIZE else "eager"
    twin = copy.deepcopy(eager)
    call = twin.sample if name == WHOLE else without_checks(twin)
    compiled = torch.compile(call, backend=backend, dynamic=name in ANY_SIZE)
    given = [problem.user, problem.pos, problem.user_xs[0], problem.item_xs[0], None]
    if draws_as_most(cls) and name not in (WHOLE, DRAWS):
        given[-1] = eager.draw(problem.user, problem.pos, problem.generator())
    results = []
    for sample in (compiled, eager.sample):
        torch.manual_seed(0)
        generator = problem.generator() if name == WHOLE else None
        results.append(vars(sample(*given, generator=generator)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
