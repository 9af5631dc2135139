"""Interactions filtered, divided and written once, for later runs.

DIR/train.parquet   the links of each part: user, item with the ids of the source, and of time,
DIR/val.parquet     rating and weight those that it has. No validation file if there are no such
DIR/test.parquet    links
DIR/items.parquet   all items, if some have no link, or with their categories
DIR/data.yaml       the fields that made it, the counts, and how many rows each file has

`load_data` reads the folder with `dataset='DIR'`, into the same three graphs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from pyg_negsamp import __version__
from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.data import CATALOGUE, PREPARED, SAID, load_data
from pyg_negsamp.files import whole, writing


def prepare(config: Config, folder: str | Path) -> dict[str, Any]:
    """Loads, filters and divides interactions, and writes them; the whole folder or nothing.

    A user without any link, whom only a source that counts from zero can have, is not written.
    With `duplicates='keep'`, what repeats a validation link is not written either.

    Args:
        config: Its data part says what to write. Under `protocol='paper'` nothing is validation.
        folder: Where to: a new folder, or an empty one.

    Returns:
        The counts, as `dataset.summary()` has them.

    Raises:
        FileExistsError: If the folder holds something, or is a file.
        ValueError: If fields do not go together, or the source cannot be read.
    """
    folder = Path(folder).expanduser()
    check_empty(folder)
    dataset = load_data(config)
    counts = dataset.summary()
    flat = config.flat()
    said = {name: flat[name] for name in vars(config.data) if name in flat}
    made = {"made_by": f"pyg_negsamp {__version__}", "fields": said, "counts": counts}
    with writing(folder), whole(folder) as part:
        part.mkdir()
        made["files"] = write_parts(dataset, part)
        said_of_it = yaml.safe_dump(made, sort_keys=False, allow_unicode=True)
        (part / SAID).write_text(said_of_it, encoding="utf-8")
    return counts


def check_empty(folder: Path) -> None:
    """Raises `FileExistsError` for a folder that holds something, and for a file."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileExistsError(f"{folder} already holds something: choose another folder")


def write_parts(dataset: InteractionDataset, folder: Path) -> dict[str, int]:
    """Writes the links of each part, and the items if links alone do not tell them.

    Returns:
        How many rows each file has.
    """
    rows: dict[str, int] = {}
    linked: list[pd.Series] = []
    for part, name in PREPARED.items():
        frame = dataset.to_frame(part)  # type: ignore[arg-type]
        if len(frame) or part != "val":
            frame.to_parquet(folder / name, index=False)
            rows[name] = len(frame)
        linked.append(frame["item"])
    items = dataset[0][dataset.edge_type[2]]
    num_items = int(items.num_nodes)
    kinds = {"category": items.category.numpy()} if "category" in items else {}
    if kinds or pd.concat(linked).nunique() < num_items:
        every = torch.arange(num_items).numpy() if dataset.item_ids is None else dataset.item_ids
        pd.DataFrame({"item": every, **kinds}).to_parquet(folder / CATALOGUE, index=False)
        rows[CATALOGUE] = num_items
    return rows
