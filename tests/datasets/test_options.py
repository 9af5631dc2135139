"""Weights, catalogues, k-cores, export; and arguments of a wrong type."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    InteractionDataset,
    InteractionSplit,
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
    TemporalSplit,
)
from pyg_negsamp.graph import EDGE_TYPE

LAST = LeaveOneOut(num_val=0)
TOY = Path(__file__).resolve().parents[2] / "datasets" / "toy"
GRAPHS = ("train", "val", "test")


def square(users: int = 4, items: int = 6) -> pd.DataFrame:
    """Every user with every item, with a weight, a rating and a time that tell which is which."""
    rows = [
        {"user": f"u{u}", "item": 10 * i, "w": 1 + u + i / 8, "stars": u, "at": 100 * i + u}
        for u in range(users)
        for i in range(items)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


# Weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [RandomSplit(0.2, 0.3), LatestSplit(0.2, 0.3), LeaveOneOut()])
def test_weights_stand_beside_the_known_links(tmp_path: Path, split: InteractionSplit) -> None:
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
def test_weights_are_finite_and_positive(weight: Any) -> None:
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
    tmp_path: Path, name: str, content: str
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


def test_a_catalogue_may_show_that_ids_are_text(tmp_path: Path) -> None:
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
def test_unusable_catalogues_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "items.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=f"{message}"):
        InteractionDataset.from_frame(square(), items_file=tmp_path / "items.csv")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        InteractionDataset.from_frame(square(), items_file=tmp_path / "gone.csv")


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


def test_k_core_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'k_core' must be numbers that leave.*\(9, 9\)"):
        InteractionDataset.from_frame(square(), k_core=(9, 9))


# Export and report ----------------------------------------------------------------------------


def test_parts_can_be_written_and_read_again(tmp_path: Path) -> None:
    frame = square(6, 10)
    options = {"time": "at", "rating": "stars", "weight": "w"}
    dataset = InteractionDataset.from_frame(frame, **options, split=LatestSplit(0.2, 0.3))
    for part in GRAPHS:
        written = dataset.to_frame(part)
        assert list(written) == ["user", "item", "time", "rating", "weight"]
        written.to_csv(tmp_path / f"{part}.csv", index=False)
        source = frame.rename(columns={"at": "time", "stars": "rating", "w": "weight"})
        merged = written.merge(source, on=["user", "item", "time", "rating", "weight"])
        assert len(merged) == len(written) > 0
    again = InteractionDataset.from_files(
        tmp_path / "train.csv",
        test=tmp_path / "test.csv",
        valid=tmp_path / "val.csv",
        time="time",
        rating="rating",
        weight="weight",
    )
    for one, other in zip(again, dataset, strict=True):
        for name, value in other[EDGE_TYPE].items():
            assert torch.equal(one[EDGE_TYPE][name], value)


def test_parts_without_ids_have_positions() -> None:
    dataset = SyntheticInteractions("tiny")
    frame = dataset.to_frame("val")
    assert list(frame) == ["user", "item"]
    assert frame.to_numpy().T.tolist() == dataset[1][EDGE_TYPE].edge_label_index.tolist()
    with pytest.raises(ValueError, match=r"'part' must be 'train', 'val' or 'test' \(got 'valid'"):
        dataset.to_frame("valid")


def test_parts_of_any_split_that_uses_the_interactions() -> None:
    def reverse(data: HeteroData) -> tuple[HeteroData, ...]:
        graphs = RandomSplit(0.2, 0.3)(data)
        for graph in graphs:
            store = graph[EDGE_TYPE]
            store.edge_label_index = store.edge_label_index.flip(1)
        return graphs

    dataset = InteractionDataset.from_frame(square(), weight="w", split=reverse)
    frame = dataset.to_frame("train")
    u, i = frame.user.str[1:].astype(int), frame.item / 10
    assert (frame.weight == 1 + u + i / 8).all()

    def invent(data: HeteroData) -> tuple[HeteroData, ...]:
        graphs = RandomSplit(0.2, 0.3)(data)
        graphs[2][EDGE_TYPE].edge_label_index = torch.tensor([[0], [0]])
        data[EDGE_TYPE].edge_index = data[EDGE_TYPE].edge_index[:, 1:]
        return graphs

    dataset = InteractionDataset.from_frame(square(), weight="w", split=invent)
    with pytest.raises(ValueError, match="'split' must be a split whose links are among"):
        dataset.to_frame("test")


def test_report_of_degrees_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"user": [0, 0, 0, 1, 2, 2], "item": [0, 1, 2, 0, 0, 3]})
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(range(6), unit="D")
    dataset = InteractionDataset.from_frame(frame.assign(at=days), time="at", split=LAST)
    report = dataset.report()
    degrees = {k: v for k, v in report.items() if k.startswith("links_per")}
    assert degrees == {
        "links_per_user_min": 1,
        "links_per_user_median": 2.0,
        "links_per_user_max": 3,
        "links_per_item_min": 1,
        "links_per_item_median": 1.0,
        "links_per_item_max": 3,
    }
    assert (report["time_first"], report["time_last"]) == (
        "2020-01-01T00:00:00",
        "2020-01-06T00:00:00",
    )
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    numbers = InteractionDataset.from_frame(frame.assign(at=range(6)), time="at", split=LAST)
    assert numbers.summary()["time_last"] == 5


# Arguments of a wrong type --------------------------------------------------------------------


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
    ],
)
def test_arguments_of_a_wrong_type(tmp_path: Path, argument: str, value: Any) -> None:
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


@pytest.mark.parametrize("option", ["sep", "encoding"])
def test_parquet_is_no_text(tmp_path: Path, option: str) -> None:
    square().to_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=f"'{option}' must be None for parquet"):
        InteractionDataset.from_files(tmp_path / "log.parquet", **{option: "utf-8"})


@pytest.mark.parametrize("name", [3, None, "", ["gowalla"]])
def test_names_of_a_wrong_type(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'name' must be "):
        InteractionDataset(tmp_path, name)
    with pytest.raises(ValueError, match=r"^InteractionDataset: 'root' must be "):
        InteractionDataset(3, "gowalla")


DATA = InteractionDataset.from_frame(square()).interactions


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: RandomSplit("a"), "val_ratio"),
        (lambda: RandomSplit(DATA), "val_ratio"),
        (lambda: LatestSplit(0.1, None), "test_ratio"),
        (lambda: PredefinedSplit(True), "val_ratio"),
        (lambda: RandomSplit(seed="a"), "seed"),
        (lambda: LatestSplit(seed=1.5), "seed"),
        (lambda: LeaveOneOut(seed=None), "seed"),
        (lambda: PredefinedSplit(seed=2**64), "seed"),
        (lambda: LeaveOneOut(num_val=-1), "num_val"),
        (lambda: LeaveOneOut(num_test=0), "num_test"),
        (lambda: LeaveOneOut(1.0), "num_val"),
        (lambda: TemporalSplit(DATA, 3), "val_time"),
        (lambda: RandomSplit(edge_type="likes"), "edge_type"),
        (lambda: RandomSplit()(3), "data"),
        (lambda: RandomSplit()(HeteroData()), "edge_type"),
        (lambda: LatestSplit()(DATA), "time"),
    ],
)
def test_splits_explain_what_is_wrong_in_one_line(make: Any, argument: str) -> None:
    with pytest.raises(ValueError, match=f"(Split|LeaveOneOut): '{argument}' must be ") as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("missing", ["edge_index", "num_nodes"])
def test_graphs_that_lack_something_are_not_printed(missing: str) -> None:
    data = DATA.clone()
    if missing == "edge_index":
        del data[EDGE_TYPE].edge_index
        data[EDGE_TYPE].time = torch.arange(3)
    else:
        data["item"].clear()
    with pytest.raises(ValueError, match=f"RandomSplit: 'data' must be a graph with '{missing}'"):
        RandomSplit()(data)


def test_latest_split_says_that_it_needs_a_time_column() -> None:
    with pytest.raises(ValueError, match=r"LatestSplit: 'time' .*a time column \(time="):
        InteractionDataset.from_frame(square(), split=LatestSplit())


def test_leave_one_out_without_times_is_random_by_seed() -> None:
    tests = [
        InteractionDataset.from_frame(square(40, 20), split=LeaveOneOut(seed=seed)).to_frame("test")
        for seed in (0, 0, 1)
    ]
    assert tests[0].equals(tests[1])
    assert not tests[0].equals(tests[2])
    assert tests[0].item.nunique() > 10
    assert (
        "ties_decided_at_random"
        not in InteractionDataset.from_frame(square(), split=LeaveOneOut()).summary()
    )
    two = InteractionDataset.from_frame(square(5, 9), split=LeaveOneOut(2, 3)).summary()
    assert (two["train_links"], two["val_links"], two["test_links"]) == (20, 10, 15)
