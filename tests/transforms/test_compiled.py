"""`torch.compile(sampler.sample)` gives what `sampler.sample` gives, of every sampler."""

from __future__ import annotations

import copy
import inspect
import logging
import shutil

import pytest
import torch

from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import SAMPLERS

#: The sampler that goes through the whole compiler; the others are traced, which takes a second.
WHOLE = "dns"
#: Samplers that draw real and whole numbers themselves: traced for batches of any size.
ANY_SIZE = ("mixgcf", "contrastive-dns")


@torch.no_grad()
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_compiled_equals_eager(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """From torch's own stream, but where the whole compiler has one of its own."""
    if name == WHOLE and shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    caplog.set_level(logging.ERROR, "torch._dynamo")  # checks of arguments break the graph
    torch._dynamo.reset()
    problem, cls = toy(0), SAMPLERS[name]
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    eager = cls(cls.proposal(problem.data), num_candidates=8, num_negatives=2, **own).double()
    backend = "inductor" if name == WHOLE else "aot_eager"
    compiled = torch.compile(copy.deepcopy(eager).sample, backend=backend, dynamic=name in ANY_SIZE)
    tables = problem.user_xs[0], problem.item_xs[0]
    results = []
    for sample in (compiled, eager.sample):
        torch.manual_seed(0)
        generator = problem.generator() if name == WHOLE else None
        results.append(vars(sample(problem.user, problem.pos, *tables, generator=generator)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
