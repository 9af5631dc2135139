"""Searches hyper-parameters on validation links; what to try stands beside each class.

python examples/tune.py mf --neg ahns --dataset amazon-phones --root DATA --trials 30
python examples/train_mf.py --config studies/mf-ahns-bpr-amazon-phones.yaml

The first argument is the encoder; all flags of its training script follow. What a flag fixes is
not searched. The study is one SQLite file: run the same command again to go on with it, or
several, one after another, to share it. A space that has no more points than there are trials
is searched as a grid. Needs the extra 'tune'.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

from common import build, load, write
from flags import IN_COMMAND_ONLY, Parser, make_parser, parse
from pyg_negsamp.datasets import DownloadError
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.space import Choice, Range, Space
from pyg_negsamp.training import NonFiniteLossError, fit
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
        value = next(iter(pl_module.validated.values()))  # type: ignore[operator]
        if not self.trial.should_prune():
            self.trial.report(float(value), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search_space(encoder: type[Encoder], args: argparse.Namespace) -> dict[str, Choice | Range]:
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
            if part == "training" or flag == "layers" or getattr(args, flag, None) is None:
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


def open_study(
    args: argparse.Namespace, fixed: dict[str, Any], space: dict[str, Choice | Range]
) -> optuna.Study:
    """The study in the file, new or to go on with; refuses one that asked something else."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", ExperimentalWarning)
    Path(args.study).parent.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{args.study}",
        engine_kwargs={"connect_args": {"timeout": 60}},
        heartbeat_interval=60,  # so that a killed trial does not count as running for ever
        grace_period=180,
    )
    study = optuna.create_study(
        storage=storage,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=args.least_epochs),
        study_name="study",
        direction="maximize",
        load_if_exists=True,
    )
    grid = {name: values.values for name, values in space.items() if isinstance(values, Choice)}
    if len(grid) == len(space) and math.prod(map(len, grid.values())) <= args.trials:
        study.sampler = optuna.samplers.GridSampler(grid, seed=args.seed)
    else:  # whoever joins or goes on must not try the same again
        tried = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=args.seed + tried)
    was = study.user_attrs.get("fixed")
    if was is None:
        study.set_user_attr("fixed", fixed)
    elif was != json.loads(json.dumps(fixed)):
        names = [name for name in {*was, *fixed} if was.get(name) != fixed.get(name)]
        raise ValueError(f"{args.study} was begun with other values of {', '.join(sorted(names))}")
    return study


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


def tune(encoder: type[Encoder], args: argparse.Namespace) -> None:
    """Runs trials until the study has enough, and keeps the best configuration on disk."""
    if args.protocol != "clean":
        raise ValueError("--protocol paper selects on test: hyper-parameters are not searched so")
    if args.trials < 1:
        raise ValueError(f"--trials must be at least 1, got {args.trials}")
    if args.study is None:
        parts = (encoder.__name__.lower(), args.neg, args.loss, Path(args.dataset).stem)
        args.study = f"studies/{'-'.join(parts)}.db"
    space = search_space(encoder, args)
    own = {"encoder", "trials", "search", "least_epochs", "study", *IN_COMMAND_ONLY}
    flags = {name: value for name, value in vars(args).items() if name not in own}
    study = open_study(args, {k: v for k, v in flags.items() if k not in ("root", "device")}, space)
    train_data, val_data, _ = load(args)
    folder, best = Path(args.study).with_suffix(""), Path(args.study).with_suffix(".yaml")
    started, here = time.monotonic(), 0

    def objective(trial: optuna.Trial) -> float:
        chosen = suggest(trial, space)
        print(f"trial {trial.number + 1}: {chosen}", flush=True)
        trial_args = argparse.Namespace(**{**flags, **chosen})
        out = folder / f"trial-{trial.number}"
        try:
            model = build(encoder, trial_args, train_data)
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

    def report(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal here
        here += 1
        done = len(study.get_trials(deepcopy=False, states=DONE))
        left = (time.monotonic() - started) / here * max(args.trials - done, 0)
        value = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else "given up"
        print(
            f"trial {trial.number + 1}: {value}; {done}/{args.trials} done, "
            f"about {left / 60:.0f} min left",
            flush=True,
        )
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            config = {**flags, **study.best_params}
            said = (
                f"# validation NDCG@{args.top_k[0]} {study.best_value:.4f}, best of {done} trials\n"
            )
            write(best, said + yaml.safe_dump(config, sort_keys=False))

    if len(study.get_trials(deepcopy=False, states=DONE)) < args.trials:
        enough = optuna.study.MaxTrialsCallback(args.trials, states=DONE)
        study.optimize(objective, callbacks=[report, enough])
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise NonFiniteLossError("no trial finished")
    print(f"\nbest validation NDCG@{args.top_k[0]} {study.best_value:.4f} with {study.best_params}")
    print(f"python examples/train_{args.encoder}.py --config {best}")


def main(argv: Sequence[str] | None = None) -> None:
    """Reads the encoder's name and the flags, and searches."""
    argv = sys.argv[1:] if argv is None else list(argv)
    first = Parser(description=__doc__, add_help=False)
    first.add_argument("encoder", choices=list(ENCODERS))
    chosen = first.parse_args(argv[:1])
    encoder = ENCODERS[chosen.encoder]
    parser = make_tuner(encoder)
    parser.prog += f" {chosen.encoder}"
    try:
        args = parse(parser, argv[1:])
        args.encoder = chosen.encoder
        tune(encoder, args)
    except (ValueError, OSError, DownloadError, yaml.YAMLError) as error:
        parser.error(str(error))
    except NonFiniteLossError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: interrupted; the same command goes on\n")


if __name__ == "__main__":
    main()
