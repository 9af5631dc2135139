"""Which code makes numbers, and which changes of it count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pyg_negsamp
from pyg_negsamp.experiments.code import NOT_IN_CELLS, code_version


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """The version of a package of which one module has some text."""

    def of(module: str, text: str) -> str:
        file = tmp_path / "package" / module
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        code_version.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(pyg_negsamp, "__file__", str(tmp_path / "package" / "__init__.py"))
            found = code_version()
        code_version.cache_clear()
        return found

    return of


def test_comments_and_docstrings_are_no_other_code(version: Callable[[str, str], str]) -> None:
    base = version("a.py", "def f():\n    return 1\n")
    more = '"""Text."""\n\n# comment\ndef f():\n    """More."""\n    return (1)\n'
    assert version("a.py", more) == base
    others = ("return 2", "return 1.0", "return -1", "yield 1", "x = 1; return x", "return g(1)")
    versions = {version("a.py", f"def f():\n    {other}\n") for other in others}
    assert len({base, *versions, version("b.py", "def f():\n    return 1\n")}) == 2 + len(others)


def test_defaults_names_kinds_and_places_of_arguments_are_other_code(
    version: Callable[[str, str], str],
) -> None:
    heads = ("f()", "f(a)", "f(b)", "f(a=1)", "f(a=2)", "f(a, /)", "f(*, a)", "f(*a)", "g()")
    calls = ("f(a, b=c)", "f(a, b, c)", "f(a(b), c)", "f(a(b, c))", "f([a, b], c)", "f([a, b, c])")
    texts = [f"def {head}:\n    return 1\n" for head in heads] + [f"{call}\n" for call in calls]
    assert len({version("a.py", text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("experiments/protocols.py", True),
        ("experiments/data.py", True),
        ("experiments/methods.py", True),
        ("references/ease.py", True),
        ("scoring.py", True),
        ("cli/train.py", False),
        ("testing/contract.py", False),
        ("experiments/tables.py", False),
        ("experiments/significance.py", False),
        ("experiments/filling.py", False),
        ("experiments/search.py", False),
        ("serving/export.py", False),
        ("serving/warm.py", True),
    ],
)
def test_what_counts_as_code_that_makes_numbers(
    version: Callable[[str, str], str], module: str, counts: bool
) -> None:
    assert (Path(pyg_negsamp.__file__).parent / module).is_file()
    assert (version(module, "x = 1") != version(module, "x = 2")) == counts


def test_what_does_not_count_is_there() -> None:
    """A module that is renamed would count by mistake."""
    package = Path(pyg_negsamp.__file__).parent
    assert [name for name in NOT_IN_CELLS if not (package / name).exists()] == []
