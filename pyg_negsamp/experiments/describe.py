"""What is in a source of interactions, and what each filter would leave of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.datasets.k_core import k_core
from pyg_negsamp.datasets.log import InteractionLog
from pyg_negsamp.datasets.report import format_moment
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.data import load_data

#: Users and items with fewer links are few to learn from, and are counted.
FEW = 5
#: The k-cores that are tried where none is given.
CORES = ((5, 5), (10, 10))
#: Up to as many different ratings are shown one by one, else tenths.
MOST_RATINGS = 20


@dataclass(frozen=True)
class Description:
    """What :func:`describe` finds.

    Attributes:
        summary: The numbers of `dataset.report()`, as the data are loaded: filtered and divided.
        degrees: Rows `user` and `item`; the columns `min`, `median`, `mean` and `max` count
            links, `few` is the share with fewer than :data:`FEW`.
        times: The first and the last moment, if there are times.
        filters: A row per filter and how many `users`, `items` and `links` it leaves; the first
            one is what there is. A k-core counts after the given `min_rating`.
        ratings: How many `links` are rated at least so, and their `share`; `None` without
            ratings. Of a pair that was rated several times, the best counts, as in `min_rating`.
        torn: Pairs that are rated below the given `min_rating`, too; 0 without.
        leakage: What is held out in a file although an earlier one has it, a sentence per file.
    """

    summary: dict[str, Any]
    degrees: pd.DataFrame
    times: tuple[str, str] | None
    filters: pd.DataFrame
    ratings: pd.DataFrame | None
    leakage: list[str]
    torn: int = 0


def describe(config: Config) -> Description:
    """Loads the data of a configuration, with and without its filters.

    Args:
        config: Its data part is described; under `protocol='paper'` nothing is validation.

    Raises:
        ValueError: If fields do not go together, or the source cannot be read.
    """
    data = config.data
    dataset = load_data(config)
    rated = dataset if data.k_core is None else load_data(config.but(k_core=None))
    whole = rated
    if data.min_rating is not None:
        whole = load_data(config.but(k_core=None, min_rating=None))
    every = whole
    if data.rating_column is not None and data.duplicates == "drop":
        every = load_data(config.but(k_core=None, min_rating=None, duplicates="keep"))
    rating, torn = best_ratings(every, data.min_rating, data.duplicates)
    summary = dataset.summary()
    told = ("links_per_", "time_")  # below
    return Description(
        summary={name: value for name, value in summary.items() if not name.startswith(told)},
        degrees=degrees(dataset),
        times=times(summary),
        filters=filters(whole, rated, data.min_rating, data.k_core),
        ratings=None if rating is None else ratings(rating, data.min_rating),
        leakage=leakage(summary, data.val_file, data.test_file),
        torn=torn,
    )


def degrees(dataset: InteractionDataset) -> pd.DataFrame:
    """How many links users and items have in the three graphs together."""
    links = torch.cat([graph[dataset.edge_type].edge_label_index for graph in dataset], dim=1)
    found = {}
    for role, ids, node in zip(("user", "item"), links, dataset.edge_type[::2], strict=True):
        count = torch.bincount(ids, minlength=int(dataset[0][node].num_nodes)).numpy()
        found[role] = {
            "min": count.min(),
            "median": np.median(count),
            "mean": count.mean(),
            "max": count.max(),
            "few": (count < FEW).mean(),
        }
    return pd.DataFrame(found).T


def times(summary: dict[str, Any]) -> tuple[str, str] | None:
    """The first and the last moment: dates where the source has dates, else numbers."""
    if "time_first" not in summary:
        return None
    return format_moment(summary["time_first"]), format_moment(summary["time_last"])


def filters(
    whole: InteractionDataset,
    rated: InteractionDataset,
    min_rating: float | None,
    core: tuple[int, int] | None,
) -> pd.DataFrame:
    """What filters leave.

    Args:
        whole: The data without filters.
        rated: The data without links rated too low.
        min_rating: The least rating of these, if one was given.
        core: The k-core to try; with `None`, those in :data:`CORES`.
    """
    found = {"none": left(log_of(whole))}
    if min_rating is not None:
        found[f"rated at least {min_rating:g}"] = left(log_of(rated))
    for least in CORES if core is None else (core,):
        try:
            log, _ = k_core(log_of(rated), least)
            found[f"k-core {least[0]} {least[1]}"] = left(log)
        except ValueError:  # nothing is left
            found[f"k-core {least[0]} {least[1]}"] = dict.fromkeys(("users", "items", "links"), 0)
    return pd.DataFrame(found).T


def log_of(dataset: InteractionDataset) -> InteractionLog:
    """All interactions, not divided unless the source is."""
    source, _, destination = dataset.edge_type
    data = dataset.interactions
    user, item = data[dataset.edge_type].edge_index
    split: Tensor | None = data[dataset.edge_type].get("split")
    users, items = int(data[source].num_nodes), int(data[destination].num_nodes)
    return InteractionLog(user, item, users, items, split=split, listed=dataset.listed)


def left(log: InteractionLog) -> dict[str, int]:
    """The size of a log."""
    return {"users": log.num_users, "items": log.num_items, "links": log.user.numel()}


def best_ratings(
    dataset: InteractionDataset, min_rating: float | None, duplicates: str
) -> tuple[np.ndarray | None, int]:
    """The best rating of each pair, or all ratings where repeats are kept.

    Returns:
        Ratings, or `None` if there are none; and of how many pairs some are below `min_rating` and
        others are not.
    """
    store = dataset.interactions[dataset.edge_type]
    if "rating" not in store:
        return None, 0
    user, item = store.edge_index.numpy()
    of_pair = pd.Series(store.rating.numpy()).groupby([user, item])
    best = of_pair.max()
    torn = 0
    if min_rating is not None:
        torn = int(((best >= min_rating) & (of_pair.min() < min_rating)).sum())
    return (best.to_numpy() if duplicates == "drop" else store.rating.numpy()), torn


def ratings(rating: np.ndarray, min_rating: float | None) -> pd.DataFrame:
    """How many links are rated at least so, for every rating or for tenths of the links."""
    least = np.unique(rating)
    if least.size > MOST_RATINGS:
        least = np.unique(np.quantile(rating, np.arange(10) / 10, method="lower"))
    if min_rating is not None:
        least = np.union1d(least, [min_rating])
    links = [(rating >= value).sum() for value in least]
    found = pd.DataFrame({"links": links}, index=pd.Index(least, name="rating"))
    return found.assign(share=found["links"] / rating.size)


def leakage(summary: dict[str, Any], val_file: str | None, test_file: str | None) -> list[str]:
    """Sentences about what the held-out files have that an earlier file has, too."""
    found = []
    if val_file is not None:
        count = summary["train_val_overlap"]
        found.append(_sentence(count, val_file, "the training file", "validation"))
    if test_file is not None:
        count = summary["train_test_overlap"]
        earlier = "the training file" if val_file is None else "an earlier file"
        found.append(_sentence(count, test_file, earlier, "test"))
    return found


def _sentence(count: int, file: str, earlier: str, part: str) -> str:
    if not count:
        return f"no pair of {file} is in {earlier}"
    pairs = "pair of {} is" if count == 1 else "pairs of {} are"
    return f"{count:,} {pairs.format(file)} in {earlier} too: removed from {part}"
