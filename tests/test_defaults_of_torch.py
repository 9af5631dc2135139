"""What torch takes by default, another type or device, changes nothing of what is given."""

from __future__ import annotations

import pytest
import torch
from small_graph import double_precision

from pyg_negsamp.candidates import PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation.top_k import top_k
from pyg_negsamp.nn import MF
from pyg_negsamp.testing import toy
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import SAMPLERS


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_of_single_tables_where_double_is_the_default(name: str) -> None:
    problem = toy(0, dtype=torch.float32)
    cls = SAMPLERS[name]
    own = {"dim": 5} if cls.width is None and name in ("ans", "dens", "irgan", "advir") else {}
    sampler = cls(cls.proposal(problem.data), **own)
    with double_precision():
        sampler.start_epoch(0, 3, problem.x_dict())
        made = sampler.sample(problem.user, problem.pos, problem.user_xs, problem.item_xs)
    assert made.xs.dtype == torch.float32


def test_a_run_where_double_is_the_default() -> None:
    train, val, _ = SyntheticInteractions("tiny")
    with double_precision():
        model = Recommender(MF(train, 8), SAMPLERS["dns"](train, num_candidates=4))
        result = fit(model, train, val, epochs=2, device="cpu")
    assert len(result.history) >= 1


@pytest.mark.parametrize("cls", [UniformCandidates, PopularityCandidates])
def test_draws_on_the_cpu_where_another_device_is_the_default(cls: type) -> None:
    problem = toy()
    expected = cls(problem.data)(problem.user, 50, torch.Generator().manual_seed(3))
    with torch.device("meta"):
        source = cls(problem.data, items=range(12))
        found = source(problem.user, 50, torch.Generator("cpu").manual_seed(3))
        source.shared_weight(problem.user, problem.pos, torch.float32)
        source.shared(5)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_on_the_cpu_where_another_device_is_the_default(name: str) -> None:
    problem, cls = toy(), SAMPLERS[name]
    own = {"dim": 5} if name in ("ans", "dens", "irgan", "advir") else {}

    def sampled() -> torch.Tensor:
        sampler.start_epoch(0, 3, problem.x_dict())
        return sampler.sample(*given, generator=torch.Generator("cpu").manual_seed(3)).xs

    given = (problem.user, problem.pos, problem.user_xs, problem.item_xs)
    torch.manual_seed(0)
    sampler = cls(cls.proposal(problem.data), **own).double()
    expected = sampled()
    if own:  # its parameters are made on the default device
        with torch.device("meta"):
            found = sampled()
    else:
        with torch.device("meta"):
            sampler = cls(cls.proposal(problem.data)).double()
            found = sampled()
    torch.testing.assert_close(found, expected)


def test_ranks_on_the_cpu_where_another_device_is_the_default() -> None:
    scores = torch.rand(3, 2000)
    with torch.device("meta"):
        values, columns = top_k(scores, 5)
    assert torch.equal(values, scores.topk(5).values)
    assert torch.equal(scores.gather(1, columns), values)
