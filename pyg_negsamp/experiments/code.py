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
        said = [name]
        _read(ast.parse(file.read_text()), said)
        digest.update(" ".join(said).encode())
    return digest.hexdigest()[:12]


def _read(node: ast.AST, said: list[str]) -> None:
    """Notes kinds of nodes and their values, in order; no docstrings, and not where they stand."""
    said.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        said.append("(" if isinstance(value, list) else name)
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, ast.AST):
                said.append(repr(part))
            elif not _is_text(part):  # a docstring, or a comment to an attribute
                _read(part, said)
        said.append(")")


def _is_text(part: ast.AST) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
