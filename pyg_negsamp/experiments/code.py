"""Which version of the code makes the numbers of a cell."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import pyg_negsamp

#: Code that makes no numbers of a cell: what parses and prints, what tests use; what says which
#: cells there are, and makes tables of finished ones; what single runs and searches do; what data
#: are described, got and written by; and what saved models are asked by.
NOT_IN_CELLS = (
    "cli/",
    "testing/",
    *(
        f"experiments/{name}.py"
        for name in (
            "code", "comparison", "table_files", "filling", "workers", "cluster", "significance",
            "tables", "run", "search", "studies", "trials", "describe", "prepare", "record",
            "flags",
        )
    ),
    "experiments/report/",
    *(f"datasets/{name}.py" for name in ("download", "export", "report")),
    *(f"serving/{name}.py" for name in ("export", "folding", "held_out", "lists")),
    "training/progress.py",
)  # fmt: skip


@cache
def code_version() -> str:
    """A hash of the code that makes numbers; comments, docstrings and layout do not change it."""
    digest = hashlib.sha256()
    package = Path(pyg_negsamp.__file__).parent
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if name.startswith(NOT_IN_CELLS):
            continue
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):  # docstrings and comments to attributes
                body[:] = [part for part in body if not _is_text(part)]
        digest.update(f"{name} {ast.dump(tree)}".encode())
    return digest.hexdigest()[:12]


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
