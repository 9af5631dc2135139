"""The dataset class: interactions from any source, as training, validation and test graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.benchmarks import fetch_benchmark, find_benchmark, read_benchmark
from pyg_negsamp.datasets.cache import from_tensors, load_or_build, to_tensors
from pyg_negsamp.datasets.log import (
    TEST,
    TRAIN,
    VAL,
    InteractionLog,
    Repeats,
    clean,
    to_hetero_data,
)
from pyg_negsamp.datasets.readers import read_files
from pyg_negsamp.datasets.report import format_summary, summarize
from pyg_negsamp.datasets.splits import PredefinedSplit, RandomSplit
from pyg_negsamp.datasets.tables import Column, Columns, log_from_frame
from pyg_negsamp.datasets.triple import GraphTriple
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE

Split = Callable[[HeteroData], Any]
Transform = Callable[[HeteroData], Any]


class InteractionDataset(GraphTriple):
    """User-item interactions as three bipartite graphs: training, validation, test.

    `train_data, val_data, test_data = dataset`. Each graph states `num_nodes` of users and
    items and has one edge type with two int64 fields, sorted by user, then item:

    | graph | `edge_index [2, E]`: known links | `edge_label_index [2, E]`      |
    |-------|----------------------------------|--------------------------------|
    | train | training links                   | the same                       |
    | val   | training links                   | validation links, to be ranked |
    | test  | training and validation links    | test links, to be ranked       |

    No (user, item) pair is in two parts. This constructor loads a benchmark by name;
    `from_files` and `from_frame` load anything else.

    Args:
        root: Data root. Files in `root/name/` are used in place and never written to; those
            missing are downloaded there.
        name: One of `BENCHMARKS`, such as `"gowalla"`.
        split: Transform of `interactions` that gives the three graphs. Default:
            `PredefinedSplit()` if the source is split already, else `RandomSplit()`.
        duplicates: `"drop"` keeps the first (by time, if known) of repeated links; `"keep"`
            keeps repeats in training, as some papers count them. Held-out links never repeat.
        transform: Applied to each of the three graphs on access.
        force_reload: Whether to read the files again instead of the cached tensors.
        edge_type: Name of the links, and of their source and destination nodes.

    Attributes:
        name: Name of the benchmark, or of the source.
        interactions: All links before splitting: `edge_index [2, E]`, and where the source has
            them `time [E]`, `rating [E]` and `split [E]` (0 train, 1 validation, 2 test).
        user_ids: pandas Index from user position to original id; `None` if the source counts
            from zero itself.
        item_ids: The same for items.

    Raises:
        ValueError: If the name is unknown or the files are not those that were published.
        DownloadError: If a missing file cannot be downloaded.
    """

    name: str
    interactions: HeteroData
    user_ids: pd.Index | None
    item_ids: pd.Index | None

    def __init__(
        self,
        root: str | Path,
        name: str,
        split: Split | None = None,
        duplicates: str = "drop",
        transform: Transform | None = None,
        force_reload: bool = False,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> None:
        benchmark = find_benchmark(name)
        folder = Path(root).expanduser() / name

        def build() -> dict[str, Tensor]:
            return to_tensors(*clean(read_benchmark(benchmark, folder), duplicates))

        paths = fetch_benchmark(benchmark, folder)
        tensors = load_or_build(f"{name}-{duplicates}", paths, build, rebuild=force_reload)
        log, repeats = from_tensors(tensors)
        self._setup(name, log, repeats, split, transform, edge_type, str(root))

    @classmethod
    def from_files(
        cls,
        train: str | Path,
        test: str | Path | None = None,
        valid: str | Path | None = None,
        user: Column | None = None,
        item: Column | None = None,
        time: Column | None = None,
        rating: Column | None = None,
        min_rating: float | None = None,
        format: str | None = None,
        sep: str | None = None,
        split: Split | None = None,
        duplicates: str = "drop",
        transform: Transform | None = None,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> InteractionDataset:
        """Loads interactions from files.

        Columns are given by name, or by position (from zero) if the file has no header.

        Args:
            train: Training links; without `test`, one log that `split` divides.
            test: Test links.
            valid: Validation links; needs `test`.
            user: Column of user ids. Default: `"user"`, or 0 in pair text.
            item: Column of item ids. Default: `"item"`, or 1 in pair text.
            time: Column of times: numbers, or dates that become seconds since 1970.
            rating: Column of ratings.
            min_rating: Links rated lower are not interactions. Needs `rating`.
            format: `"adjacency"` (lines `user item item ...` of zero-based ids), `"pairs"`
                (lines `user item`, no header), `"csv"`, `"tsv"` or `"parquet"`. Default: by
                suffix, `.txt` being adjacency.
            sep: Separator of text tables. Default: by format; for pairs, by the first line.
            split: As in the constructor.
            duplicates: As in the constructor.
            transform: As in the constructor.
            edge_type: As in the constructor.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read as asked, with file and line where known.
        """
        if train is None:
            raise invalid(cls, "train", "a file", None)
        if valid is not None and test is None:
            raise invalid(cls, "test", "given together with 'valid'", None)
        given = {TRAIN: train, VAL: valid, TEST: test}
        parts = {part: Path(path).expanduser() for part, path in given.items() if path is not None}
        log = read_files(parts, format, user, item, time, rating, min_rating, sep)
        dataset = cls.__new__(cls)
        dataset._setup(str(train), *clean(log, duplicates), split, transform, edge_type)
        return dataset

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        user: Column = "user",
        item: Column = "item",
        time: Column | None = None,
        rating: Column | None = None,
        min_rating: float | None = None,
        split: Split | None = None,
        duplicates: str = "drop",
        transform: Transform | None = None,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> InteractionDataset:
        """Takes interactions from a pandas frame, one row each.

        Args:
            frame: The table. Ids may be anything that can be sorted; they are numbered in
                sorted order and kept in `user_ids` and `item_ids`.
            user: Column of user ids.
            item: Column of item ids.
            time: Column of times: numbers, or dates that become seconds since 1970.
            rating: Column of ratings.
            min_rating: Links rated lower are not interactions. Needs `rating`.
            split: As in the constructor.
            duplicates: As in the constructor.
            transform: As in the constructor.
            edge_type: As in the constructor.

        Raises:
            ValueError: If a column is missing or has missing or unusable values, or no
                interaction is left.
        """
        if not isinstance(frame, pd.DataFrame):
            raise invalid(cls, "frame", "a pandas DataFrame", type(frame).__name__)
        log = log_from_frame(frame, Columns(user, item, time, rating), min_rating)
        dataset = cls.__new__(cls)
        dataset._setup("frame", *clean(log, duplicates), split, transform, edge_type)
        return dataset

    def _setup(
        self,
        name: str,
        log: InteractionLog,
        repeats: Repeats,
        split: Split | None,
        transform: Transform | None,
        edge_type: EdgeType,
        root: str | None = None,
    ) -> None:
        """What all ways in have in common, once the log is clean."""
        self.name, self.edge_type, self._repeats = name, edge_type, repeats
        self.user_ids, self.item_ids = log.user_ids, log.item_ids
        self.interactions = to_hetero_data(log, edge_type)
        if split is None:
            default = RandomSplit if log.split is None else PredefinedSplit
            split = default(edge_type=edge_type)
        graphs = split(self.interactions)
        if not (isinstance(graphs, tuple | list) and len(graphs) == 3):
            raise invalid(self, "split", "a transform that gives three graphs", type(graphs))
        super().__init__(graphs, root, transform)

    def summary(self) -> dict[str, Any]:
        """The numbers of `report`, without printing them."""
        return summarize(self.name, self.graphs, self._repeats, self.edge_type)

    def report(self) -> dict[str, Any]:
        """Prints and returns what is in the data, traps included.

        Returns:
            `name`, `users`, `items`, `links` (of the three graphs together), `train_links`,
            `val_links`, `test_links`, `density` (links per user-item pair); then what the
            source repeats: `duplicates` (repeated training links, or links of an undivided
            log), `held_out_duplicates` (repeats within validation and within test),
            `train_val_overlap` and `train_test_overlap` (distinct held-out pairs that an
            earlier part has too; they are removed); and `users_without_training_links`,
            `items_only_in_test`.
        """
        summary = self.summary()
        print(format_summary(summary))
        return summary
