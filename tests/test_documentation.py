"""What the documentation says of samplers and losses is what their classes say."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ROOT

from docstrings import body, sources
from methods import pages
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.transforms import SAMPLERS

#: What no paper has, but released codes.
WITHOUT_PAPER = {"KPairBPRLoss"}
METHODS = [*SAMPLERS.values(), *LOSSES.values()]


@pytest.fixture(scope="module")
def written() -> dict[Path, str]:
    return pages()


@pytest.mark.parametrize(
    "name", ["README.md", "docs/samplers.md", "docs/losses.md", "docs/combinations.md"]
)
def test_pages_are_those_of_the_classes(written: dict[Path, str], name: str) -> None:
    said = (ROOT / name).read_text()
    assert said == written[ROOT / name], f"{name} is old: python docs/methods.py"


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_a_docstring_says_all_that_a_section_has(cls: type) -> None:
    text = body(cls)
    assert cls.__doc__ is not None
    assert (text.partition("\n")[0]).endswith("."), "its first line is a row of the README's table"
    for part in (".. math::", "Cost: ", "When to use it: "):
        assert part in " ".join(text.split()), part
    assert bool(sources(cls)) == (cls.__name__ not in WITHOUT_PAPER)
