"""Folders are the stages of the pipeline, and imports point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from conftest import ROOT

# What each folder may import, besides itself and the files at the root of the package.
MAY_IMPORT = {
    "datasets": set(),
    "candidates": set(),
    "nn": set(),
    "losses": set(),
    "transforms": {"candidates", "nn"},
    "evaluation": {"candidates", "nn"},
    "training": {"nn", "losses", "transforms", "evaluation"},
    "testing": {"nn", "losses", "transforms"},
}
PACKAGE = ROOT / "pyg_negsamp"
SHARED = {file.stem for file in PACKAGE.glob("*.py")}


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*/*.py")), ids=lambda file: file.name)
def test_imports_point_one_way(file: Path) -> None:
    allowed = MAY_IMPORT[file.parent.name] | {file.parent.name} | SHARED
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyg_negsamp."):
            assert node.module.split(".")[1] in allowed, f"{file.name} imports {node.module}"


def test_every_folder_has_its_tests() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert folders == set(MAY_IMPORT)
    for folder in folders - {"testing"}:
        assert list((ROOT / "tests" / folder).glob("test_*.py")), folder
