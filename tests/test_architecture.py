"""Folders are the stages of the pipeline, and imports point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from conftest import ROOT

# From the ground up: a room imports only from those before it, and from the ground floor.
ROOMS = (
    "datasets",
    "candidates",
    "nn",
    "transforms",
    "losses",
    "evaluation",
    "references",
    "diagnostics",
    "training",
    "serving",
    "experiments",
    "cli",
    "testing",
)
PACKAGE = ROOT / "pyg_negsamp"
#: The ground floor itself, from the ground up.
GROUND = (
    "errors", "durations", "files", "memory", "space", "numerics", "ragged", "graph", "pairs",
    "csr", "layers", "products", "scoring", "kge",
)  # fmt: skip


def imported(file: Path) -> set[str]:
    """The rooms and ground-floor modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("pyg_negsamp.")}
    return found


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.glob("*/*.py")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_rooms_import_downwards(file: Path) -> None:
    allowed = {*GROUND, *ROOMS[: ROOMS.index(file.parent.name) + 1]}
    assert imported(file) <= allowed, f"{file.name} imports {imported(file) - allowed}"


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_stands_on_itself(module: str) -> None:
    assert imported(PACKAGE / f"{module}.py") <= {*GROUND[: GROUND.index(module)]}


def test_every_folder_has_its_tests() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ROOMS)
    for folder in folders - {"testing"}:
        assert list((ROOT / "tests" / folder).glob("test_*.py")), folder
