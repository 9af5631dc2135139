"""What the training scripts share: data, the run, and the table at its end."""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch_geometric.data import HeteroData

from flags import (
    IN_COMMAND_ONLY,
    LOSS_PARAMETERS,
    MAY_CHANGE,
    OTHER_EVALUATIONS,
    SAMPLER_PARAMETERS,
    SYNTHETIC,
    add_run_flags,
    given,
    hyper_parameters,
    make_parser,
    parse,
)
from pyg_negsamp.datasets import (
    DownloadError,
    InteractionDataset,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
)
from pyg_negsamp.datasets.benchmarks import find_benchmark, read_benchmark
from pyg_negsamp.datasets.log import TEST
from pyg_negsamp.evaluation import Scorer, check_leakage, evaluate, evaluate_sampled
from pyg_negsamp.graph import EDGE_TYPE, known_links
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import Encoder
from pyg_negsamp.references import popularity
from pyg_negsamp.training import Fitted, NonFiniteLossError, Recommender, fit, last_checkpoint
from pyg_negsamp.transforms import SAMPLERS, NegativeSampling


def main(encoder: type[Encoder], argv: Sequence[str] | None = None) -> None:
    """Runs a training script for one encoder class."""
    parser = make_parser(encoder)
    add_run_flags(parser)
    with one_line_errors(parser):
        args = parse(parser, argv)
        args.out = args.out or f"runs/{run_name(encoder, args)}"
        with one_line_errors(parser, lambda: how_to_go_on(args.out)):
            run(encoder, args)


def how_to_go_on(out: str) -> str:
    """What to do after Ctrl-C."""
    kept = (Path(out) / "checkpoints" / "last.ckpt").exists()
    return f"go on with --resume --out {out}" if kept else "before the first checkpoint"


def run_name(encoder: type[Encoder], args: argparse.Namespace) -> str:
    """What a run is called that was not given a folder."""
    name = f"{encoder.__name__.lower()}-{args.neg}-{Path(args.dataset).stem}"
    # The process, too: several may start in one second.
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


@contextmanager
def one_line_errors(
    parser: argparse.ArgumentParser, go_on: Callable[[], str] = str
) -> Iterator[None]:
    """Ends a script in one line: code 2 for bad input, 1 for diverged training, 130 for Ctrl-C.

    Args:
        parser: The script's.
        go_on: Says how to go on after Ctrl-C.
    """
    try:
        yield
    except (ValueError, OSError, DownloadError, yaml.YAMLError) as error:
        parser.error(str(error))
    except NonFiniteLossError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"\n{parser.prog}: {'; '.join(filter(None, ['interrupted', go_on()]))}\n")


def load(args: argparse.Namespace) -> InteractionDataset:
    """The data set that the flags name, split by their protocol.

    The split does not depend on `--seed`: runs with different seeds answer the same question.
    """
    val_ratio = 0.0 if args.protocol == "paper" else 0.1
    random, predefined = RandomSplit(val_ratio), PredefinedSplit(val_ratio)
    if not Path(args.dataset).suffix:
        for name in ("test_file", "user_column", "item_column"):
            if getattr(args, name) is not None:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} is for a --dataset file, not for {args.dataset}")
    if args.dataset in SYNTHETIC:
        return SyntheticInteractions(args.dataset, split=random)
    if Path(args.dataset).suffix:
        return InteractionDataset.from_files(
            args.dataset,
            test=args.test_file,
            user=args.user_column,
            item=args.item_column,
            duplicates=args.duplicates,
            split=predefined if args.test_file else random,
        )
    return InteractionDataset(args.root, args.dataset, split=predefined, duplicates=args.duplicates)


def make_encoder(cls: type[Encoder], args: argparse.Namespace, data: HeteroData) -> Encoder:
    """The encoder of the script, as the flags want it."""
    own = hyper_parameters(cls.__name__, cls)
    options = given(args, "encoder-", own, cls.__name__, cls)
    if hasattr(args, "layers"):
        options["num_layers"] = args.layers
    return cls(data, dim=args.dim, pool=args.pool, **options)


def make_sampler(args: argparse.Namespace, data: HeteroData, width: int) -> NegativeSampling:
    """The sampler that the flags name, over candidates from the training graph."""
    cls = SAMPLERS[args.neg]
    own = given(args, "", SAMPLER_PARAMETERS, args.neg, cls)
    if "dim" in inspect.signature(cls.__init__).parameters:
        own["dim"] = width
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


def build(encoder: type[Encoder], args: argparse.Namespace, data: HeteroData) -> Recommender:
    """The model that the flags describe, over one training graph."""
    if args.lr is None:
        args.lr = 5e-3 if args.dataset in SYNTHETIC else 1e-3
    torch.manual_seed(args.seed)
    network = make_encoder(encoder, args, data)
    return Recommender(
        network,
        make_sampler(args, data, network.width),
        make_loss(args),
        lr=args.lr,
        l2=args.l2,
        k=args.top_k,
        seed=args.seed,
    )


def fit_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of :func:`fit`."""
    return {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "patience": args.patience,
        "eval_every": args.eval_every,
        "device": args.device,
    }


def run(encoder: type[Encoder], args: argparse.Namespace) -> None:
    """Trains, tests, and writes `config.yaml`, `metrics.json` and checkpoints."""
    dataset = load(args)
    train_data, val_data, test_data = dataset
    check_leakage(*dataset)
    dataset.report()
    if args.protocol == "paper":
        print("\nprotocol: paper - the model is SELECTED ON TEST links, as some released codes do")
        val_data = test_data

    model = build(encoder, args, train_data)
    print(f"\n{model.sampler}\n{model.loss}\n")

    out = Path(args.out)
    last_checkpoint(out, args.resume)  # refuses before anything is written
    if not args.resume:
        last_checkpoint(out / "refit")
    flags = {flag: value for flag, value in vars(args).items() if flag not in IN_COMMAND_ONLY}
    config = {"encoder": encoder.__name__, "links": digest(train_data), **flags}
    if args.resume:
        check_same_run(config, out / "config.yaml")
    fitted = fit(
        model,
        train_data,
        val_data,
        out,
        **fit_options(args),
        resume=args.resume,
        callbacks=[WriteConfig(out / "config.yaml", config)],
    )

    print_history(fitted)
    seconds = [epoch["seconds"] for epoch in fitted.history]
    known, tested = train_data, fitted.checkpoint
    if args.protocol == "refit":
        print(f"\ntraining anew, on validation links too; epochs: {fitted.best_epoch + 1}")
        known = known_in(test_data)
        model, tested = refit(encoder, args, known, fitted.best_epoch + 1, out)
        seconds += [epoch["seconds"] for epoch in model.history]
    test = evaluate(model.scoring_tables(), test_data, args.top_k)
    reference = evaluate(popularity(known), test_data, args.top_k)
    method = " + ".join([encoder.__name__, args.neg, *([args.loss] if args.loss != "bpr" else [])])
    print_table({method: test, "popularity": reference})
    other = evaluate_otherwise(args, model.scoring_tables(), test_data)
    if other:
        print(f"\n{args.eval}: {OTHER_EVALUATIONS[args.eval]}")
        print_table({method: other})
    print(f"\nbest epoch {fitted.best_epoch + 1}, {median(seconds):.2f} s per epoch; ", end="")
    print(f"the model tested is {tested}")
    result = {
        "test": test,
        **({f"test_{args.eval.replace('-', '_')}": other} if other else {}),
        "popularity": reference,
        "protocol": args.protocol,
        "best_epoch": fitted.best_epoch + 1,
        "seconds_per_epoch": median(seconds),
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


def refit(
    encoder: type[Encoder],
    args: argparse.Namespace,
    known: HeteroData,
    epochs: int,
    out: Path,
    **options: Any,
) -> tuple[Recommender, Path]:
    """Trains anew on training and validation links, for as many epochs as validation found best.

    Args:
        encoder: What is trained.
        args: The flags of the run that selected.
        known: All those links, see :func:`known_in`.
        epochs: How many were best.
        out: That run's folder; this one is in `out/refit`, and goes on from there.
        **options: More of :func:`fit`.

    Returns:
        The model, and the file that holds it.
    """
    out = out / "refit"
    model = build(encoder, args, known)
    options = {**fit_options(args), "epochs": epochs, **options}
    begun = (out / "checkpoints" / "last.ckpt").exists()
    fitted = fit(model, known, None, out, resume=begun, planned=args.epochs, **options)
    return model, fitted.checkpoint


def known_in(test_data: HeteroData) -> HeteroData:
    """A training graph of all links that are known at test time."""
    known = copy(test_data)
    known[EDGE_TYPE].edge_label_index = known[EDGE_TYPE].edge_index
    return known


def check_same_run(config: dict[str, Any], file: Path) -> None:
    """Refuses to go on with a run that was begun with other flags."""
    was = yaml.safe_load(file.read_text())
    names = {name for name in {*was, *config} if was.get(name) != config.get(name)}
    if changed := sorted(names.difference(MAY_CHANGE)):
        said = {"encoder": "encoder", "links": "set of training links"}
        what = ", ".join(said.get(name, f"--{name.replace('_', '-')}") for name in changed)
        raise ValueError(f"--resume: the run in {file.parent} was begun with another {what}")


def digest(data: HeteroData) -> str:
    """Tells training links from others, to notice data that have changed."""
    return hashlib.sha256(known_links(data).index.numpy().tobytes()).hexdigest()[:16]


class WriteConfig(Callback):
    """Writes the run's flags once training has accepted them."""

    def __init__(self, file: Path, config: dict[str, Any]) -> None:
        self.file, self.config = file, config

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before the first step: what a resumption needs is there before its checkpoint."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write(self.file, yaml.safe_dump(self.config, sort_keys=False))


def evaluate_otherwise(
    args: argparse.Namespace, scorer: Scorer, test_data: HeteroData
) -> dict[str, float]:
    """What `--eval` asks for beside full ranking; nothing by default."""
    if args.eval == "sampled":
        sets = evaluate_sampled(scorer, test_data, args.top_k)
        return {name: sum(found[name] for found in sets) / len(sets) for name in sets[0]}
    if args.eval == "with-known":
        return evaluate(scorer, with_known(args, test_data), args.top_k)
    return {}


def with_known(args: argparse.Namespace, test_data: HeteroData) -> HeteroData:
    """The test split with all links of the test file, those that training has too among them.

    Known items are left out of the lists, so that such a link is a miss for any ranking.
    """
    folder = Path(args.root).expanduser() / args.dataset
    log = read_benchmark(find_benchmark(args.dataset), folder)
    assert log.split is not None
    whole = copy(test_data)
    held_out = torch.stack([log.user, log.item])[:, log.split == TEST]
    whole[EDGE_TYPE].edge_label_index = held_out.unique(dim=1)
    return whole


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
