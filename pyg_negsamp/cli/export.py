"""Writes the vectors of a saved model for other programs.

    pyg-negsamp export RUN --format parquet --to vectors

parquet and npy need nothing more; ONNX and faiss are the extras `onnx` and `faiss`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.serving.export import Format


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """Which model, as what, and where to."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, or of a saved model")
    parser.add_argument(
        "--format", choices=get_args(Format), default="parquet", help="default: parquet"
    )
    parser.add_argument("--to", metavar="DIR", required=True, help="folder to write to")


def run(args: argparse.Namespace) -> None:
    """Writes the files and names them."""
    for file in TrainedModel.load(args.run).export(args.format, Path(args.to)):
        print(file)
