"""What a run and a cell of a table keep of a test, which is ranked once.

metrics.json   metrics over all users and by group, history, time, memory
users.npz      `user [n]`, and the `[n]` values of each metric that users have one of
hits.npz       `link [2, E]` held-out links, sorted, and `hit@K [E]`: whether they are in the lists
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.evaluation import DEFAULT, Measured, evaluate, measure
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.machine import Peak, machine
from pyg_negsamp.experiments.protocols import Selected
from pyg_negsamp.files import whole
from pyg_negsamp.graph import ITEM, known_links
from pyg_negsamp.references import Popularity

FOUND, USERS, HITS = "metrics.json", "users.npz", "hits.npz"


def names_measured(config: Config, test_data: HeteroData) -> tuple[str, ...]:
    """The metrics of a test: the default ones, those asked for, and Diversity where it can be."""
    varied = "category" in test_data[ITEM] and min(config.evaluation.top_k) > 1
    asked = config.evaluation.metrics or ()
    return tuple(dict.fromkeys([*DEFAULT, *asked, *(["Diversity"] if varied else [])]))


def measure_test(
    config: Config, selected: Selected, test_data: HeteroData
) -> tuple[Measured, dict[str, float]]:
    """What a model does on test, and what ranking by popularity does there."""
    names, k = names_measured(config, test_data), config.evaluation.top_k
    measured = measure(selected.scorer, test_data, *links_of_each(selected.known), k, names)
    return measured, evaluate(Popularity(selected.known), test_data, k, names)


def links_of_each(known: HeteroData) -> tuple[Tensor, Tensor]:
    """How many links of a graph each user `[U]` and each item `[I]` has."""
    links = known_links(known)
    user, item = links.index
    return (
        torch.bincount(user, minlength=links.num_users),
        torch.bincount(item, minlength=links.num_items),
    )


def as_json(
    selected: Selected,
    measured: Measured,
    popularity: Mapping[str, float],
    history: Sequence[Mapping[str, float]],
    peak: Peak,
) -> dict[str, Any]:
    """What `metrics.json` holds of every run and cell.

    Args:
        selected: How the model came about.
        measured: What it does on test.
        popularity: What ranking by popularity does there.
        history: Epochs of the training that selected it.
        peak: Watches the memory.
    """
    return {
        "test": measured.metrics,
        "popularity": popularity,
        **selected.notes,
        "history": history,
        "groups": [asdict(group) for group in measured.groups],
        "memory_mb": peak.mb(),
        "machine": machine(),
    }


def write_arrays(folder: Path, measured: Measured, k: int) -> None:
    """Writes `users.npz` and `hits.npz`.

    Args:
        folder: Where to.
        measured: What a model does on test.
        k: How much of each list the hits are of.
    """
    users = {"user": measured.user, **measured.by_user}
    for name, arrays in ((USERS, users), (HITS, {"link": measured.link, f"hit@{k}": measured.hit})):
        with whole(folder / name) as part, part.open("wb") as file:
            columns: dict[str, Any] = {key: x.cpu().numpy() for key, x in arrays.items()}
            np.savez(file, **columns)


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name."""
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays}
