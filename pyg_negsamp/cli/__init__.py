"""The command `pyg-negsamp`, also `python -m pyg_negsamp`: one file per sub-command.

A sub-command adds its flags in `add_arguments`, and does its work in `run`. Only
this room parses, and only it prints.
"""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module

from pyg_negsamp import __version__
from pyg_negsamp.cli.parser import Parser, one_line_errors, one_line_warnings

#: Sub-commands, in the order of their use, and what each does. The modules are imported when asked.
COMMANDS = {
    "train": "train, test and save a model",
    "evaluate": "test metrics of a saved model, also by groups of users and items",
    "recommend": "items for users of a saved model",
    "similar": "items like given ones, by a saved model",
    "export": "a saved model's vectors as parquet, npy, ONNX or a faiss index",
    "tune": "search hyper-parameters on validation links",
    "compare": "samplers, losses and encoders on your data, in one table with tests",
    "reproduce": "a table of a paper, beside its printed numbers",
    "report": "a page of a comparison or of runs: tables, curves, who gains, what it costs",
    "data": "describe interactions, or filter, split and write them",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs a sub-command.

    Args:
        argv: Its name and flags. Default: those of the process, which is taken for the command's
            own: among what it imports nobody looks for garbage, which would take a second and a
            half of each call, most of it as the process ends.
    """
    own = argv is None
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, who wants to hear nothing
            nothing = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nothing, True)  # by the processes that train
            setattr(sys, name, os.fdopen(nothing, "r+"))
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in COMMANDS:
        overview().parse_args(argv or ["--help"])
        return
    parser = Parser(
        prog=f"pyg-negsamp {argv[0]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    with one_line_errors(parser), one_line_warnings(parser):
        if own:
            gc.disable()
        module = import_module(f"pyg_negsamp.cli.{argv[0]}")
        if own:
            gc.freeze()
            gc.enable()
        parser.description = module.__doc__
        module.add_arguments(parser, argv[1:])
        args = parser.parse_args(argv[1:])
        args.typed = shlex.join(["pyg-negsamp", *argv])
        module.run(args)
        sys.stdout.flush()


def overview() -> Parser:
    """The parser of the command without a sub-command, which lists them."""
    parser = Parser(
        prog="pyg-negsamp",
        description="Every published way to choose or synthesise a negative sample.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pyg-negsamp {__version__}")
    commands = parser.add_subparsers(title="sub-commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser
