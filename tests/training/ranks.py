"""What ranks do in `test_ranks.py`: processes of their own, which import nothing of pytest."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, distributed

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.losses import LOSSES
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.training import LinkLoader, Ranks, Recommender
from pyg_negsamp.transforms import SAMPLERS

EPOCHS = 2
#: Encoder, sampler and loss: every sampler with and without a graph, every loss, every encoder.
CASES = [
    *((encoder, neg, "bpr") for neg in SAMPLERS for encoder in ("mf", "lightgcn")),
    *(("mf", "rns", loss) for loss in LOSSES if loss != "bpr"),
    *((encoder, "dns", "bpr") for encoder in ENCODERS if encoder not in ("mf", "lightgcn")),
]


def made(encoder: str, neg: str, loss: str) -> Recommender:
    """A small model, in which schedules begin with the second epoch."""
    from pyg_negsamp.experiments.arguments import arguments_of

    data = SyntheticInteractions("tiny")[0]
    given: dict[str, Any] = {"dim": 8, "lr": 0.05, "dataset": "tiny"}
    if loss not in ("bpr", "direct-au"):
        given["num_negatives"] = 4
    for part, name in (("neg", neg), ("loss", loss)):
        for argument in arguments_of(part, name):
            if argument.name == "warmup":
                given[argument.field] = 1
    return make_recommender(Config.of(encoder=encoder, neg=neg, loss=loss, **given), data)


def trained(model: Recommender, ranks: Ranks) -> dict[str, Any]:
    """Trains without lightning, whose trainer takes longer than all steps."""
    data = SyntheticInteractions("tiny")[0]
    loader = LinkLoader(data, batch_size(data))
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


def batch_size(data: Any) -> int:
    """So that the last batch has one row, and most ranks have none of it."""
    links = data["user", "interacts", "item"].edge_index.size(1)
    return next(size for size in range(links // 3, 1, -1) if links % size == 1)


def all_cases(ranks: Ranks) -> dict[str, Any]:
    """Every case in double precision, and in single."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = {}
    for case in CASES:
        found[" ".join(case)] = trained(made(*case).double(), ranks)
        if case[2] == "bpr":
            found[" ".join(case) + " single"] = trained(made(*case), ranks)
    return found


def be(rank: int, size: int, port: int, folder: Path) -> None:
    """One of several ranks, which leaves a file."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
    os.environ |= {"NODE_RANK": "0"}
    distributed.init_process_group("gloo", rank=rank, world_size=size)
    torch.save(all_cases(Ranks.here(size)), folder / f"{size}-{rank}.pt")
    distributed.destroy_process_group()
