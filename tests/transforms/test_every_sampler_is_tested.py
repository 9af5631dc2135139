"""A sampler without contract, oracle or documentation does not go unnoticed."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

from pyg_negsamp import transforms
from pyg_negsamp.testing import SamplerContract
from pyg_negsamp.transforms import SAMPLERS, Compose, NegativeSampling

HERE = Path(__file__).parent


def subclasses(cls: type) -> set[type]:
    """All that inherit from `cls`, however far down."""
    return {cls} | {found for child in cls.__subclasses__() for found in subclasses(child)}


SHIPPED = sorted(
    (cls for cls in subclasses(NegativeSampling) if cls.__module__.startswith("pyg_negsamp.")),
    key=lambda cls: cls.__name__,
)
BASES = ("NegativeSampling", "SharedSampling", "OfTheBatch")
PUBLIC = [cls for cls in SHIPPED if cls.__name__ not in BASES]


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_has_a_test_file_with_contract_and_more(cls: type[NegativeSampling]) -> None:
    file = HERE / f"test_{cls.__module__.rpartition('.')[2]}.py"
    assert file.exists(), f"{cls.__name__} needs {file.name}"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, SamplerContract)
        and getattr(value, "sampler_class", None) is cls
    ]
    assert tests, f"{file.name} needs a SamplerContract with sampler_class = {cls.__name__}"
    own = [name for test in tests for name in vars(test) if name.startswith("test_")]
    assert own, f"{file.name} needs tests of the method itself, besides the contract"


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_has_a_name_and_is_public(cls: type[NegativeSampling]) -> None:
    assert cls in SAMPLERS.values() or cls is Compose  # which has no arguments of its own to name
    assert cls.__name__ in transforms.__all__


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_says_where_it_comes_from_and_what_it_costs(cls: type[NegativeSampling]) -> None:
    text = cls.__doc__ or ""
    assert "arXiv" in text or "doi" in text or "(2022)" in text
    assert "Args:" in text
    inherited = set(inspect.signature(NegativeSampling.__init__).parameters) - {"candidates"}
    for name in set(inspect.signature(cls.__init__).parameters) - inherited:
        assert f"        {name}: " in text, f"{cls.__name__} does not document {name}"
