"""From a configuration to three graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    BENCHMARKS,
    InteractionDataset,
    InteractionSplit,
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
    TemporalSplit,
)
from pyg_negsamp.datasets.benchmarks import find_benchmark, read_benchmark
from pyg_negsamp.datasets.log import TEST, TRAIN, VAL
from pyg_negsamp.datasets.parquet import open_parquet
from pyg_negsamp.errors import nearest
from pyg_negsamp.experiments.arguments import ConfigError
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.parts import FIELDS, SYNTHETIC, DataConfig
from pyg_negsamp.graph import EDGE_TYPE, ITEM

#: Fields that say how a file is to be read.
OF_FILES = ("test_file", "val_file", "user_column", "item_column", "time_column", "rating_column",
            "min_rating", "weight_column", "sep", "decimal", "encoding", "date_format",
            "items_file", "category_column")  # fmt: skip
#: Fields without effect by the kind of source, and what they are for.
IGNORED = {
    "file": ((), ""),
    "frame": (("test_file", "val_file", "sep"), "it is for a file"),
    "benchmark": (OF_FILES, "it is for a file"),
    "synthetic": ((*OF_FILES, "k_core", "duplicates"), "it is for a file"),
    "prepared": ((*OF_FILES, "k_core", "duplicates"), "it is for what can be prepared anew"),
}  # fmt: skip
TIMES = ("val_time", "test_time")
#: What a frame in memory is called.
FRAME = "frame"
#: What `data prepare` writes, and reads again.
PREPARED = {"train": "train.parquet", "val": "val.parquet", "test": "test.parquet"}
#: What it writes beside, if some items have no link, or all have a category.
CATALOGUE = "items.parquet"
#: What it says of them.
SAID = "data.yaml"


def load_data(config: Config, frame: pd.DataFrame | None = None) -> InteractionDataset:
    """The data set that a configuration names, divided as it says.

    The split does not depend on the seed of training: runs with different seeds answer the same
    question.

    Args:
        config: What to load. Under `protocol='paper'` nothing is held out for validation.
        frame: Interactions in memory, in place of `config.data.dataset`.

    Raises:
        ValueError: If fields do not go together, or the source cannot be read.
    """
    dataset = divided(config, frame)
    check_validation(config, dataset)
    if "Diversity" in (config.evaluation.metrics or ()) and "category" not in dataset[0][ITEM]:
        expected = "without Diversity, as items have no category (--category-column)"
        raise ConfigError("metrics", expected, " ".join(config.evaluation.metrics or ()))
    return dataset


def check_validation(config: Config, dataset: InteractionDataset) -> None:
    """Refuses a file of validation links of which none is left: others would take their place."""
    given = config.data.val_file
    split = dataset.interactions[EDGE_TYPE].get("split")
    if given is not None and split is not None and not bool((split == VAL).any()):
        expected = "a file with links that are not in training too, nor filtered out"
        raise ConfigError("val_file", expected, given)


def divided(config: Config, frame: pd.DataFrame | None) -> InteractionDataset:
    """The data set of :func:`load_data`."""
    data = config.data
    source = Path(data.dataset).expanduser()
    kind = "frame" if frame is not None else kind_of(data.dataset, source)
    fields, why = IGNORED[kind]
    refuse(data, fields, f"{why}, not for {data.dataset}")
    if kind == "prepared":
        check_prepared(source)
        if config.evaluation.eval == "with-known":
            expected = f"'full' or 'sampled', as there is a prepared folder {source}"
            raise ConfigError("eval", expected, "with-known")
    if data.val_file is not None and data.test_file is None:
        raise ConfigError("val_file", "left out, or given with --test-file", data.val_file)
    split = make_split(data, held_out(data, kind, source))
    if config.evaluation.protocol == "paper":
        split = AllOfTrain(split)
    if frame is not None:
        return InteractionDataset.from_frame(frame, **columns(data), **reading(data), split=split)
    if kind == "synthetic":
        return SyntheticInteractions(data.dataset, split=split)
    if kind == "prepared":
        return load_prepared(source, split)
    if kind == "benchmark":
        return InteractionDataset(
            data.root, data.dataset, split=split, duplicates=data.duplicates, k_core=data.k_core
        )
    return InteractionDataset.from_files(
        source,
        test=data.test_file,
        valid=data.val_file,
        **columns(data),
        **reading(data),
        sep=data.sep,
        split=split,
    )


def kind_of(name: str, source: Path) -> str:
    """Which kind of source a name stands for, out of :data:`IGNORED`.

    Args:
        name: As it was given.
        source: The same as a path.

    Raises:
        ConfigError: If it is none.
    """
    if source.is_file() or (source.suffix and not source.is_dir()):
        return "file"
    if name in SYNTHETIC:
        return "synthetic"
    if (source / PREPARED["train"]).is_file():
        return "prepared"
    if name not in BENCHMARKS:
        known = (*SYNTHETIC, *BENCHMARKS)
        expected = f"a file, a prepared folder, or one of {', '.join(known)}"
        raise ConfigError("dataset", expected + nearest(name, known), name)
    return "benchmark"


def refuse(data: DataConfig, names: Collection[str], why: str) -> None:
    """Refuses fields that would have no effect."""
    for name in names:
        if getattr(data, name) != FIELDS[name].default:
            raise ConfigError(name, f"left out: {why}", getattr(data, name))


def held_out(data: DataConfig, kind: str, source: Path) -> set[str]:
    """Which of `val` and `test` the source holds out by itself."""
    if kind == "prepared":
        return {part for part in ("val", "test") if (source / PREPARED[part]).is_file()}
    if kind == "benchmark":
        parts = [file.part for file in BENCHMARKS[data.dataset].files]
        return {"val", "test"} if VAL in parts else {"test"}
    files = {"val": data.val_file, "test": data.test_file}
    return {part for part, file in files.items() if file is not None}


def check_prepared(folder: Path) -> None:
    """Refuses a folder whose files are not those that `data prepare` wrote there.

    Raises:
        ValueError: Naming the file that is gone, or has another number of rows.
    """
    if not (folder / SAID).is_file():
        return
    said = yaml.safe_load((folder / SAID).read_text(encoding="utf-8"))
    files = said.get("files") if isinstance(said, dict) else None
    if not isinstance(files, dict):
        raise ConfigError("dataset", f"a folder with the {SAID} of `data prepare`", folder)
    for name, rows in files.items():
        there = (folder / name).is_file()
        found = open_parquet(folder / name).metadata.num_rows if there else None
        if found != rows:
            expected = f"as it was prepared: {folder / name} had {rows:,} rows"
            raise ConfigError("dataset", expected, f"{found:,}" if there else "no such file")


def load_prepared(folder: Path, split: InteractionSplit) -> InteractionDataset:
    """A folder that `data prepare` wrote: filtered already, and repeats as it was told."""
    parts = {part: folder / name for part, name in PREPARED.items()}
    names = open_parquet(parts["train"]).schema_arrow.names
    found = {name: name for name in ("time", "rating", "weight") if name in names}
    catalogue = folder / CATALOGUE if (folder / CATALOGUE).is_file() else None
    if catalogue is not None and "category" in open_parquet(catalogue).schema_arrow.names:
        found["category"] = "category"
    return InteractionDataset.from_files(
        parts["train"],
        test=parts["test"],
        valid=parts["val"] if parts["val"].is_file() else None,
        user="user",
        item="item",
        **found,  # type: ignore[arg-type]
        items_file=catalogue,
        duplicates="keep",
        split=split,
    )


def columns(data: DataConfig) -> dict[str, Any]:
    """Which column holds what; a number, also as text, is a position."""
    roles = ("user", "item", "time", "rating", "weight", "category")
    named = {role: getattr(data, f"{role}_column") for role in roles}
    return {
        role: int(name) if isinstance(name, str) and name.isdecimal() else name
        for role, name in named.items()
        if name is not None
    }


def reading(data: DataConfig) -> dict[str, Any]:
    """How a table is written, and what is left out of it."""
    return {
        "decimal": data.decimal,
        "encoding": data.encoding,
        "items_file": data.items_file,
        "min_rating": data.min_rating,
        "date_format": data.date_format,
        "k_core": data.k_core,
        "duplicates": data.duplicates,
    }


class AllOfTrain(InteractionSplit):
    """A split whose validation links are trained on; test stays as it is.

    Args:
        split: That split.
    """

    def __init__(self, split: InteractionSplit) -> None:
        super().__init__(split.edge_type)
        self.split = split

    def assign(self, data: HeteroData) -> Tensor:
        part = self.split.assign(data)
        return part.masked_fill(part == VAL, TRAIN)

    def remarks(self, data: HeteroData, graphs: Sequence[HeteroData]) -> dict[str, int]:
        return self.split.remarks(data, graphs)


def make_split(data: DataConfig, parts: Collection[str]) -> InteractionSplit:
    """The transform that divides the links.

    Args:
        data: What it is told by.
        parts: Which of `val` and `test` the source holds out by itself.

    Raises:
        ConfigError: If a field does not go with the split, or would have no effect.
    """
    divided = "test" in parts
    name, val = data.split or ("predefined" if divided else "random"), data.val_share
    if name == "predefined":
        if not divided:
            raise ConfigError("split", "'random' or by time: the source is not divided", name)
        refuse(data, (*TIMES, "test_share"), "the source is divided already")
        if "val" in parts:
            refuse(data, ("val_share", "split_seed"), "the source has validation links")
        return PredefinedSplit(val, seed=data.split_seed)
    if divided:
        raise ConfigError("split", "'predefined': the source is divided already", name)
    if name == "temporal":
        refuse(data, ("split_seed",), "a temporal split draws nothing")
        if data.val_time is not None and data.test_time is not None:
            refuse(data, ("val_share", "test_share"), "the times divide the links")
            return TemporalSplit(moment(data.val_time), moment(data.test_time))
    for field in TIMES:
        if getattr(data, field) is not None:
            expected = "given with the other one, for --split temporal only"
            raise ConfigError(field, expected, getattr(data, field))
    if name == "leave-one-out":
        of_shares = ("test_share", "val_share") if data.val_share else ("test_share",)
        refuse(data, of_shares, "one link per user is held out")
        return LeaveOneOut(num_val=0 if val == 0 else 1, seed=data.split_seed)
    if val + data.test_share >= 1:
        expected = "with --test-share below 1 in all, so that training links are left"
        raise ConfigError("val_share", expected, f"{val} and {data.test_share}")
    if name == "temporal":
        return TemporalSplit.by_share(val, data.test_share)
    cls = {"random": RandomSplit, "latest": LatestSplit}[name]
    return cls(val, data.test_share, seed=data.split_seed)


def moment(text: str) -> float | str:
    """A moment as a number, if it is one, or else as a date."""
    try:
        return float(text)
    except ValueError:
        return text


def known_in(test_data: HeteroData) -> HeteroData:
    """A training graph of all links that are known at test time."""
    known = copy(test_data)
    known[EDGE_TYPE].edge_label_index = known[EDGE_TYPE].edge_index
    return known


def with_known(config: Config, test_data: HeteroData) -> HeteroData:
    """The test split with all links of the test file, those that training has too among them.

    Known items are left out of the lists, so that such a link is a miss for any ranking.
    """
    folder = Path(config.data.root).expanduser() / config.data.dataset
    log = read_benchmark(find_benchmark(config.data.dataset), folder)
    assert log.split is not None
    whole = copy(test_data)
    held_out = torch.stack([log.user, log.item])[:, log.split == TEST]
    whole[EDGE_TYPE].edge_label_index = held_out.unique(dim=1)
    return whole


def digest(graphs: Iterable[HeteroData], *ids: pd.Index | None) -> str:
    """A hash of all that graphs hold, and of the ids, to notice data that have changed.

    Args:
        graphs: Those that count.
        *ids: Of users and of items, where there are some: rows of a model are theirs.
    """
    found = hashlib.sha256()
    for index in ids:
        names = "none" if index is None else "\n".join(map(str, index))
        found.update(names.encode(errors="surrogatepass"))
    for graph in graphs:
        for store in graph.stores:
            for name, value in sorted(store.items()):
                if isinstance(value, Tensor):
                    value = value.cpu().contiguous()
                    said = f"{store._key} {name} {value.dtype} {[*value.shape]}"
                    found.update(said.encode() + value.numpy().tobytes())
                else:
                    found.update(f"{store._key} {name} {value!r}".encode())
    return found.hexdigest()[:16]
