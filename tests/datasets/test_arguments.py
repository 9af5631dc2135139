"""Arguments of a wrong type: one clear line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    InteractionDataset,
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
    TemporalSplit,
)
from pyg_negsamp.graph import EDGE_TYPE

Square = Callable[..., pd.DataFrame]
TOY = Path(__file__).resolve().parents[2] / "datasets" / "toy"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("user", None),
        ("user", 1.5),
        ("item", ["item"]),
        ("time", True),
        ("rating", b"stars"),
        ("weight", {}),
        ("min_rating", "3"),
        ("min_rating", float("nan")),
        ("min_rating", True),
        ("split", 3),
        ("split", "random"),
        ("split", RandomSplit),
        ("split", lambda data: (data, data, 3)),
        ("split", lambda data: (data, data, data)),
        ("split", lambda data: data),
        ("duplicates", 1),
        ("duplicates", None),
        ("duplicates", []),
        ("transform", 3),
        ("edge_type", "likes"),
        ("edge_type", ("user", "item")),
        ("k_core", 5),
        ("k_core", (5,)),
        ("k_core", ("5", 5)),
        ("k_core", (-1, 5)),
        ("k_core", (2.5, 5)),
        ("k_core", (True, 5)),
        ("decimal", ";"),
        ("decimal", None),
        ("encoding", 8),
        ("encoding", "base64"),
        ("date_format", 3),
        ("date_format", "dd/mm/yyyy"),
        ("items_file", 3),
        ("category", 2.5),
        ("category", "kind"),
    ],
)
def test_arguments_of_a_wrong_type(
    tmp_path: Path, argument: str, value: Any, square: Square
) -> None:
    frame = square()
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    given = {"time": "at", "rating": "stars", argument: value}
    message = f"^InteractionDataset: '{argument}' must be .* \\(got .*\\)$"
    with pytest.raises(ValueError, match=message) as caught:
        InteractionDataset.from_frame(frame, **given)
    assert "HeteroData(\n" not in str(caught.value)
    if (argument, value) != ("user", None):
        with pytest.raises(ValueError, match=message):
            InteractionDataset.from_files(path, **given)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("train", 3), ("train", None), ("test", 3), ("valid", []), ("sep", 1), ("sep", ""),
     ("format", 1), ("format", [])],
)  # fmt: skip
def test_files_of_a_wrong_type(argument: str, value: Any) -> None:
    given = {"train": TOY / "train.txt", "test": TOY / "test.txt", argument: value}
    with pytest.raises(ValueError, match=f"^InteractionDataset: '{argument}' must be "):
        InteractionDataset.from_files(**given)


def test_only_the_first_file_is_given_by_position() -> None:
    with pytest.raises(TypeError):
        InteractionDataset.from_files(TOY / "train.txt", TOY / "test.txt")


@pytest.mark.parametrize("options", [{"weight": 2}, {"decimal": ","}, {"sep": ","}])
def test_adjacency_text_has_no_columns(options: dict) -> None:
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' must be None for adjacency"):
        InteractionDataset.from_files(TOY / "train.txt", **options)


@pytest.mark.parametrize("sep", ["((", "?+", "\n", "\r"])
def test_a_separator_is_an_expression_within_a_line(sep: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'sep' must be a character, or"):
        InteractionDataset.from_files(tmp_path / "log.csv", sep=sep)


def test_a_rating_that_nobody_gave_leaves_nothing(square: Square) -> None:
    with pytest.raises(ValueError, match="'min_rating' must be at most 3, the best rating"):
        InteractionDataset.from_frame(square().assign(stars=3), rating="stars", min_rating=4)


@pytest.mark.parametrize("option", ["sep", "encoding"])
def test_parquet_is_no_text(tmp_path: Path, option: str, square: Square) -> None:
    square().to_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=f"'{option}' must be None for parquet"):
        InteractionDataset.from_files(tmp_path / "log.parquet", **{option: "utf-8"})


@pytest.mark.parametrize("name", [3, None, "", ["gowalla"]])
def test_names_of_a_wrong_type(tmp_path: Path, name: Any, square: Square) -> None:
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'name' must be "):
        InteractionDataset(tmp_path, name)
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'root' must be "):
        InteractionDataset(3, "gowalla")


@pytest.fixture
def data(square: Square) -> HeteroData:
    return InteractionDataset.from_frame(square()).interactions


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda data: RandomSplit("a"), "val_ratio"),
        (lambda data: RandomSplit(data), "val_ratio"),
        (lambda data: LatestSplit(0.1, None), "test_ratio"),
        (lambda data: PredefinedSplit(True), "val_ratio"),
        (lambda data: RandomSplit(seed="a"), "seed"),
        (lambda data: LatestSplit(seed=1.5), "seed"),
        (lambda data: LeaveOneOut(seed=None), "seed"),
        (lambda data: PredefinedSplit(seed=2**64), "seed"),
        (lambda data: LeaveOneOut(num_val=-1), "num_val"),
        (lambda data: LeaveOneOut(num_test=0), "num_test"),
        (lambda data: LeaveOneOut(1.0), "num_val"),
        (lambda data: TemporalSplit(data, 3), "val_time"),
        (lambda data: RandomSplit(edge_type="likes"), "edge_type"),
        (lambda data: RandomSplit()(3), "data"),
        (lambda data: RandomSplit()(HeteroData()), "edge_type"),
        (lambda data: LatestSplit()(data), "time"),
    ],
)
def test_splits_explain_what_is_wrong_in_one_line(
    data: HeteroData, make: Any, argument: str
) -> None:
    with pytest.raises(ValueError, match=f"(Split|LeaveOneOut): '{argument}' must be ") as caught:
        make(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("missing", ["edge_index", "num_nodes"])
def test_graphs_that_lack_something_are_not_printed(data: HeteroData, missing: str) -> None:
    data = data.clone()
    if missing == "edge_index":
        del data[EDGE_TYPE].edge_index
        data[EDGE_TYPE].time = torch.arange(3)
    else:
        del data["item"].num_nodes
    with pytest.raises(ValueError, match=f"RandomSplit: 'data' must be a graph with '{missing}'"):
        RandomSplit()(data)


def test_latest_split_says_that_it_needs_a_time_column(square: Square) -> None:
    with pytest.raises(ValueError, match=r"LatestSplit: 'time' .*a time column \(time="):
        InteractionDataset.from_frame(square(), split=LatestSplit())
