"""The dataset class: interactions from any source, as training, validation and test graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from pyg_negsamp.datasets.benchmarks import fetch_benchmark, find_benchmark, read_benchmark
from pyg_negsamp.datasets.cache import from_tensors, load_or_build, to_tensors
from pyg_negsamp.datasets.catalogue import listed_items
from pyg_negsamp.datasets.checks import describe, require_edge_type, require_path, require_text
from pyg_negsamp.datasets.columns import (
    Column,
    Columns,
    Writing,
    check_columns,
    check_types,
    find_catalogue,
)
from pyg_negsamp.datasets.export import part_frame
from pyg_negsamp.datasets.k_core import Removed
from pyg_negsamp.datasets.k_core import k_core as find_k_core
from pyg_negsamp.datasets.log import (
    TEST,
    TRAIN,
    VAL,
    InteractionLog,
    Repeats,
    clean,
    to_hetero_data,
)
from pyg_negsamp.datasets.options import check_graphs, check_options
from pyg_negsamp.datasets.readers import read_files
from pyg_negsamp.datasets.report import first_and_last, format_summary, ids_alike, summarize
from pyg_negsamp.datasets.split_base import InteractionSplit
from pyg_negsamp.datasets.splits import PredefinedSplit, RandomSplit
from pyg_negsamp.datasets.tables import log_from_frame
from pyg_negsamp.datasets.triple import GraphTriple
from pyg_negsamp.errors import invalid
from pyg_negsamp.graph import EDGE_TYPE

Split = Callable[[HeteroData], Any]
Transform = Callable[[HeteroData], Any]
PARTS = {"train": TRAIN, "val": VAL, "test": TEST}


class InteractionDataset(GraphTriple):
    """User-item interactions as three bipartite graphs: training, validation, test.

    `train_data, val_data, test_data = dataset`. Each graph states `num_nodes` of users and
    items and has one edge type with two int64 fields, sorted by user, then item:

    | graph | `edge_index [2, E]`: known links | `edge_label_index [2, E]`      |
    |-------|----------------------------------|--------------------------------|
    | train | training links                   | the same                       |
    | val   | training links                   | validation links, to be ranked |
    | test  | training and validation links    | test links, to be ranked       |

    If the links have weights, `edge_weight [E]` float32 stands beside each `edge_index`. No
    (user, item) pair is in two parts. This constructor loads a benchmark by name;
    `from_files` and `from_frame` load anything else.

    Args:
        root: Data root. Files in `root/name/` are used in place and never written to; those
            missing are downloaded there.
        name: One of `BENCHMARKS`, such as `"gowalla"`.
        split: Transform of `interactions` that gives the three graphs. Default:
            `PredefinedSplit()` if the source is split already, else `RandomSplit()`.
        duplicates: `"drop"` keeps the first (by time, if known) of repeated links; `"keep"`
            keeps repeats in training, as some papers count them. Held-out links never repeat.
        k_core: Links that every user and every item must have, such as `(5, 5)`. Those with
            fewer are removed, again and again until nothing changes. Distinct pairs count. The
            whole log counts, before it is split; of data that are split already, the training
            links, and what is held out of a removed user or item goes with it.
        transform: Applied to each of the three graphs on access.
        force_reload: Whether to read the files again instead of the cached tensors.
        edge_type: Name of the links, and of their source and destination nodes.

    Attributes:
        name: Name of the benchmark, or of the source.
        interactions: All links before splitting: `edge_index [2, E]`, and where the source has
            them `time [E]`, `rating [E]`, `edge_weight [E]` and `split [E]` (0 train,
            1 validation, 2 test). `time_is_date` is true where times were dates.
        user_ids: pandas Index from user position to original id; `None` if positions are the
            ids of the source.
        item_ids: The same for items.
        listed: `[I]` bool, which items a catalogue lists; `None` without one.

    Raises:
        ValueError: If the name is unknown or the files are not those that were published.
        DownloadError: If a missing file cannot be downloaded.
    """

    name: str
    interactions: HeteroData
    user_ids: pd.Index | None
    item_ids: pd.Index | None
    listed: Tensor | None = None

    def __init__(
        self,
        root: str | Path,
        name: str,
        split: Split | None = None,
        duplicates: str = "drop",
        transform: Transform | None = None,
        force_reload: bool = False,
        edge_type: EdgeType = EDGE_TYPE,
        *,
        k_core: tuple[int, int] | None = None,
    ) -> None:
        require_text(self, "name", name)
        benchmark = find_benchmark(name)
        folder = require_path(self, "root", root) / name
        check_options(split, duplicates, transform, edge_type, k_core)

        def build() -> dict[str, Tensor]:
            return to_tensors(*clean(read_benchmark(benchmark, folder), duplicates))

        paths = fetch_benchmark(benchmark, folder)
        tensors = load_or_build(f"{name}-{duplicates}", paths, build, rebuild=force_reload)
        log, repeats = from_tensors(tensors)
        self._setup(name, log, repeats, split, transform, edge_type, str(root), k_core)

    @classmethod
    def from_files(
        cls,
        train: str | Path,
        *,
        test: str | Path | None = None,
        valid: str | Path | None = None,
        user: Column | None = None,
        item: Column | None = None,
        time: Column | None = None,
        rating: Column | None = None,
        weight: Column | None = None,
        min_rating: float | None = None,
        items_file: str | Path | None = None,
        category: Column | None = None,
        k_core: tuple[int, int] | None = None,
        format: str | None = None,
        sep: str | None = None,
        encoding: str | None = None,
        decimal: str = ".",
        date_format: str | None = None,
        split: Split | None = None,
        duplicates: str = "drop",
        transform: Transform | None = None,
        edge_type: EdgeType = EDGE_TYPE,
    ) -> InteractionDataset:
        """Loads interactions from files.

        Columns are given by name, or by position (from zero) if the file has no header. Ids
        are kept as they are written. A column of whole numbers becomes numbers; a column with
        any text is text, and then `1` and `01` are two ids. An empty id is an error. Words
        such as `NA` are ids.

        Args:
            train: Training links; without `test`, one log that `split` divides.
            test: Test links.
            valid: Validation links; needs `test`.
            user: Column of user ids. Default: `"user"`, or 0 in pair text.
            item: Column of item ids. Default: `"item"`, or 1 in pair text.
            time: Column of times: numbers, or dates that become seconds since 1970 (UTC), with
                their fractions.
            rating: Column of ratings.
            weight: Column of weights, finite and above zero.
            min_rating: Links rated lower are not interactions. Needs `rating`. Of several ratings
                of a pair, one that is high enough will do.
            items_file: A catalogue: its items are items of the graph, also without links. Its
                ids are in the column named as `item`, else in the first.
            category: Column of `items_file` with a category of each item, which becomes the
                field `category [I]` of the items, whole numbers from 0. Items of which it says
                none, or that the catalogue does not list, have one of their own together.
            k_core: As in the constructor. Items of the catalogue stay, without links if they
                have too few.
            format: `"adjacency"` (lines `user item item ...` of zero-based ids), `"pairs"`
                (lines `user item`, no header), `"csv"`, `"tsv"` or `"parquet"`. Default: by
                suffix, `.txt` being adjacency unless `user` and `item` are given. The suffixes
                .gz, .bz2, .xz and .zip are looked through. Text with `::` is recognised under any
                other suffix; with four columns these are user, item, rating and time, as in
                MovieLens. Other text of another suffix is a CSV if a column is named, and pairs
                if columns are given by position.
            sep: Separator of text tables. Default: by the first lines, of comma, semicolon,
                tab, `::` and, in pair text, blanks.
            encoding: Encoding of text, such as `"latin-1"`. Default: UTF-8, or what a byte
                order mark says.
            decimal: Mark before the fraction of a number in text, `"."` or `","`.
            date_format: Format of dates in text, such as `"%d/%m/%Y"`. Default: ISO 8601, or
                day and month in the order that one value proves for the whole column.
            split: As in the constructor.
            duplicates: As in the constructor.
            transform: As in the constructor.
            edge_type: As in the constructor.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file cannot be read as asked, with file and line where known.
        """
        check_options(split, duplicates, transform, edge_type, k_core, min_rating)
        first = require_path(cls, "train", train)
        if valid is not None and test is None:
            raise invalid(cls, "test", "given together with 'valid'", None)
        parts = {TRAIN: first}
        for part, name, path in ((VAL, "valid", valid), (TEST, "test", test)):
            if path is not None:
                parts[part] = require_path(cls, name, path)
        catalogue = find_catalogue(items_file, category)
        columns = {"user": user, "item": item, "time": time, "rating": rating, "weight": weight}
        writing = Writing(sep, encoding, decimal, date_format)
        log = read_files(parts, format, columns, writing, min_rating, catalogue)
        log, repeats = clean(log, duplicates)
        dataset = cls.__new__(cls)
        dataset._setup(str(train), log, repeats, split, transform, edge_type, k_core=k_core)
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
        *,
        weight: Column | None = None,
        items_file: str | Path | None = None,
        category: Column | None = None,
        k_core: tuple[int, int] | None = None,
        encoding: str | None = None,
        decimal: str = ".",
        date_format: str | None = None,
    ) -> InteractionDataset:
        """Takes interactions from a pandas frame, one row each.

        Args:
            frame: The table. Ids may be anything that can be sorted; they are numbered in that
                order and kept in `user_ids` and `item_ids`. Text and numbers become text.
            user: Column of user ids.
            item: Column of item ids.
            time: Column of times: numbers, or dates that become seconds since 1970 (UTC).
            rating: Column of ratings.
            min_rating: Links rated lower are not interactions. Needs `rating`.
            split: As in the constructor.
            duplicates: As in the constructor.
            transform: As in the constructor.
            edge_type: As in the constructor.
            weight: Column of weights, finite and above zero.
            items_file: A catalogue, as in `from_files`.
            category: Column of categories in `items_file`, as in `from_files`.
            k_core: As in `from_files`.
            encoding: Encoding of `items_file`.
            decimal: Mark before the fraction of numbers that are text.
            date_format: Format of dates that are text, as in `from_files`.

        Raises:
            ValueError: If a column is missing or has missing or unusable values, or no
                interaction is left.
        """
        if not isinstance(frame, pd.DataFrame):
            raise invalid(cls, "frame", "a pandas DataFrame", type(frame).__name__)
        check_options(split, duplicates, transform, edge_type, k_core, min_rating)
        columns = Columns(user, item, time, rating, weight)
        writing = Writing(None, encoding, decimal, date_format)
        check_types(columns, writing)
        listed, catalogue = None, find_catalogue(items_file, category)
        if catalogue is not None:
            check_columns(columns, frame.columns, "frame")
            listed = listed_items(catalogue, columns, writing, frame[item])
        log = log_from_frame(frame, columns, writing, min_rating, listed=listed)
        log, repeats = clean(log, duplicates)
        dataset = cls.__new__(cls)
        dataset._setup("frame", log, repeats, split, transform, edge_type, k_core=k_core)
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
        k_core: tuple[int, int] | None = None,
    ) -> None:
        """What all ways in have in common, once the log is clean."""
        check_options(split, "drop", transform, edge_type, k_core)
        self._removed: Removed | None = None
        if k_core is not None:
            log, self._removed = find_k_core(log, k_core)
        self.name, self.edge_type, self._repeats = name, require_edge_type(self, edge_type), repeats
        self.user_ids, self.item_ids = log.user_ids, log.item_ids
        self.listed = log.listed
        self.interactions = to_hetero_data(log, self.edge_type)
        if split is None:
            default = RandomSplit if log.split is None else PredefinedSplit
            split = default(edge_type=edge_type)
        graphs = split(self.interactions)
        check_graphs(graphs, self.edge_type)
        self._split = split if isinstance(split, InteractionSplit) else None
        super().__init__(graphs, root, transform)

    def to_frame(self, part: Literal["train", "val", "test"]) -> pd.DataFrame:
        """The links of one part, with the ids that the source had.

        Args:
            part: `"train"`, `"val"` or `"test"`: the links to be learned, or ranked.

        Returns:
            One row per link, with the columns `user` and `item`, and of `time`, `rating` and
            `weight` those that the data have. Times that were dates are dates again (UTC).

        Raises:
            ValueError: If `part` is anything else.
        """
        if not isinstance(part, str) or part not in PARTS:
            raise invalid(self, "part", "'train', 'val' or 'test'", describe(part))
        links = self.graphs[PARTS[part]][self.edge_type].edge_label_index.cpu()
        return part_frame(self.interactions, links, self.edge_type, self.user_ids, self.item_ids)

    def summary(self) -> dict[str, Any]:
        """The numbers of `report`, without printing them."""
        split, removed = self._split, self._removed
        return {
            **summarize(self.name, self.graphs, self._repeats, self.edge_type),
            **first_and_last(self.interactions, self.edge_type),
            **ids_alike(self.user_ids, self.item_ids),
            **({} if removed is None else removed._asdict()),
            **({} if split is None else split.remarks(self.interactions, self.graphs)),
        }

    def report(self) -> dict[str, Any]:
        """Prints and returns what is in the data, traps included.

        Returns:
            `name`, `users`, `items`, `links` (of the three graphs together), `train_links`,
            `val_links`, `test_links`, `density` (links per user-item pair); then what the
            source repeats: `duplicates` (repeated training links, or links of an undivided
            log), `held_out_duplicates` (repeats within validation and within test),
            `train_val_overlap` and `train_test_overlap` (distinct held-out pairs that an
            earlier part has too; they are removed); `users_without_training_links`,
            `items_only_in_test`; and `links_per_user_min`, `links_per_user_median`,
            `links_per_user_max`, and the same `per_item`, over all three graphs.

            With times, also `time_first` and `time_last` (ISO text if they were dates). With
            text ids such as `1` and `01`, `user_ids_of_same_number` or
            `item_ids_of_same_number`: ids that only their spelling tells apart. With `k_core`,
            `k_core_removed_users`, `k_core_removed_items` and `k_core_removed_links`. With
            `LatestSplit` or `LeaveOneOut` by time, `ties_decided_at_random`: held-out links
            as late as a link of the same user in another part. With `LeaveOneOut`,
            `users_with_too_few_links`: users who keep all for training.
        """
        summary = self.summary()
        print(format_summary(summary))
        return summary
