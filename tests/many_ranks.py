"""What a rank does for `test_ranks.py`, in a process of its own; or one alone, to compare."""

from __future__ import annotations

import os
import signal
import warnings
from functools import cache
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, distributed
from torch_geometric.data import HeteroData
from torch_geometric.nn import GraphSAGE
from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.evaluation import evaluate
from pyg_negsamp.experiments.arguments import arguments_of
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS, FromModule
from pyg_negsamp.training import FalseNegatives, LinkLoader, Ranks, Recommender, fit
from pyg_negsamp.transforms import DINS, DNS, SAMPLERS, Compose

EPOCHS = 2
#: Whether PyG can sample neighbourhoods.
WITH_NEIGHBOURS = WITH_PYG_LIB or WITH_TORCH_SPARSE
#: What three ranks do, who do nothing that two do not, and what is done in single precision: one
#: of every way to choose and to make.
FOR_THREE = [("mf", neg, "bpr") for neg in ("dns", "bns", "mixgcf", "ans", "irgan", "cbns")]
#: Encoder, sampler and loss: every sampler with or without a graph, some with both; every loss,
#: every encoder.
CASES = dict.fromkeys(
    [
        *((encoder, neg, "bpr") for encoder, neg in zip(cycle(("lightgcn", "mf")), SAMPLERS)),
        *FOR_THREE,
        *(("mf", "rns", loss) for loss in LOSSES),
        *((encoder, "dns", "bpr") for encoder in ENCODERS),
    ]
)


@cache
def splits() -> tuple[HeteroData, HeteroData, HeteroData]:
    train_data, val_data, test_data = SyntheticInteractions("tiny")
    return train_data, val_data, test_data


def batch_size() -> int:
    """So that the last batch has one row, and most ranks have none of it."""
    links = splits()[0]["user", "interacts", "item"].edge_index.size(1)
    return next(size for size in range(links // 2, 1, -1) if links % size == 1)


def made(encoder: str, neg: str, loss: str) -> Recommender:
    """A small model, whose schedules begin with the second epoch."""
    given: dict[str, Any] = {"dim": 8, "lr": 0.05, "dataset": "tiny"}
    if loss not in ("bpr", "direct-au"):
        given["num_negatives"] = 4
    for part, name in (("neg", neg), ("loss", loss)):
        given |= {a.field: 1 for a in arguments_of(part, name) if a.name == "warmup"}
    config = Config.of(encoder=encoder, neg=neg, loss=loss, **given)
    return make_recommender(config, splits()[0])


def trained(model: Recommender, ranks: Ranks) -> dict[str, Any]:
    """Trains without lightning, whose trainer takes longer than all steps."""
    loader = LinkLoader(splits()[0], batch_size())
    model.ranks, model.planned_epochs = ranks, EPOCHS
    optimizer = model.make_optimizer()
    model.on_fit_start()
    model.train()
    choices: list[Tensor] = []
    losses: list[float] = []
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        trainer = SimpleNamespace(current_epoch=epoch, max_epochs=EPOCHS, is_last_batch=False)
        model._trainer = trainer  # type: ignore[assignment]
        model.on_train_epoch_start()
        for number, batch in enumerate(loader):
            trainer.is_last_batch = number + 1 == len(loader)
            loss = model.training_step(batch, number)
            optimizer.zero_grad()
            loss.backward()
            model.on_after_backward()
            optimizer.step()
            size = len(batch["user"].src_index)
            mine = model.chosen
            choices.append(ranks.joined(mine, size) if model.shares_rows else mine.clone())
        losses.append(model.mean_loss())
    return {
        "parameters": [p.detach().clone() for p in model.parameters()],
        "choices": choices,
        "stream": model.generator.get_state(),
        "losses": losses,
        "shares": model.shares_rows,
    }


class AskedByOne(Callback):
    """Evaluates on one rank, which has nobody to wait for; and sees what SIGTERM would do."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        self.ends_at_once = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Recommender) -> None:  # type: ignore[override]
        if pl_module.ranks.first:
            evaluate(pl_module.scorer(), splits()[1])


def run(model: Recommender, ranks: Ranks, **options: Any) -> dict[str, Any]:
    """A whole run by `fit`."""
    train_data, val_data, _ = splits()
    counts = FalseNegatives(splits()[2])
    options = {"epochs": EPOCHS, "batch_size": batch_size(), "device": "cpu", **options}
    options |= {"devices": ranks.size, "progress": False, "precision": "64-true"}
    asked = AskedByOne()
    fitted = fit(model, train_data, val_data, callbacks=[counts, asked], **options)
    history = [{k: v for k, v in e.items() if k != "seconds"} for e in fitted.history]
    return {
        "parameters": [p.detach().clone() for p in model.parameters()],
        "history": history,
        "best": (fitted.best_epoch, fitted.best),
        "counted": (counts.found, counts.total),
        "ends at once": asked.ends_at_once,
        "shares": model.shares_rows,
    }


def with_neighbours() -> Recommender:
    """All neighbours of a batch: so ranks, who sample apart, find the same."""
    torch.manual_seed(0)
    data = splits()[0]
    encoder = FromModule(GraphSAGE(8, 8, 2), data, dim=8, num_neighbors=[-1, -1])
    return Recommender(encoder, DNS(data, num_candidates=4), lr=0.05)


def composed() -> Recommender:
    """A sampler put together of two."""
    torch.manual_seed(0)
    data = splits()[0]
    sampler = Compose(DNS(UniformCandidates(data)), DINS(beta=2.0))
    return Recommender(ENCODERS["mf"](data, dim=8), sampler, lr=0.05)


def all_of(ranks: Ranks, begun: Path) -> dict[str, Any]:
    """Every case.

    Args:
        ranks: Which process this is.
        begun: A run of one epoch, by one rank, to go on with; one rank alone does all epochs.
    """
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = {}
    for case in CASES:
        if ranks.size < 3 or case in FOR_THREE:
            found[" ".join(case)] = trained(made(*case).double(), ranks)
        if case in FOR_THREE:
            found[" ".join(case) + " single"] = trained(made(*case), ranks)
    found["compose"] = trained(composed().double(), ranks)
    found["run"] = run(made("mf", "dns", "bpr"), ranks)
    found["run whole"] = run(made("mf", "in-batch", "ssm"), ranks)
    if WITH_NEIGHBOURS:
        found["run neighbours"] = run(with_neighbours(), ranks)
    found["run resumed"] = run(
        made("mf", "nscaching", "bpr"), ranks, out=begun, resume=ranks.size > 1, diagnostics="none"
    )
    return found


def be(rank: int, size: int, port: int, folder: Path) -> None:
    """One of several ranks, which leaves a file."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    os.environ |= {"LOCAL_RANK": str(rank)}
    distributed.init_process_group("gloo", rank=rank, world_size=size)
    torch.save(all_of(Ranks.here(size), folder / f"of {size}"), folder / f"{size}-{rank}.pt")
    distributed.destroy_process_group()
