"""What the training scripts share: flags, data, the run, and the table at its end."""

from __future__ import annotations

import argparse
import inspect
import json
import platform
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import torch
import yaml
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    BENCHMARKS,
    PRESETS,
    DownloadError,
    InteractionDataset,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
)
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import POOLS, Encoder, popularity
from pyg_negsamp.training import Fitted, NonFiniteLossError, Recommender, fit, last_checkpoint
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling

SYNTHETIC = tuple(PRESETS)
#: Flags that say how to start a run, not what it is.
IN_COMMAND_ONLY = ("config", "resume", "out")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and leaves with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints `message` alone, without the usage."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def main(encoder: type[Encoder], argv: Sequence[str] | None = None) -> None:
    """Runs a training script for one encoder class."""
    parser = make_parser(encoder)
    try:
        args = parse(parser, argv)
        run(encoder, args)
    except (ValueError, OSError, DownloadError, yaml.YAMLError) as error:
        parser.error(str(error))
    except NonFiniteLossError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: interrupted; go on with --resume --out {args.out}\n")


# Flags ------------------------------------------------------------------------------------------


class Helper(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


@dataclass(frozen=True)
class HyperParameter:
    """An argument that a sampler, its first pass, or a loss has of its own."""

    owner: str
    cls: type
    name: str
    default: Any
    meaning: str


def hyper_parameters(name: str, cls: type) -> list[HyperParameter]:
    """The own arguments of one class, read off its constructor and its docstring."""
    shared = {*inspect.signature(NegativeSampling.__init__).parameters, "common", "data", "dim"}
    found = []
    for parameter in inspect.signature(cls.__init__).parameters.values():  # type: ignore[misc]
        if parameter.name not in shared and parameter.default is not parameter.empty:
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


def make_parser(encoder: type[Encoder]) -> Parser:
    """All flags, in groups, each with its default."""
    parser = Parser(
        description=f"Trains {encoder.__name__} on implicit feedback and ranks in full.",
        formatter_class=Helper,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="YAML with any of these flags; flags win")

    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        default="small",
        help=f"synthetic ({', '.join(SYNTHETIC)}), a benchmark ({', '.join(BENCHMARKS)}), or a "
        "file of interactions (.txt adjacency lists, .csv, .tsv, .parquet)",
    )
    group.add_argument("--root", default="datasets", help="folder that holds benchmarks by name")
    group.add_argument("--test-file", metavar="FILE", help="held-out links for a --dataset file")
    for role in ("user", "item"):
        group.add_argument(
            f"--{role}-column", help=f"column of {role}s in a --dataset file (default: '{role}')"
        )
    group.add_argument(
        "--protocol",
        choices=["clean", "paper"],
        default="clean",
        help="clean: select on validation links carved from train, read test once; "
        "paper: train on all of train and select on test, as some released codes do",
    )

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
    group.add_argument("--pool", choices=POOLS, default="mean", help="how layers become a score")

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
    group.add_argument("--seed", type=int, default=0, help="seed of everything drawn")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where")
    group.add_argument("--out", help="folder for the run (default: a new one under runs/)")
    group.add_argument("--resume", action="store_true", help="go on with the run in --out")
    return parser


def parse(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads flags; a config file, or that of a run to resume, supplies the defaults."""
    args = parser.parse_args(argv)
    if args.resume:
        if not args.out:
            raise ValueError("--resume needs --out, the folder of the run to go on with")
        args.config = args.config or str(Path(args.out) / "config.yaml")
    if args.config:
        config = yaml.safe_load(Path(args.config).read_text())
        if not isinstance(config, dict):
            raise ValueError(f"{args.config} must hold 'flag: value' lines")
        config = {name.replace("-", "_"): value for name, value in config.items()}
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
    return args


def as_typed(flag: str, value: Any) -> list[str]:
    """A flag and its value as they would be typed."""
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]


# The run ----------------------------------------------------------------------------------------


def load(args: argparse.Namespace) -> InteractionDataset:
    """The data set that the flags name, split by their protocol.

    The split does not depend on `--seed`: runs with different seeds answer the same question.
    """
    val_ratio = 0.0 if args.protocol == "paper" else 0.1
    random, predefined = RandomSplit(val_ratio), PredefinedSplit(val_ratio)
    if args.dataset in SYNTHETIC:
        return SyntheticInteractions(args.dataset, split=random)
    if Path(args.dataset).suffix:
        return InteractionDataset.from_files(
            args.dataset,
            test=args.test_file,
            user=args.user_column,
            item=args.item_column,
            split=predefined if args.test_file else random,
        )
    return InteractionDataset(args.root, args.dataset, split=predefined)


def make_sampler(args: argparse.Namespace, data: HeteroData) -> NegativeSampling:
    """The sampler that the flags name, over candidates from the training graph."""
    cls = SAMPLERS[args.neg]
    own = given(args, "", SAMPLER_PARAMETERS, args.neg, cls)
    if "dim" in inspect.signature(cls.__init__).parameters:
        own["dim"] = args.dim
    return cls(
        cls.proposal(data, **given(args, "", SAMPLER_PARAMETERS, args.neg, cls.proposal)),
        num_candidates=args.num_candidates,
        num_negatives=args.num_negatives,
        pool=args.pool,
        **own,
    )


def make_loss(args: argparse.Namespace) -> torch.nn.Module:
    """The loss that the flags name."""
    cls = LOSSES[args.loss]
    return cls(**given(args, "loss-", LOSS_PARAMETERS, args.loss, cls))


def run(encoder: type[Encoder], args: argparse.Namespace) -> None:
    """Trains, tests, and writes `config.yaml`, `metrics.json` and checkpoints."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no CUDA device")
    if args.lr is None:
        args.lr = 5e-3 if args.dataset in SYNTHETIC else 1e-3
    dataset = load(args)
    train_data, val_data, test_data = dataset
    dataset.report()
    if args.protocol == "paper":
        print("\nprotocol: paper - the model is SELECTED ON TEST links, as some released codes do")
        val_data = test_data

    torch.manual_seed(args.seed)
    layers = {"num_layers": args.layers} if hasattr(args, "layers") else {}
    model = Recommender(
        encoder(train_data, dim=args.dim, pool=args.pool, **layers),
        make_sampler(args, train_data),
        make_loss(args),
        lr=args.lr,
        l2=args.l2,
        k=args.top_k,
        seed=args.seed,
    )
    print(f"\n{model.sampler}\n{model.loss}\n")

    name = f"{encoder.__name__.lower()}-{args.neg}-{Path(args.dataset).stem}"
    out = Path(args.out or f"runs/{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    args.out = str(out)
    last_checkpoint(out, args.resume)  # refuses before anything is written
    out.mkdir(parents=True, exist_ok=True)
    config = {flag: value for flag, value in vars(args).items() if flag not in IN_COMMAND_ONLY}
    write(out / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    fitted = fit(
        model,
        train_data,
        val_data,
        out,
        epochs=args.epochs,
        batch_size=args.batch_size,
        patience=args.patience,
        eval_every=args.eval_every,
        device=args.device,
        resume=args.resume,
    )

    print_history(fitted)
    test = evaluate(model.scoring_tables(), test_data, args.top_k)
    reference = evaluate(popularity(train_data), test_data, args.top_k)
    method = " + ".join([encoder.__name__, args.neg, *([args.loss] if args.loss != "bpr" else [])])
    print_table({method: test, "popularity": reference})
    seconds = median(epoch["seconds"] for epoch in fitted.history)
    print(f"\nbest epoch {fitted.best_epoch + 1}, {seconds:.2f} s per epoch; everything in {out}")
    result = {
        "test": test,
        "popularity": reference,
        "protocol": args.protocol,
        "best_epoch": fitted.best_epoch,
        "seconds_per_epoch": seconds,
        "history": fitted.history,
        "report": dataset.summary(),
        "machine": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
        },
    }
    write(out / "metrics.json", json.dumps(result, indent=2) + "\n")


def write(path: Path, text: str) -> None:
    """Writes a whole file or none."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


def print_history(fitted: Fitted, rows: int = 10) -> None:
    """Validations in order, about `rows` of them, with the best one marked."""
    validated = [epoch for epoch in fitted.history if fitted.monitor in epoch]
    step = max(1, len(validated) // rows)
    print(f"\n{'epoch':>6} {'loss':>9} {fitted.monitor:>14} {'seconds':>8}")
    for number, epoch in enumerate(validated):
        best = epoch["epoch"] == fitted.best_epoch
        if number % step == 0 or best or epoch is validated[-1]:
            print(
                f"{epoch['epoch'] + 1:>6} {epoch['loss']:>9.4f} {epoch[fitted.monitor]:>14.4f} "
                f"{epoch['seconds']:>8.2f}{'  best' if best else ''}"
            )


def print_table(results: dict[str, dict[str, float]]) -> None:
    """Test metrics, a row per method."""
    wide = max(map(len, results))
    metrics = list(next(iter(results.values())))
    lists = sorted({name.split("@")[1] for name in metrics}, key=int)
    for k in lists:
        names = [name for name in metrics if name.endswith(f"@{k}")]
        print("\n" + "test".ljust(wide) + "".join(f"{name:>14}" for name in names))
        for method, values in results.items():
            print(method.ljust(wide) + "".join(f"{values[name]:>14.4f}" for name in names))
