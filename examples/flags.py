"""Flags of the training scripts; those of samplers, losses and encoders come from their classes."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml

from pyg_negsamp.datasets import BENCHMARKS, PRESETS
from pyg_negsamp.layers import POOLS
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import Encoder
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling

SYNTHETIC = tuple(PRESETS)
#: Flags that say how to start a run, not what it is.
IN_COMMAND_ONLY = ("config", "resume", "out")
#: What a run's `config.yaml` holds besides flags: the encoder, and a digest of the training links.
NOT_FLAGS = ("encoder", "links")
#: What may change when a run goes on.
MAY_CHANGE = ("root", "epochs", "patience", "eval", "device")
#: How a model is selected, and on what it is trained.
PROTOCOLS = {
    "clean": "selected on validation links carved from train, test read once",
    "refit": "selected as clean, then trained anew on all of train, test read once",
    "paper": "trained on all of train and selected on test, as some released codes do",
}
#: What `--eval` may ask for beside full ranking, as some papers do.
OTHER_EVALUATIONS = {
    "sampled": "held-out items among 100 others only, mean of 10 test sets",
    "with-known": "test links that train has too count as well, though no list can hold them",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and leaves with exit code 2."""

    encoder = ""  # name of the class that the script trains

    def error(self, message: str) -> NoReturn:
        """Prints `message` alone, without the usage."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


class Helper(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


@dataclass(frozen=True)
class HyperParameter:
    """An argument that a sampler, its first pass, a loss or an encoder has of its own."""

    owner: str
    cls: type
    name: str
    default: Any
    meaning: str


def hyper_parameters(name: str, cls: type) -> list[HyperParameter]:
    """The own arguments of one class, read off its constructor and its docstring."""
    shared = {
        *inspect.signature(NegativeSampling.__init__).parameters,
        *inspect.signature(Encoder.__init__).parameters,
        "common",
    }
    found = []
    for parameter in inspect.signature(cls.__init__).parameters.values():  # type: ignore[misc]
        typed = parameter.default is not parameter.empty and parameter.default is not None
        if parameter.name not in shared and typed:
            said = re.search(
                rf"^ {{8}}{parameter.name}: (.+?)(?=\n {{8}}\w|\n\n|\n    \S|\Z)",
                cls.__doc__ or "",
                re.MULTILINE | re.DOTALL,
            )
            meaning = " ".join(said[1].split()) if said else ""
            found.append(HyperParameter(name, cls, parameter.name, parameter.default, meaning))
    return found


SAMPLER_PARAMETERS = [
    parameter
    for name, sampler in SAMPLERS.items()
    for cls in (sampler, sampler.proposal)
    for parameter in hyper_parameters(name, cls)
]
LOSS_PARAMETERS = [
    parameter for name, loss in LOSSES.items() for parameter in hyper_parameters(name, loss)
]


def add_flags(group: argparse._ArgumentGroup, prefix: str, own: list[HyperParameter]) -> None:
    """A flag for every name among the parameters; it has no default of its own."""
    for name in dict.fromkeys(parameter.name for parameter in own):
        of = [parameter for parameter in own if parameter.name == name]
        kind = type(of[0].default)
        group.add_argument(
            f"--{prefix}{name.replace('_', '-')}",
            **({"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}),
            default=argparse.SUPPRESS,
            help="; ".join(f"{parameter.owner}: {parameter.meaning}" for parameter in of),
        )


def given(
    args: argparse.Namespace, prefix: str, own: list[HyperParameter], chosen: str, cls: type
) -> dict[str, Any]:
    """The flags that were given for `cls`; refuses those that `chosen` does not have."""
    values = {}
    for parameter in own:
        flag = prefix.replace("-", "_") + parameter.name
        if hasattr(args, flag):
            owners = [other.owner for other in own if other.name == parameter.name]
            if chosen not in owners:
                said = "--" + flag.replace("_", "-")
                raise ValueError(f"{said} is for {', '.join(owners)}, not for {chosen}")
            if parameter.owner == chosen and parameter.cls is cls:
                values[parameter.name] = getattr(args, flag)
    return values


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what to rank on."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        default="small",
        help=f"synthetic ({', '.join(SYNTHETIC)}), a benchmark ({', '.join(BENCHMARKS)}), or a "
        "file of interactions (.txt adjacency lists, .csv, .tsv, .parquet)",
    )
    group.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    group.add_argument("--test-file", metavar="FILE", help="held-out links for a --dataset file")
    group.add_argument(
        "--duplicates",
        choices=["drop", "keep"],
        default="drop",
        help="repeated training links, such as listens: keep the first only, or all",
    )
    for role in ("user", "item"):
        group.add_argument(
            f"--{role}-column", help=f"column of {role}s in a --dataset file (default: '{role}')"
        )
    group.add_argument(
        "--protocol",
        choices=list(PROTOCOLS),
        default="clean",
        help="; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items()),
    )


def make_parser(encoder: type[Encoder]) -> Parser:
    """All flags, in groups, each with its default."""
    parser = Parser(
        description=f"Trains {encoder.__name__} on implicit feedback and ranks in full.",
        formatter_class=Helper,
        allow_abbrev=False,
    )
    parser.encoder = encoder.__name__
    parser.add_argument("--config", metavar="FILE", help="YAML with any of these flags; flags win")

    add_data_flags(parser)

    group = parser.add_argument_group("negative sampling")
    group.add_argument("--neg", choices=list(SAMPLERS), default="dins", help="the sampler")
    group.add_argument(
        "--num-candidates",
        type=int,
        metavar="M",
        help="candidates per positive (default: the method's own)",
    )
    group.add_argument(
        "--num-negatives", type=int, metavar="K", help="negatives per positive (default: by method)"
    )
    add_flags(group, "", SAMPLER_PARAMETERS)

    group = parser.add_argument_group("loss")
    group.add_argument("--loss", choices=list(LOSSES), default="bpr", help="the ranking loss")
    add_flags(group, "loss-", LOSS_PARAMETERS)

    group = parser.add_argument_group("model")
    group.add_argument("--dim", type=int, default=64, metavar="D", help="width of the embeddings")
    if "num_layers" in inspect.signature(encoder.__init__).parameters:
        group.add_argument("--layers", type=int, default=3, metavar="L", help="propagations")
    group.add_argument(
        "--pool",
        choices=POOLS,
        default=inspect.signature(encoder.__init__).parameters["pool"].default,
        help="how layers become a score",
    )
    add_flags(group, "encoder-", hyper_parameters(encoder.__name__, encoder))

    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=int, default=100, help="most epochs to train")
    group.add_argument("--batch-size", type=int, default=2048, metavar="B", help="links per step")
    group.add_argument(
        "--lr",
        type=float,
        help="learning rate of Adam (default: 0.001, as in the papers; 0.005 on synthetic data)",
    )
    group.add_argument("--l2", type=float, default=1e-4, help="weight of the L2 penalty")
    group.add_argument("--patience", type=int, default=20, help="validations without improvement")
    group.add_argument("--eval-every", type=int, default=1, help="epochs between validations")
    group.add_argument(
        "--top-k", type=int, nargs="+", default=[20, 50], metavar="K", help="lengths of the lists"
    )
    group.add_argument(
        "--eval",
        choices=["full", *OTHER_EVALUATIONS],
        default="full",
        help="how to test, beside full ranking: "
        + "; ".join(f"{name}: {what}" for name, what in OTHER_EVALUATIONS.items()),
    )
    group.add_argument("--seed", type=seed, default=0, help="seed of everything drawn")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where")
    return parser


def seed(text: str) -> int:
    """A seed that torch takes.

    Raises:
        ArgumentTypeError: If it is negative or has more than 63 bits.
    """
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"'seed' must be from 0 to 2**63 - 1 (got {text})")
    return value


def add_run_flags(parser: Parser) -> None:
    """The flags of a script that trains one model."""
    group = parser.add_argument_group("run")
    group.add_argument("--out", help="folder for the run (default: a new one under runs/)")
    group.add_argument(
        "--resume",
        action="store_true",
        help=f"go on with the run in --out; its flags hold, but for {', '.join(MAY_CHANGE)}",
    )


def parse(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads flags; a config file, or that of a run to resume, supplies the defaults."""
    args = parser.parse_args(argv)
    if getattr(args, "resume", False):
        if not args.out:
            raise ValueError("--resume needs --out, the folder of the run to go on with")
        args.config = args.config or str(Path(args.out) / "config.yaml")
    if args.config:
        config = yaml.safe_load(Path(args.config).read_text())
        if not isinstance(config, dict):
            raise ValueError(f"{args.config} must hold 'flag: value' lines")
        config = {str(name).replace("-", "_"): value for name, value in config.items()}
        encoder, _ = (config.pop(name, None) for name in NOT_FLAGS)
        if encoder not in (None, parser.encoder):
            raise ValueError(f"{args.config} is of a run with {encoder}, not {parser.encoder}")
        known = {action.dest for action in parser._actions} - {"help", *IN_COMMAND_ONLY}
        for name in config.keys() - known:
            raise ValueError(f"{args.config} has an unknown flag '{name}'")
        # Through argparse, so that values are checked as flags are; flags come after, and win.
        lines = [
            word
            for name, value in config.items()
            if value is not None
            for word in as_typed(name.replace("_", "-"), value)
        ]
        args = parser.parse_args([*lines, *(sys.argv[1:] if argv is None else argv)])
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no CUDA device")
    if args.eval == "with-known" and args.dataset not in BENCHMARKS:
        raise ValueError(f"--eval with-known is for a benchmark by name, not for {args.dataset}")
    return args


def as_typed(flag: str, value: Any) -> list[str]:
    """A flag and its value as they would be typed."""
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, list):
        return [f"--{flag}", *map(str, value)]
    return [f"--{flag}={value}"]  # in one word, or -1e-05 would look like a flag
