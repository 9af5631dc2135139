"""What the documentation says of samplers and losses is what their classes say."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

import tuned
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


def test_tables_of_tuned_methods_are_those_that_were_measured() -> None:
    assert tuned.PAGE.read_text() == tuned.page(), "docs/tuned.md is old: python docs/tuned.py"
    name = next(iter(re.findall(tuned.BEGIN.format("(.+?)"), tuned.PAGE.read_text())))
    measured = pd.read_csv(ROOT / f"docs/tables/tuned-{name}.csv").query("metric == 'NDCG@20'")
    for row in measured.itertuples():
        assert re.search(rf"\| {row.method} \|.*\b{100 * row.mean:.2f}\b", tuned.results(name))


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_a_docstring_says_all_that_a_section_has(cls: type) -> None:
    text = body(cls)
    assert cls.__doc__ is not None
    assert (text.partition("\n")[0]).endswith("."), "its first line is a row of the README's table"
    for part in (".. math::", "Cost: ", "When to use it: "):
        assert part in " ".join(text.split()), part
    assert bool(sources(cls)) == (cls.__name__ not in WITHOUT_PAPER)
