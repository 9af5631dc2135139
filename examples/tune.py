"""Searches hyper-parameters on validation links; what to try stands beside each class.

python examples/tune.py mf --neg ahns --dataset amazon-phones --root DATA --trials 30
python examples/train_mf.py --config studies/mf-ahns-bpr-amazon-phones.yaml

The first argument is the encoder; all flags of its training script follow. What a flag fixes is
not searched. The study is one SQLite file: run the same command again to go on with it, or
several, one after another, to share it. A space that has no more points than there are trials
is tried point by point. Needs the extra 'tune'.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
import sqlite3
import sys
import time
import warnings
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import yaml
from common import build, fit_options, load, one_line_errors, write
from flags import IN_COMMAND_ONLY, Parser, make_parser, parse
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import TrialState
from torch_geometric.data import HeteroData

from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.training import NonFiniteLossError, Recommender, fit
from pyg_negsamp.transforms import SAMPLERS

#: What training itself has to search; the values are those that the papers try.
TRAINING: Space = {"lr": Choice((5e-4, 1e-3, 5e-3, 1e-2)), "l2": Choice((0.0, 1e-5, 1e-4, 1e-3))}
SEARCHED = ("sampler", "loss", "encoder", "training")
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Pruning(Callback):
    """Reports every validation, and gives up a trial that is worse than most at that epoch."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks the study whether to go on."""
        assert isinstance(pl_module, Recommender)
        value = pl_module.validated[f"val/NDCG@{pl_module.k[0]}"]
        self.trial.report(value, trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def given_flags(encoder: type[Encoder], argv: Sequence[str]) -> set[str]:
    """The names of the flags that the command, or its config file, gives a value."""
    parser = make_tuner(encoder)
    parser.set_defaults(**{action.dest: None for action in parser._actions})
    return {name for name, value in vars(parse(parser, argv)).items() if value is not None}


def search_space(
    encoder: type[Encoder], args: argparse.Namespace, given: Collection[str] = ()
) -> dict[str, Choice | Range]:
    """What to search, by the names that flags have in `args`; what is given is left alone."""
    spaces: dict[str, tuple[str, Space]] = {
        "sampler": ("", SAMPLERS[args.neg].search_space),
        "loss": ("loss_", getattr(LOSSES[args.loss], "search_space", {})),
        "encoder": ("encoder_", encoder.search_space),
        "training": ("", TRAINING),
    }
    found = {}
    for part in args.search:
        prefix, space = spaces[part]
        for name, values in space.items():
            flag = "layers" if name == "num_layers" else prefix + name
            if flag not in given:
                found[flag] = values
    if not found:
        raise ValueError(f"--search {' '.join(args.search)}: nothing left to search")
    return found


def suggest(trial: optuna.Trial, space: dict[str, Choice | Range]) -> dict[str, Any]:
    """One value for each of the searched flags."""
    return {
        name: trial.suggest_categorical(name, values.values)
        if isinstance(values, Choice)
        else trial.suggest_float(name, values.low, values.high, log=values.log)
        for name, values in space.items()
    }


def check_flags(
    encoder: type[Encoder],
    flags: dict[str, Any],
    space: dict[str, Choice | Range],
    data: HeteroData,
) -> None:
    """Refuses flags with which neither end of the space makes a model.

    Before there is a study: one that failed would stand in the way of the flags put right.
    """
    refused = []
    for end in (0, -1):
        chosen = {
            name: (values.values if isinstance(values, Choice) else (values.low, values.high))[end]
            for name, values in space.items()
        }
        try:
            build(encoder, argparse.Namespace(**{**flags, **chosen}), data)
        except ValueError as error:
            refused.append(error)
        else:
            return
    raise refused[0]


def open_study(args: argparse.Namespace, fixed: dict[str, Any]) -> optuna.Study:
    """The study in the file, new or to go on with; refuses one that asked something else."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)
    Path(args.study).parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(args.study, timeout=60)) as file:
            file.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise ValueError(f"{args.study}: {error}") from None
    try:
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{args.study}",
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=60,  # so that a killed trial does not count as running for ever
            grace_period=180,
        )
        study = optuna.create_study(
            storage=storage,
            pruner=optuna.pruners.MedianPruner(4, n_warmup_steps=args.least_epochs),
            study_name="study",
            direction="maximize",
            load_if_exists=True,
        )
    except (StorageInternalError, RuntimeError):
        raise ValueError(
            f"{args.study} is not a study of optuna's, or of another version"
        ) from None
    # Whoever joins or goes on must not try the same again.
    tried = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=args.seed + tried)
    fixed, was = json.loads(json.dumps(fixed)), study.user_attrs.get("fixed", {})
    names = [name for name in {*was, *fixed} if was.get(name) != fixed.get(name)]
    if not study.get_trials(deepcopy=False, states=(*DONE, TrialState.RUNNING)):
        study.set_user_attr("fixed", fixed)
    elif names:
        raise ValueError(f"{args.study} was begun with other values of {', '.join(sorted(names))}")
    return study


def untried(study: optuna.Study, space: dict[str, Choice | Range]) -> list[dict[str, Any]]:
    """The points of a space of choices that no trial has had, or has now.

    Those of trials that were interrupted are among them; optuna's own grid leaves these out.
    """
    values = [values.values for values in space.values() if isinstance(values, Choice)]
    states = (*DONE, TrialState.RUNNING)
    tried = [trial.params for trial in study.get_trials(deepcopy=False, states=states)]
    points = (dict(zip(space, point, strict=True)) for point in itertools.product(*values))
    return [point for point in points if point not in tried]


def make_tuner(encoder: type[Encoder]) -> Parser:
    """The flags of the training script, and those of the search."""
    parser = make_parser(encoder)
    parser.description = f"Searches hyper-parameters for {encoder.__name__} on validation links."
    group = parser.add_argument_group("search")
    group.add_argument("--trials", type=int, default=20, help="trials of the study, in all")
    group.add_argument(
        "--search", nargs="+", choices=SEARCHED, default=["sampler", "loss"], help="whose arguments"
    )
    group.add_argument(
        "--least-epochs", type=int, default=10, help="epochs before a trial may be given up"
    )
    group.add_argument(
        "--study",
        metavar="FILE",
        help="SQLite file (default: studies/ENCODER-NEG-LOSS-DATASET.db); "
        "the best configuration is written beside it, as YAML",
    )
    return parser


class Search:
    """The trials of one study over one training graph.

    Args:
        encoder: What is trained.
        args: All flags.
        given: Names of the flags that the user gave, which are not searched.

    Raises:
        ValueError: If the flags do not go together, or the study was begun with others.
    """

    def __init__(
        self, encoder: type[Encoder], args: argparse.Namespace, given: Collection[str] = ()
    ) -> None:
        if args.protocol != "clean":
            raise ValueError(
                f"--protocol {args.protocol}: hyper-parameters are searched on validation links, "
                "under clean"
            )
        if args.trials < 1:
            raise ValueError(f"--trials must be at least 1, got {args.trials}")
        if args.study is None:
            parts = (encoder.__name__.lower(), args.neg, args.loss, Path(args.dataset).stem)
            args.study = f"studies/{'-'.join(parts)}.db"
        self.folder = Path(args.study).with_suffix("")
        self.best = Path(args.study).with_suffix(".yaml")
        if Path(args.study) in (self.folder, self.best):
            raise ValueError(f"--study must be a file named *.db, got {args.study}")
        self.encoder, self.args = encoder, args
        self.space = search_space(encoder, args, given)
        own = {"encoder", "trials", "search", "least_epochs", "study", *IN_COMMAND_ONLY}
        self.flags = {name: value for name, value in vars(args).items() if name not in own}
        self.train_data, self.val_data, _ = load(args)
        check_flags(encoder, self.flags, self.space, self.train_data)
        fixed = {n: value for n, value in self.flags.items() if n not in ("root", "device")}
        self.study = open_study(args, {"encoder": args.encoder, **fixed})
        points = math.prod(
            len(values.values) if isinstance(values, Choice) else math.inf
            for values in self.space.values()
        )
        self.num_trials, self.every_point = min(args.trials, points), points <= args.trials
        self.started, self.here = time.monotonic(), 0

    def run(self) -> None:
        """Runs trials until the study has enough, and keeps the best configuration on disk."""
        while self.another():
            self.study.optimize(self.value_of, n_trials=1, callbacks=[self.report])
        if running := len(self.trials(TrialState.RUNNING)):
            print(f"\n{running} more running elsewhere, or killed less than three minutes ago")
        if not self.trials(TrialState.COMPLETE):
            raise NonFiniteLossError("no trial finished")
        metric, study = f"NDCG@{self.args.top_k[0]}", self.study
        print(f"\nbest validation {metric} {study.best_value:.4f} with {study.best_params}")
        print(f"python examples/train_{self.args.encoder}.py --config {self.best}")

    def trials(self, *states: TrialState) -> list[optuna.trial.FrozenTrial]:
        """The study's trials in these states, those of other processes too."""
        return self.study.get_trials(deepcopy=False, states=states)

    def another(self) -> bool:
        """Whether there is one more to run; of a grid, it is put in the queue."""
        if not self.every_point:
            return len(self.trials(*DONE)) < self.num_trials
        left = untried(self.study, self.space)
        # One may wait already: of a command that was interrupted between here and its start.
        if left and not self.trials(TrialState.WAITING):
            self.study.enqueue_trial(left[0])
        return bool(left)

    def value_of(self, trial: optuna.Trial) -> float:
        """The validation metric of a trial: trained, or that of an equal one before."""
        chosen = suggest(trial, self.space)
        print(f"trial {trial.number + 1}: {chosen}", flush=True)
        for other in self.trials(*DONE):
            if other.params == chosen:  # and the seed is the same
                print(f"the same as trial {other.number + 1}")
                if other.state == TrialState.PRUNED:
                    raise optuna.TrialPruned
                assert other.value is not None
                return other.value
        return self.train(trial, argparse.Namespace(**{**self.flags, **chosen}))

    def train(self, trial: optuna.Trial, args: argparse.Namespace) -> float:
        """Trains with the flags of a trial."""
        try:
            model = build(self.encoder, args, self.train_data)
        except ValueError as error:  # these values do not go together
            print(error)
            raise optuna.TrialPruned from None
        out = self.folder / f"trial-{trial.number}"
        shutil.rmtree(out, ignore_errors=True)  # of a study that was killed, and removed
        try:
            fitted = fit(
                model,
                self.train_data,
                self.val_data,
                out,
                **fit_options(args),
                callbacks=[Pruning(trial)],
                progress=sys.stderr.isatty(),
            )
        except NonFiniteLossError as error:
            print(error)
            raise optuna.TrialPruned from None
        finally:
            shutil.rmtree(out, ignore_errors=True)
        trial.set_user_attr("best_epoch", fitted.best_epoch + 1)
        return fitted.best

    def report(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        """Says how a trial ended, and writes the best configuration so far."""
        self.here += 1
        done = len(self.trials(*DONE))
        left = (time.monotonic() - self.started) / self.here * max(self.num_trials - done, 0)
        value = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else "given up"
        print(
            f"trial {trial.number + 1}: {value}; {done}/{self.num_trials} done, "
            f"about {left / 60:.0f} min left",
            flush=True,
        )
        if self.trials(TrialState.COMPLETE):
            metric = f"NDCG@{self.args.top_k[0]}"
            said = f"# validation {metric} {study.best_value:.4f}, best of {done} trials\n"
            config = {**self.flags, **study.best_params}
            write(self.best, said + yaml.safe_dump(config, sort_keys=False))


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the encoder's name and the flags, and searches."""
    argv = sys.argv[1:] if argv is None else list(argv)
    first = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    first.add_argument("encoder", choices=list(ENCODERS), help="its own flags: ENCODER --help")
    chosen = first.parse_args(argv[:1])
    encoder = ENCODERS[chosen.encoder]
    parser = make_tuner(encoder)
    parser.prog += f" {chosen.encoder}"
    with one_line_errors(parser, lambda: "the same command goes on"):
        args = parse(parser, argv[1:])
        args.encoder = chosen.encoder
        Search(encoder, args, given_flags(encoder, argv[1:])).run()


if __name__ == "__main__":
    main()
