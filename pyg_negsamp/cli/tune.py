"""Searches hyper-parameters on validation links, and writes the best configuration.

    pyg-negsamp tune --encoder mf --neg ahns --dataset amazon-phones --trials 30
    pyg-negsamp train --config studies/mf-ahns-bpr-amazon-phones.yaml

All points are tried if there are no more than trials; else the defaults are the first.
What a flag or the file of --config gives is not searched. The same command goes on with a study,
or shares one that runs elsewhere. Needs the extra 'tune'.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyg_negsamp.cli.flags import add_config_flags, add_worker_flags, given_fields
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.cli.show import say
from pyg_negsamp.errors import TerminatedError
from pyg_negsamp.experiments.config import RANKS
from pyg_negsamp.experiments.search import FOLDER, SEARCHED, tune


def add_arguments(parser: Parser, argv: Sequence[str]) -> None:
    """All fields of a configuration but the diagnostics, and how to search."""
    add_config_flags(parser, argv, but=("diagnostics", *RANKS))
    group = parser.add_argument_group("search")
    group.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="trials of the study, in all. Default: 20.",
    )
    group.add_argument(
        "--search",
        nargs="+",
        choices=SEARCHED,
        metavar="PART",
        help=f"whose arguments to search, out of {', '.join(SEARCHED)}. "
        "Default: sampler loss; of a reference, encoder.",
    )
    group.add_argument(
        "--least-epochs",
        type=int,
        default=10,
        metavar="N",
        help="epochs before a trial may be given up. Default: 10.",
    )
    group.add_argument(
        "--storage",
        metavar="URL",
        help="where the study is: sqlite:///FILE.db, another database by its URL, or "
        "journal:///FILE.log for a file that several machines share; three slashes begin a "
        f"relative path, four an absolute one. Default: {FOLDER}/ENCODER-NEG-LOSS-DATASET.db; with "
        "--cluster a journal, .log",
    )
    add_worker_flags(group)
    group.add_argument(
        "--to",
        metavar="FILE.yaml",
        help=f"where the best configuration goes. Default: {FOLDER}/ENCODER-NEG-LOSS-DATASET.yaml",
    )


def run(args: argparse.Namespace) -> None:
    """Searches, and says how to train with what was found."""
    try:
        found = tune(
            given_fields(args),
            args.trials,
            args.search,
            args.least_epochs,
            args.storage,
            args.to,
            say=say,
            progress=sys.stderr.isatty(),
            jobs=args.jobs,
            cluster=args.cluster,
        )
    except (KeyboardInterrupt, TerminatedError) as stop:
        raise type(stop)("the same command goes on") from None
    if found is not None:
        metric = f"NDCG@{found.config.evaluation.top_k[0]}"
        print(f"\nbest validation {metric} {found.value:.4f} with {found.chosen or 'the defaults'}")
        print(f"pyg-negsamp train --config {found.file}")
