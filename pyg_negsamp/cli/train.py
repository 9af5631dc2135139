"""Trains a model, tests it once, and saves it.

    pyg-negsamp train --dataset purchases.csv --user-column customer --item-column sku --out RUN
    pyg-negsamp train --neg dins --help          what DINS takes
    pyg-negsamp train --resume --out RUN         goes on, bit by bit
    pyg-negsamp train --devices 2 ...            two processes, or GPUs, that find what one finds

The folder RUN then holds the model, which the other sub-commands read.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pyg_negsamp.cli.flags import add_config_flags, config_from, given_fields
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.show import print_history, print_metrics, print_remarks, print_report, say
from pyg_negsamp.errors import TerminatedError
from pyg_negsamp.experiments.config import MAY_CHANGE, Config
from pyg_negsamp.experiments.parts import OTHER_EVALUATIONS
from pyg_negsamp.experiments.protocols import still_improving
from pyg_negsamp.experiments.run import Outcome, to_resume
from pyg_negsamp.experiments.run import run as run_config
from pyg_negsamp.training import NonFiniteLossError, RankLostError, Ranks

#: What ends all ranks of a run, so that the first one says it.
SAID_BY_FIRST = (NonFiniteLossError, RankLostError, KeyboardInterrupt, TerminatedError)


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """All fields of a configuration, and where the run goes."""
    add_config_flags(parser, argv)
    group = parser.add_argument_group("run")
    group.add_argument("--out", metavar="RUN", help="folder (default: a new one under runs/)")
    group.add_argument(
        "--resume",
        action="store_true",
        help=f"go on with the run in --out; its fields hold, but for {', '.join(MAY_CHANGE)}",
    )


def run(args: argparse.Namespace) -> None:
    """Trains and prints the test table."""
    if args.resume:
        if not args.out:
            raise ValueError("--resume needs --out, the folder of the run to go on with")
        config = to_resume(Path(args.out), given_fields(args))
    else:
        config = config_from(args)
    ranks = Ranks.here(config.training.devices, config.training.num_nodes)
    if not ranks.first:  # who has nothing to say, but for what went wrong here alone
        with warnings.catch_warnings(), suppress(*SAID_BY_FIRST):
            warnings.simplefilter("ignore")
            run_config(config, Path(args.out) if args.out else None, args.resume)
        raise SystemExit(1)
    out = Path(args.out or f"runs/{run_name(config)}")
    try:
        show(run_config(config, out, args.resume, say=say), out)
    except (KeyboardInterrupt, TerminatedError, RankLostError) as stop:
        kept = (out / "checkpoints" / "last.ckpt").exists()
        again = f"go on with --resume --out {shlex.quote(str(out))}"
        go_on = again if kept else "before the first checkpoint"
        raise type(stop)("; ".join([*map(str, stop.args), go_on])) from None


def run_name(config: Config) -> str:
    """What a run is called that was not given a folder."""
    methods = [config.encoder.encoder, *([] if config.is_reference else [config.sampler.neg])]
    name = "-".join([*methods, Path(config.data.dataset).name.split(".")[0]])
    # The process, too: several may start in one second.
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def show(outcome: Outcome, out: Path) -> None:
    """Prints the course of a run, and its test metrics beside popularity."""
    selected = outcome.selected
    if selected.fitted is not None:
        print_history(selected.fitted)
    names = outcome.config.evaluation.metrics
    print_metrics({outcome.config.method: outcome.test, "popularity": outcome.popularity}, names)
    if outcome.other:
        name = outcome.config.evaluation.eval
        print(f"\n{name}: {OTHER_EVALUATIONS[name]}")
        print_metrics({outcome.config.method: outcome.other})
    print()
    if not outcome.config.is_reference:
        best, seconds = selected.notes["best_epoch"], selected.notes["seconds_per_epoch"]
        print(f"best epoch {best}, {seconds:.2f} s per epoch; ", end="")
    print(f"the model tested is saved in {out / 'model'}")
    print_report(out)
    metric = f"NDCG@{outcome.config.evaluation.top_k[0]}"
    print_remarks(
        [outcome.config.method] if still_improving(outcome.config, selected.notes) else [],
        [outcome.config.method] if outcome.test[metric] < outcome.popularity[metric] else [],
    )
