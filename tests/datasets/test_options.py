"""Weights, catalogues and k-cores."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_negsamp.datasets import (
    InteractionDataset,
    InteractionSplit,
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
)
from pyg_negsamp.graph import EDGE_TYPE

Square = Callable[..., pd.DataFrame]
LAST = LeaveOneOut(num_val=0)
TOY = Path(__file__).resolve().parents[2] / "datasets" / "toy"


# Weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [RandomSplit(0.2, 0.3), LatestSplit(0.2, 0.3), LeaveOneOut()])
def test_weights_stand_beside_the_known_links(
    tmp_path: Path, split: InteractionSplit, square: Square
) -> None:
    frame = square()
    frame.to_csv(tmp_path / "log.csv", index=False)
    columns = {"weight": "w", "time": "at", "split": split}
    for dataset in (
        InteractionDataset.from_frame(frame, **columns),
        InteractionDataset.from_files(tmp_path / "log.csv", **columns),
    ):
        for graph in (dataset.interactions, *dataset):
            store = graph[EDGE_TYPE]
            user, item = store.edge_index
            assert store.edge_weight.dtype == torch.float32
            assert torch.equal(store.edge_weight, 1 + user + item / 8)
    assert not any("edge_weight" in g[EDGE_TYPE] for g in InteractionDataset.from_frame(frame))


def test_weights_of_repeats_are_those_of_the_rows_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user": 0, "item": [1, 1, 2, 3, 1], "w": [5, 6, 7, 8, 9], "at": [3, 1, 5, 6, 2]}
    )
    options = {"time": "at", "weight": "w", "split": LAST}
    dropped = InteractionDataset.from_frame(frame, **options)
    assert dropped.interactions[EDGE_TYPE].edge_weight.tolist() == [6, 7, 8]
    kept = InteractionDataset.from_frame(frame, **options, duplicates="keep")
    assert kept[0][EDGE_TYPE].edge_weight.tolist() == [6, 9, 5, 7]
    assert kept.to_frame("train").weight.tolist() == [6, 9, 5, 7]
    assert kept.to_frame("train").time.tolist() == [1, 2, 3, 5]


@pytest.mark.parametrize("weight", [0, -1, np.inf, 1e-60, 1e60, "heavy", True, 1j])
def test_weights_are_finite_and_positive(weight: Any, square: Square) -> None:
    frame = square().assign(w=pd.Series([weight] * 24))
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'weight' must be a column of"):
        InteractionDataset.from_frame(frame, weight="w")


# A catalogue ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", "title,item\nnew,7\nold,10\n"),
        ("items.csv", "movieId,title\n7,a\n10,b\n"),
        ("items.csv", "item\n7\n10\n"),
        ("items.csv", "10\n7\n"),  # without a header, as 10 is an item
        ("items.csv", "id;title\n7;a\n10;b,c\n"),
        ("items.tsv", "item\ttitle\n7\ta\n10\tb\n"),
        ("items.txt", "7\n10\n"),
        ("items.txt", "item\n7\n10\n"),
        ("items.dat", "7::The, new\n10::The old\n"),
        ("items.csv.gz", "item\n7\n10\n"),
        ("items.parquet", ""),
    ],
)
def test_items_of_a_catalogue_are_items_of_the_graph(
    tmp_path: Path, name: str, content: str, square: Square
) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pd.DataFrame({"title": ["a", "b"], "item": [7, 10]}).to_parquet(path)
    else:
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    frame = square()
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_parquet(tmp_path / "log.parquet")
    for dataset in (
        InteractionDataset.from_frame(frame, items_file=path),
        InteractionDataset.from_files(tmp_path / "log.csv", items_file=path),
        InteractionDataset.from_files(tmp_path / "log.parquet", items_file=str(path)),
    ):
        assert dataset.item_ids.tolist() == [0, 7, 10, 20, 30, 40, 50]
        assert [graph["item"].num_nodes for graph in dataset] == [7] * 3
        assert dataset.summary()["links"] == 24
        assert dataset.summary()["links_per_item_min"] == 0


def test_a_catalogue_may_show_that_ids_are_text(tmp_path: Path, square: Square) -> None:
    (tmp_path / "items.csv").write_text("item\n7\nX\nThe Beatles\n")
    frame = square()
    frame.to_csv(tmp_path / "log.csv", index=False)
    dataset = InteractionDataset.from_files(tmp_path / "log.csv", items_file=tmp_path / "items.csv")
    ids = ["0", "10", "20", "30", "40", "50", "7", "The Beatles", "X"]
    assert dataset.item_ids.tolist() == ids
    with pytest.raises(ValueError, match=r"'items_file' must be whole numbers.*'X'"):
        InteractionDataset.from_frame(frame, items_file=tmp_path / "items.csv")
    text = InteractionDataset.from_frame(
        frame.astype({"item": str}), items_file=tmp_path / "items.csv"
    )
    assert text.item_ids.tolist() == ids


def test_a_catalogue_of_adjacency_text(tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("0\n35\n")
    files = {"train": TOY / "train.txt", "test": TOY / "test.txt"}
    dataset = InteractionDataset.from_files(**files, items_file=tmp_path / "items.txt")
    assert dataset.summary()["items"] == 36
    assert dataset.item_ids is None
    (tmp_path / "items.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"items\.txt.*count from zero.*'a'"):
        InteractionDataset.from_files(**files, items_file=tmp_path / "items.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item\n", "at least one item"),
        ("", "at least one item"),
        ("item,x\n7,1\n,2\n", "without missing ids"),
        ("item\n7\n\xe9\n", "'encoding' must be the encoding"),
    ],
)
def test_unusable_catalogues_are_refused(
    tmp_path: Path, content: str, message: str, square: Square
) -> None:
    (tmp_path / "items.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{message}"):
        InteractionDataset.from_frame(square(), items_file=tmp_path / "items.csv")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        InteractionDataset.from_frame(square(), items_file=tmp_path / "gone.csv")


# Categories -----------------------------------------------------------------------------------

#: Item 7 has none, and is listed twice; 30, 40 and 50 are not listed.
KINDS = "title,item,kind\nA,10,toy\nB,20,book\nC,7,\nD,0,toy\nE,7,book\n"


@pytest.mark.parametrize(
    ("name", "content", "column"),
    [
        ("items.csv", KINDS, "kind"),
        ("items.csv", KINDS, 2),
        ("items.tsv", KINDS.replace(",", "\t"), "kind"),
        ("items.dat", KINDS.replace(",", "::"), "kind"),
        ("items.csv.gz", KINDS, "kind"),
        ("items.parquet", KINDS, "kind"),
        ("items.parquet", KINDS, 2),
    ],
)
def test_a_catalogue_gives_items_their_categories(
    tmp_path: Path, name: str, content: str, column: str | int, square: Square
) -> None:
    path = tmp_path / name
    data = content.encode()
    if name.endswith(".parquet"):
        pd.read_csv(BytesIO(data)).to_parquet(path)
    else:
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    frame = square()
    frame.to_csv(tmp_path / "log.csv", index=False)
    given = {"items_file": path, "category": column}
    for dataset in (
        InteractionDataset.from_frame(frame, **given),
        InteractionDataset.from_files(tmp_path / "log.csv", **given),
    ):
        assert dataset.item_ids.tolist() == [0, 7, 10, 20, 30, 40, 50]
        for graph in dataset:
            assert graph["item"].category.tolist() == [1, 2, 1, 0, 2, 2, 2]


def test_categories_of_adjacency_text_and_of_a_core(tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text("0,b\n35,a\n1,a\n")
    files = {"train": TOY / "train.txt", "test": TOY / "test.txt"}
    given = {"items_file": tmp_path / "items.txt", "category": 1}
    category = InteractionDataset.from_files(**files, **given)[1]["item"].category
    assert category.tolist() == [1, 0, *[2] * 33, 0]
    (tmp_path / "items.csv").write_text("item,kind\nx,b\nrare,a\nz,c\n")
    rows = [(u, i) for u in "abcd" for i in "xyz"] + [("a", "rare"), ("a", "odd")]
    dataset = InteractionDataset.from_frame(
        pd.DataFrame(rows, columns=["user", "item"]), k_core=(2, 2),
        items_file=tmp_path / "items.csv", category="kind",
    )  # fmt: skip
    assert dataset.item_ids.tolist() == ["rare", "x", "y", "z"]
    assert dataset[2]["item"].category.tolist() == [0, 1, 3, 2]


@pytest.mark.parametrize("name", ["items.csv", "items.parquet"])
@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("kinds", r"'kind'\]; did you mean 'kind'\? \(got 'kinds'\)"),
        (3, r"\(got 3\)"),
        (-1, r"\(got -1\)"),
    ],
)
def test_a_column_of_categories_that_is_none_is_refused(
    tmp_path: Path, name: str, column: str | int, message: str, square: Square
) -> None:
    path = tmp_path / name
    path.write_text(KINDS)
    if name.endswith(".parquet"):
        pd.read_csv(BytesIO(KINDS.encode())).to_parquet(path)
    with pytest.raises(ValueError, match=f"'category' must be a column of .*{message}"):
        InteractionDataset.from_frame(square(), items_file=path, category=column)


# k-core ---------------------------------------------------------------------------------------


def k_core_by_hand(pairs: set[tuple[int, int]], least: tuple[int, int]) -> set[tuple[int, int]]:
    while True:
        users = [user for user, _ in pairs]
        items = [item for _, item in pairs]
        left = {
            (user, item)
            for user, item in pairs
            if users.count(user) >= least[0] and items.count(item) >= least[1]
        }
        if left == pairs:
            return pairs
        pairs = left


@pytest.mark.parametrize("least", [(2, 3), (3, 4), (1, 5), (0, 3), (6, 1)])
@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_k_core_against_a_loop(least: tuple[int, int], duplicates: str) -> None:
    generator = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"user": generator.integers(0, 40, 160) ** 2, "item": generator.integers(0, 25, 160)}
    )
    dataset = InteractionDataset.from_frame(frame, k_core=least, duplicates=duplicates)
    pairs = set(map(tuple, frame.itertuples(index=False)))
    expected = k_core_by_hand(pairs, least)
    user, item = dataset.interactions[EDGE_TYPE].edge_index
    found = set(zip(dataset.user_ids[user], dataset.item_ids[item], strict=True))
    assert found == expected
    assert set(dataset.item_ids) == {item for _, item in expected}
    users = {user for user, _ in (pairs if least[0] == 0 else expected)}
    assert set(dataset.user_ids) == users
    summary = dataset.summary()
    assert summary["k_core_removed_users"] == frame.user.nunique() - len(users)
    assert summary["k_core_removed_items"] == frame.item.nunique() - len(dataset.item_ids)
    rows = frame if duplicates == "keep" else frame.drop_duplicates()
    inside = [pair in expected for pair in rows.itertuples(index=False, name=None)]
    assert summary["k_core_removed_links"] == inside.count(False)


def test_k_core_of_a_split_log_counts_training_links(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 0 1\n1 0 1\n2 2\n4 0 1\n")
    (tmp_path / "test.txt").write_text("0 2\n1 3\n2 0 1 3\n4 1 2\n3 0\n")
    files = {"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"}
    whole = InteractionDataset.from_files(**files, split=PredefinedSplit(0.0))
    assert "k_core_removed_users" not in whole.summary()
    (tmp_path / "test.txt").write_text("0 1 2\n1 3\n2 0 1 3\n4 1 2\n3 0\n")
    (tmp_path / "train.txt").write_text("0 0\n1 0 1\n2 2\n4 0 1\n")
    dataset = InteractionDataset.from_files(**files, k_core=(1, 2), split=PredefinedSplit(0.0))
    assert dataset.user_ids.tolist() == [0, 1, 4]  # positions in the source
    assert dataset.item_ids.tolist() == [0, 1]
    assert dataset.to_frame("train").values.tolist() == [[0, 0], [1, 0], [1, 1], [4, 0], [4, 1]]
    assert dataset.to_frame("test").values.tolist() == [[0, 1]]
    assert dataset.summary()["k_core_removed_users"] == 2


def test_k_core_keeps_items_of_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item\nnew\nrare\n")
    rows = [(u, i) for u in "abcd" for i in "xyz"] + [("a", "rare"), ("a", "odd")]
    frame = pd.DataFrame(rows, columns=["user", "item"])
    dataset = InteractionDataset.from_frame(frame, k_core=(2, 2), items_file=tmp_path / "items.csv")
    assert dataset.item_ids.tolist() == ["new", "rare", "x", "y", "z"]
    assert dataset.summary()["links"] == 12
    assert dataset.summary()["k_core_removed_items"] == 1
    assert dataset.summary()["k_core_removed_links"] == 2


def test_k_core_that_leaves_nothing_is_refused(square: Square) -> None:
    with pytest.raises(ValueError, match=r"'k_core' must be numbers that leave.*\(9, 9\)"):
        InteractionDataset.from_frame(square(), k_core=(9, 9))
