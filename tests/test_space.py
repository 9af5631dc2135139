"""Search spaces name arguments that exist, and values that the classes take."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from given import made, needed

from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.references import REFERENCES
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling

#: Classes whose arguments are searched, and the classes that may have them.
OWNERS: dict[str, tuple[Any, ...]] = {
    **{name: (cls, cls.proposal) for name, cls in SAMPLERS.items()},
    **{name: (cls,) for name, cls in LOSSES.items()},
    **{name: (cls,) for name, cls in ENCODERS.items()},
    **{name: (cls,) for name, cls in REFERENCES.items()},
}
#: Arguments that several samplers hand on to the base class.
COMMON = inspect.signature(NegativeSampling.__init__).parameters


def space_of(name: str) -> Space:
    return getattr(OWNERS[name][0], "search_space", {})


def owners_of(name: str, argument: str) -> list[inspect.Parameter]:
    """The parameter of that name, in each of the constructors that have it."""
    found = []
    for cls in OWNERS[name]:
        parameters = inspect.signature(cls.__init__).parameters
        if argument in parameters:
            found.append(parameters[argument])
        elif issubclass(cls, NegativeSampling) and argument in COMMON:
            assert any(p.kind == p.VAR_KEYWORD for p in parameters.values())
            found.append(COMMON[argument])
    return found


def points(space: Space) -> Iterator[dict[str, Any]]:
    """Every choice with every other, and with both ends of every range."""
    values = (v.values if isinstance(v, Choice) else (v.low, v.high) for v in space.values())
    return (dict(zip(space, point, strict=True)) for point in itertools.product(*values))


def searched(names: dict[str, Any]) -> list[str]:
    return [name for name in names if space_of(name)]


def test_most_classes_have_something_to_search() -> None:
    assert set(SAMPLERS) - set(searched(SAMPLERS)) == {"rns", "in-batch"}
    assert set(ENCODERS) - set(searched(ENCODERS)) == {"mf"}
    assert set(LOSSES) - set(searched(LOSSES)) == {"bpr", "k-pair-bpr", "warp"}
    assert set(REFERENCES) - set(searched(REFERENCES)) == {"popularity"}


@pytest.mark.parametrize("name", searched(OWNERS))
def test_every_name_is_an_argument_of_one_class(name: str) -> None:
    for argument, values in space_of(name).items():
        (parameter,) = owners_of(name, argument)
        # Scripts read the type of a flag off the default.
        if parameter.default is not None:
            kind = type(parameter.default)
            tried = values.values if isinstance(values, Choice) else (values.low, values.high)
            assert {type(value) for value in tried} == {kind}, argument


@pytest.mark.parametrize("name", searched(OWNERS))
def test_values_differ_and_ranges_are_in_order(name: str) -> None:
    for argument, values in space_of(name).items():
        if isinstance(values, Choice):
            assert values.values, argument
            assert len(set(values.values)) == len(values.values), argument
        else:
            assert isinstance(values, Range)
            assert values.low < values.high, argument
            assert values.low > 0 or not values.log, argument


@pytest.mark.parametrize("name", searched(SAMPLERS))
def test_samplers_take_every_point(name: str) -> None:
    cls, problem = SAMPLERS[name], toy()
    first_pass = inspect.signature(cls.proposal.__init__).parameters
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    for point in points(cls.search_space):
        proposal = {key: value for key, value in point.items() if key in first_pass}
        rest = {key: value for key, value in point.items() if key not in first_pass}
        sampler = cls(cls.proposal(problem.data, **proposal), **rest, **own).double()
        sampler.refresh(problem.x_dict())
        negatives = sampler.sample(
            problem.user,
            problem.pos,
            problem.user_xs,
            problem.item_xs,
            generator=problem.generator(),
        )
        assert negatives.xs.isfinite().all(), point


@pytest.mark.parametrize("name", searched(LOSSES))
def test_losses_take_every_point(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pos, neg = (2 * torch.rand(size, generator=generator) - 1 for size in ((9,), (9, 4)))
    data = toy().data
    for point in points(space_of(name)):
        loss = made(name, data, **point)
        assert loss(pos, neg, **needed(loss, data, neg)).isfinite(), point


@pytest.mark.parametrize("name", searched(ENCODERS))
def test_encoders_take_every_point(name: str) -> None:
    cls: type[Encoder] = ENCODERS[name]
    data = toy().data
    corners = {
        key: Choice((values.values[0], values.values[-1])) if isinstance(values, Choice) else values
        for key, values in cls.search_space.items()
    }
    for point in points(corners):
        tables = cls(data, dim=4, **point)()
        assert all(x.isfinite().all() for xs in tables.values() for x in xs), point
