"""Small models with text ids, and with ids that count from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import InteractionDataset, PredefinedSplit
from pyg_negsamp.nn import ENCODERS, Encoder
from pyg_negsamp.references import EASE, ItemKNN, Popularity
from pyg_negsamp.serving import TrainedModel
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import RNS

REFERENCES = {"popularity": Popularity, "item-knn": ItemKNN, "ease": EASE}
METHODS = [*ENCODERS, *REFERENCES]


def frame(seed: int = 0, num_users: int = 30, num_items: int = 40) -> pd.DataFrame:
    """Purchases; the last user and the last item have test links only."""
    generator = np.random.default_rng(seed)
    rows = [
        (user, item)
        for user in range(num_users - 1)
        for item in generator.choice(num_items - 1, 8, replace=False)
    ]
    split = generator.choice([0, 0, 0, 1, 2], len(rows))
    split[::8] = 0  # everybody has a training link
    rows += [(num_users - 1, 3), (num_users - 1, 5), (0, num_items - 1)]
    user, item = zip(*rows, strict=True)
    split = [*split, 2, 2, 2]
    return pd.DataFrame({"user": user, "item": item, "split": split})


def dataset(ids: str = "text", seed: int = 0, **size: int) -> InteractionDataset:
    """`ids`: 'text' ('u007', 'i012'), 'digits' ('107', '212'), 'integers' (107, 212), 'none'."""
    table = frame(seed, **size)
    if ids == "text":
        table["user"], table["item"] = (
            table.user.map("u{:03}".format),
            table.item.map("i{:03}".format),
        )
    elif ids in ("digits", "integers"):
        table["user"], table["item"] = table.user + 100, table.item + 200
        if ids == "digits":
            table[["user", "item"]] = table[["user", "item"]].astype(str)
    part = torch.tensor(table["split"].to_numpy())

    def split(data: HeteroData) -> Any:
        made = data.clone()
        # The dataset sorts its links by user, then item; so is the part.
        order = table.assign(at=range(len(table))).sort_values(["user", "item"])["at"].to_numpy()
        made["user", "interacts", "item"].split = part[order.copy()].to(torch.uint8)
        return PredefinedSplit()(made)

    made = InteractionDataset.from_frame(table, split=split)
    if ids == "none":
        made.user_ids = made.item_ids = None
    return made


def recommender(
    data: HeteroData, method: str = "mf", loss: Any = None, **options: Any
) -> Recommender:
    """Untrained, with rows of some length."""
    torch.manual_seed(0)
    encoder: Encoder = ENCODERS[method](data, dim=6, **options)
    with torch.no_grad():
        encoder.embedding.weight.normal_()
    sampler = RNS(UniformCandidates(data), pool=encoder.pool)
    return Recommender(encoder, sampler, loss, l2=0.01)


def trained(method: str, data: HeteroData, **options: Any) -> Any:
    if method in REFERENCES:
        return REFERENCES[method](data)
    return recommender(data, method, **options)


def model(method: str = "mf", ids: str = "text", **options: Any) -> TrainedModel:
    data = dataset(ids)
    config = {"encoder": method, "seed": 3, "top_k": (10, 20), "layers": None}
    return TrainedModel.from_training(
        trained(method, data[0], **options), data, config=config, metrics={"test/NDCG@20": 0.1}
    )
