"""Every way to load interactions of one's own, and every way in which that can fail."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch

from pyg_negsamp.datasets import InteractionDataset, LatestSplit, RandomSplit
from pyg_negsamp.graph import EDGE_TYPE

TOY = Path(__file__).resolve().parents[2] / "datasets" / "toy"


@pytest.fixture
def frame() -> pd.DataFrame:
    """Ten users with ten of twelve items each, in no order; ids are strings and sparse numbers."""
    rows = [
        {
            "who": f"u{user:02d}",
            "what": 100 * ((user + k) % 12),
            "at": 10 * k + user,
            "stars": k % 5,
        }
        for k in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)
        for user in range(10)
    ]
    return pd.DataFrame(rows)


COLUMNS = {"user": "who", "item": "what", "time": "at", "rating": "stars"}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def links(dataset: InteractionDataset) -> list[list[int]]:
    return dataset.interactions[EDGE_TYPE].edge_index.T.tolist()


def same(one: InteractionDataset, other: InteractionDataset) -> None:
    for a, b in zip([one.interactions, *one], [other.interactions, *other], strict=True):
        assert set(a[EDGE_TYPE]) == set(b[EDGE_TYPE])
        for name, value in a[EDGE_TYPE].items():
            assert torch.equal(value, b[EDGE_TYPE][name]), name


def test_toy_graph_of_the_repository() -> None:
    dataset = InteractionDataset.from_files(TOY / "train.txt", test=TOY / "test.txt")
    summary = dataset.summary()
    assert (summary["users"], summary["items"], summary["links"]) == (20, 30, 111)
    assert (summary["train_links"] + summary["val_links"], summary["test_links"]) == (91, 20)
    assert summary["val_links"] > 0
    assert summary["train_test_overlap"] == summary["duplicates"] == 0


def test_dataset_is_three_graphs_as_pyg_expects(frame: pd.DataFrame) -> None:
    dataset = InteractionDataset.from_frame(frame, **COLUMNS)
    train, val, test = dataset
    assert len(dataset) == 3
    for i, part in enumerate((train, val, test)):
        assert torch.equal(dataset[i][EDGE_TYPE].edge_label_index, part[EDGE_TYPE].edge_label_index)
        part.validate()
        part.to("cpu")
    with pytest.raises(IndexError):
        dataset[3]
    assert [g["user"].num_nodes for g in dataset[1:]] == [10, 10]
    dataset[0]["user"].num_nodes = 99  # access gives copies
    assert dataset[0]["user"].num_nodes == 10
    copy = dataset.copy([2])
    assert torch.equal(copy[0][EDGE_TYPE].edge_index, test[EDGE_TYPE].edge_index)
    assert copy[0][EDGE_TYPE].edge_index is not test[EDGE_TYPE].edge_index
    assert len(copy) == 1
    assert dataset.to("meta")[2][EDGE_TYPE].edge_index.is_meta


def test_transform_is_applied_to_each_graph(frame: pd.DataFrame) -> None:
    def stamp(data):
        data.stamped = True
        return data

    dataset = InteractionDataset.from_frame(frame, "who", "what", transform=stamp)
    assert all(graph.stamped for graph in dataset)
    assert "stamped" not in dataset.interactions


def test_ids_are_numbered_in_sorted_order_and_kept(frame: pd.DataFrame) -> None:
    dataset = InteractionDataset.from_frame(frame, **COLUMNS)
    assert list(dataset.user_ids) == [f"u{user:02d}" for user in range(10)]
    assert list(dataset.item_ids) == [100 * item for item in range(12)]
    store = dataset.interactions[EDGE_TYPE]
    back = pd.DataFrame(
        {
            "who": dataset.user_ids[store.edge_index[0].numpy()],
            "what": dataset.item_ids[store.edge_index[1].numpy()],
            "at": store.time.numpy(),
            "stars": store.rating.numpy().astype(int),
        }
    )
    expected = frame.sort_values(["who", "what"], ignore_index=True)
    pd.testing.assert_frame_equal(back, expected, check_dtype=False)


def test_every_format_gives_the_same_dataset(frame: pd.DataFrame, tmp_path: Path) -> None:
    expected = InteractionDataset.from_frame(frame, **COLUMNS)
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_csv(tmp_path / "log.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "log.parquet")
    for suffix in ("csv", "tsv", "parquet"):
        dataset = InteractionDataset.from_files(tmp_path / f"log.{suffix}", **COLUMNS)
        same(dataset, expected)
        assert dataset.user_ids.equals(expected.user_ids)
    for sep in ("\t", ",", " ", "::", "§"):
        frame.to_csv(tmp_path / "log.data", index=False, header=False, sep="|")
        path = write(tmp_path / "log.data", (tmp_path / "log.data").read_text().replace("|", sep))
        stated = {"sep": sep} if sep in ("::", "§") else {}
        dataset = InteractionDataset.from_files(path, time=2, rating=3, format="pairs", **stated)
        same(dataset, expected)
    frame.to_csv(tmp_path / "bare.csv", index=False, header=False)
    dataset = InteractionDataset.from_files(tmp_path / "bare.csv", user=0, item=1, time=2, rating=3)
    same(dataset, expected)
    defaults = frame.rename(columns={"who": "user", "what": "item"})
    defaults.to_csv(tmp_path / "default.csv", index=False)
    assert links(InteractionDataset.from_files(tmp_path / "default.csv")) == links(expected)


def test_adjacency_text_keeps_its_ids(tmp_path: Path) -> None:
    train = write(tmp_path / "train.txt", "4 2 0\r\n\n0\t1  3 \n 1 7\n4 5\n9\n")
    test = write(tmp_path / "test.txt", "0 2\n4 6")
    dataset = InteractionDataset.from_files(train, test=test)
    assert links(dataset) == [[0, 1], [0, 2], [0, 3], [1, 7], [4, 0], [4, 2], [4, 5], [4, 6]]
    assert dataset.interactions[EDGE_TYPE].split.tolist() == [0, 2, 0, 0, 0, 0, 0, 2]
    assert dataset[0]["user"].num_nodes == 10  # user 9 is known, without links
    assert dataset[0]["item"].num_nodes == 8
    assert dataset.user_ids is None
    assert dataset.item_ids is None


def test_validation_file_is_used_as_it_is(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{name}.csv", f"user,item\na,{item}\nb,{item}\n")
        for name, item in (("train", "x"), ("test", "z"), ("valid", "y"))
    ]
    dataset = InteractionDataset.from_files(files[0], test=files[1], valid=files[2])
    parts = [graph[EDGE_TYPE].edge_label_index.tolist() for graph in dataset]
    assert parts == [[[0, 1], [item, item]] for item in range(3)]


def test_undivided_log_can_be_split_by_any_transform(frame: pd.DataFrame) -> None:
    split = LatestSplit(0.1, 0.3)
    dataset = InteractionDataset.from_frame(frame, **COLUMNS, split=split)
    by_hand = split(dataset.interactions)
    for graph, other in zip(dataset, by_hand, strict=True):
        assert torch.equal(graph[EDGE_TYPE].edge_label_index, other[EDGE_TYPE].edge_label_index)
    assert dataset.summary()["test_links"] == 30
    default = InteractionDataset.from_frame(frame, **COLUMNS)
    chosen = InteractionDataset.from_frame(frame, **COLUMNS, split=RandomSplit())
    same(default, chosen)


def test_low_ratings_are_no_interactions(frame: pd.DataFrame) -> None:
    dataset = InteractionDataset.from_frame(frame, **COLUMNS, min_rating=3)
    rating = dataset.interactions[EDGE_TYPE].rating
    assert rating.unique().tolist() == [3, 4]
    assert rating.numel() == int((frame.stars >= 3).sum())


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_become_seconds(frame: pd.DataFrame, zone: str | None) -> None:
    dates = pd.to_datetime(frame["at"], unit="s").dt.tz_localize(zone)
    seconds = dates.dt.tz_convert(None) if zone else dates
    expected = (seconds - pd.Timestamp(0)).dt.total_seconds().to_numpy()
    order = frame.sort_values(["who", "what"]).index
    for column in (dates, dates.astype(str)):
        dataset = InteractionDataset.from_frame(frame.assign(at=column), **COLUMNS)
        assert dataset.interactions[EDGE_TYPE].time.tolist() == expected[order].tolist()


def test_float_times_keep_their_fractions(frame: pd.DataFrame) -> None:
    dataset = InteractionDataset.from_frame(frame.assign(at=frame["at"] + 0.5), **COLUMNS)
    time = dataset.interactions[EDGE_TYPE].time
    assert time.dtype == torch.float64
    assert time.min() == 0.5


def test_duplicates_are_dropped_or_kept_and_counted(frame: pd.DataFrame) -> None:
    later = frame.iloc[:7].assign(at=1000)
    log = pd.concat([later, frame], ignore_index=True)
    dropped = InteractionDataset.from_frame(log, **COLUMNS)
    same(dropped, InteractionDataset.from_frame(frame, **COLUMNS))  # the earliest stays
    kept = InteractionDataset.from_frame(log, **COLUMNS, duplicates="keep")
    assert dropped.summary()["duplicates"] == kept.summary()["duplicates"] == 7
    assert kept.interactions[EDGE_TYPE].edge_index.size(1) == 107
    assert kept.summary()["links"] > 100
    parts = [set(map(tuple, g[EDGE_TYPE].edge_label_index.T.tolist())) for g in kept]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 100


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_overlapping_files_are_cleaned_and_counted(tmp_path: Path, duplicates: str) -> None:
    train = write(tmp_path / "train.txt", "0 1 1 1 2\n1 0\n")
    valid = write(tmp_path / "valid.txt", "0 2 3 3\n")
    test = write(tmp_path / "test.txt", "0 1 3 4 4 5\n1 0 0\n")
    dataset = InteractionDataset.from_files(train, test=test, valid=valid, duplicates=duplicates)
    summary = dataset.summary()
    assert summary["duplicates"] == 2
    assert summary["held_out_duplicates"] == 3
    assert summary["train_val_overlap"] == 1
    assert summary["train_test_overlap"] == 3
    parts = [graph[EDGE_TYPE].edge_label_index.T.tolist() for graph in dataset]
    repeats = 3 if duplicates == "keep" else 1
    assert parts == [[[0, 1]] * repeats + [[0, 2], [1, 0]], [[0, 3]], [[0, 4], [0, 5]]]
    # Without its own split, the source divides anew without a pair on two sides.
    redone = RandomSplit(0.0, 0.5)(dataset.interactions)
    train_pairs, test_pairs = (
        set(map(tuple, redone[i][EDGE_TYPE].edge_label_index.T.tolist())) for i in (0, 2)
    )
    assert not train_pairs & test_pairs


def test_report_prints_what_it_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path / "train.txt", "0 0 1\n1 0\n3 0\n")
    test = write(tmp_path / "test.txt", "0 2\n2 3\n")
    dataset = InteractionDataset.from_files(train, test=test)
    report = dataset.report()
    assert report == dataset.summary()
    assert report["users_without_training_links"] == 1
    assert report["items_only_in_test"] == 2
    assert report["density"] == 6 / 16
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(report)
    assert len({len(line) for line in lines[1:]}) == 1  # aligned
    assert re.search(r"^train test overlap +0$", "\n".join(lines), re.M)


def test_other_edge_type(tmp_path: Path) -> None:
    kind = ("reader", "likes", "book")
    dataset = InteractionDataset.from_files(
        TOY / "train.txt", test=TOY / "test.txt", edge_type=kind
    )
    assert dataset[2].edge_types == [kind]
    assert dataset[2]["book"].num_nodes == 30
    assert dataset.summary()["test_links"] == 20


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0 1\n1 two\n", "line 2.*'1 two'"),
        ("0 1\n\n1 -2\n", "line 3.*'1 -2'"),
        ("0 1.5\n", "line 1"),
        ("0 1\n1 12345678901234567890\n", "line 2"),
        ("0,1\n", "line 1"),
    ],
)
def test_unreadable_adjacency_names_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path / "broken.txt", text)
    with pytest.raises(ValueError, match=rf"broken\.txt, {line}"):
        InteractionDataset.from_files(path)


@pytest.mark.parametrize("text", ["", "\n\n", "0\n1\n"])
def test_adjacency_without_links_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "empty.txt", text)
    with pytest.raises(ValueError, match=r"empty\.txt.*at least one interaction"):
        InteractionDataset.from_files(path)


@pytest.mark.parametrize("name", ["train", "test"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    files = {"train": TOY / "train.txt", "test": TOY / "test.txt", name: tmp_path / "gone.txt"}
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        InteractionDataset.from_files(**files)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "user,item\na,1\n,2\nb,\n",
            {},
            r"1 missing in column 'user' of .*line 3.*'item'.*line 4",
        ),
        (
            "user,item,stars\na,1,5\n\nb,2,'bad'\nc,3,1\n",
            {"rating": "stars"},
            r"'rating' must be a column of numbers .*'bad.* in 'stars', line 4 of .*log\.csv",
        ),
        (
            "user,item,stars\na,1,5\nb,2,inf\n",
            {"weight": "stars"},
            r"'weight' must be a column of numbers .*'inf' in 'stars', line 3 of ",
        ),
        ("user,item,stars\na,1,\n", {"rating": "stars"}, "remove those rows; or leave a column"),
        ("user,item\na,1\nb,\nc,\n", {}, r"'item'.*2 missing in column 'item' of .*in line 3"),
        ("uid,item\na,1\n", {}, r"'user' must be a column of .*\['uid', 'item'\].*got 'user'"),
        ("a,1\nb,2\n", {"user": 0, "item": 5}, r"'item' must be a column of .*\[0, 1\].*got 5"),
        ("user,item\n", {}, "at least one interaction"),
        ("", {}, "readable csv table"),
        ("user,item\na,1\nb,2,3\n", {}, "readable csv table.*line 3"),
        ("user,item\na,1,2\nb,2,3\n", {}, "readable csv table.*more fields than columns"),
        ("user,item,at\na,1,soon\n", {"time": "at"}, "'time' must be .*numbers or dates"),
        ("user,item,at\na,1,1\nb,2,\n", {"time": "at"}, "'time'.*1 missing"),
        ("user,item,stars\na,1,good\n", {"rating": "stars"}, "'rating' must be .*numbers"),
        ("user,item\na,1\n", {"min_rating": 4}, "'min_rating'.*together with a 'rating'"),
        (
            "user,item,r\na,1,2\n",
            {"rating": "r", "min_rating": 4},
            "'min_rating' must be at most 2",
        ),
        ("user,item\na,1\n", {"user": "item"}, "'item' must be another column than 'user'"),
        (
            "user,item,at\na,1,2\n",
            {"time": "at", "rating": "at"},
            "'rating' must be another column than 'time'",
        ),
    ],
)
def test_unusable_tables_are_explained(
    tmp_path: Path, text: str, options: dict, message: str
) -> None:
    path = write(tmp_path / "log.csv", text)
    with pytest.raises(ValueError, match=f"InteractionDataset: .*{message}"):
        InteractionDataset.from_files(path, **options)


def test_pair_text_with_half_a_pair_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.txt", "0 1\n1 2\n3\n")
    with pytest.raises(ValueError, match=r"'item'.*1 missing in column 1 of .*log\.txt.*in line 3"):
        InteractionDataset.from_files(path, format="pairs")


def test_something_else_called_parquet_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.parquet", "user,item\na,1\n")
    with pytest.raises(ValueError, match="readable parquet table"):
        InteractionDataset.from_files(path)


def test_frames_with_missing_ids_or_columns_are_refused(frame: pd.DataFrame) -> None:
    frame.loc[[4, 8], "who"] = None
    with pytest.raises(ValueError, match=r"'user'.*2 missing in column 'who'.*data row 5"):
        InteractionDataset.from_frame(frame, "who", "what")
    with pytest.raises(ValueError, match="'item' must be a column of frame"):
        InteractionDataset.from_frame(frame, "what", "which")


def test_other_things_than_frames_and_files_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"'frame' must be a pandas DataFrame \(got list\)"):
        InteractionDataset.from_frame([1, 2])
    twice = pd.concat([frame, frame["who"]], axis=1)
    with pytest.raises(ValueError, match="'user' must be a column of frame, there once"):
        InteractionDataset.from_frame(twice, "who", "what")
    for test in (None, TOY / "test.txt"):
        with pytest.raises(ValueError, match="'train' must be a file"):
            InteractionDataset.from_files(None, test=test)


@pytest.mark.parametrize("ids", [[[1], [2]], [{"a": 1}, {"a": 2}]])
def test_ids_that_are_no_ids_are_refused(tmp_path: Path, ids: list) -> None:
    pd.DataFrame({"user": ["a", "b"], "item": ids}).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match="'item' must be a column of ids that can be told apart"):
        InteractionDataset.from_files(tmp_path / "log.parquet")


@pytest.mark.parametrize("text", ["0 999999999999 2 3\n", "0 1\n999999999999 0\n"])
def test_raw_ids_in_adjacency_text_are_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "raw.txt", text)
    with pytest.raises(ValueError, match=r"raw\.txt.*count from zero.*'pairs'.*999999999999"):
        InteractionDataset.from_files(path)


def test_options_are_checked(tmp_path: Path, frame: pd.DataFrame) -> None:
    odd = write(tmp_path / "log.odd", "0 1\n")
    with pytest.raises(ValueError, match=r"'format' must be one of .*columns.*None for .*log\.odd"):
        InteractionDataset.from_files(odd)
    with pytest.raises(ValueError, match=r"'format' must be one of .*got 'excel'"):
        InteractionDataset.from_files(odd, format="excel")
    with pytest.raises(ValueError, match="'time' must be None for adjacency text"):
        InteractionDataset.from_files(TOY / "train.txt", time=2)
    with pytest.raises(ValueError, match="'test' must be given together with 'valid'"):
        InteractionDataset.from_files(TOY / "train.txt", valid=TOY / "test.txt")
    with pytest.raises(ValueError, match="'duplicates' must be 'drop' or 'keep'"):
        InteractionDataset.from_frame(frame, "who", "what", duplicates="maybe")
    with pytest.raises(ValueError, match="'split' must be a transform that gives three"):
        InteractionDataset.from_frame(frame, "who", "what", split=lambda data: data)


# Ids as they are written ----------------------------------------------------------------------


def test_ids_are_the_same_in_every_file(tmp_path: Path) -> None:
    """Also where one file alone would look like numbers, and with leading zeros."""
    (tmp_path / "train.csv").write_text("user,item\n1,007\n2,7\n")
    (tmp_path / "test.csv").write_text("user,item\n1,7\n2,007\nx9,7\n")
    dataset = InteractionDataset.from_files(tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert dataset.user_ids.tolist() == ["1", "2", "x9"]
    assert dataset.item_ids.tolist() == ["007", "7"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_numbers_in_one_file_and_text_in_another_are_refused(tmp_path: Path, suffix: str) -> None:
    for name, prefix in (("train", "u"), ("valid", "u"), ("test", "")):
        path = tmp_path / f"{name}.{suffix}"
        users = [f"{prefix}{n}" for n in range(3)] if prefix else list(range(3))
        part = pd.DataFrame({"user": users, "item": [5, 6, 7]})
        if suffix == "parquet":
            part.to_parquet(path)
        else:
            part.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    files = [tmp_path / f"{name}.{suffix}" for name in ("train", "test", "valid")]
    with pytest.raises(ValueError, match=r"'user' .*one kind of ids in all.*numbers in one and"):
        InteractionDataset.from_files(files[0], test=files[1], valid=files[2])


def test_an_empty_file_has_ids_of_any_kind(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "user,item\n1,2\n2,3\n")
    test = write(tmp_path / "test.csv", "user,item\n1,3\n")
    valid = write(tmp_path / "valid.csv", "user,item\n")
    assert InteractionDataset.from_files(train, test=test, valid=valid).user_ids.tolist() == [1, 2]


def test_ids_of_a_long_file_are_of_one_kind(tmp_path: Path) -> None:
    """Pandas guesses in parts."""
    rows = [f"{number % 1000},{number % 7}" for number in range(300_000)]
    (tmp_path / "long.csv").write_text("\n".join(["user,item", *rows, "zz,1"]) + "\n")
    dataset = InteractionDataset.from_files(tmp_path / "long.csv")
    assert len(dataset.user_ids) == 1001


def test_whole_numbers_stay_numbers(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("user,item\n10, 3\n9, 20\n10, 20\n")
    dataset = InteractionDataset.from_files(tmp_path / "pairs.csv")
    assert dataset.user_ids.tolist() == [9, 10]
    assert dataset.item_ids.tolist() == [3, 20]


@pytest.mark.parametrize("options", [{"format": "pairs"}, {"user": 0, "item": 1}])
def test_a_header_is_no_user(tmp_path: Path, options: dict) -> None:
    (tmp_path / "log.csv").write_text("userId,movieId\n1,2\n2,3\n")
    with pytest.raises(ValueError, match=r"without header.*\['userId', 'movieId'\]"):
        InteractionDataset.from_files(tmp_path / "log.csv", **options)


@pytest.mark.parametrize("name", ["log.csv", "log.tsv"])
def test_a_quote_that_nobody_closed_swallows_no_rows(tmp_path: Path, name: str) -> None:
    """Two such quotes make one field of all between them."""
    sep = "," if name.endswith("csv") else "\t"
    rows = [f"u{n % 7}{sep}i{n % 11}" for n in range(40)]
    rows[10], rows[20] = f'u1{sep}"12 inch', f'u2{sep}"15 inch'
    path = write(tmp_path / name, "\n".join([f"user{sep}item", *rows]))
    with pytest.raises(ValueError, match=rf"{name}, line 12' must be .*quote.*12 inch"):
        InteractionDataset.from_files(path)
    whole = [f'"u{n % 7}"{sep}"{n % 11} ""inch"""' for n in range(40)]
    path = write(tmp_path / name, "\n".join([f"user{sep}item", *whole]))
    assert '3 "inch"' in InteractionDataset.from_files(path).item_ids


@pytest.mark.parametrize("sep", [",", "\t", ";"])
def test_rows_that_seem_to_be_text_are_warned_of(tmp_path: Path, sep: str) -> None:
    """A quote opens in one title, and that of another closes it: no column that is read has it."""
    rows = [sep.join((f"u{n % 7}", f"i{n % 11}", f'"Title {n}"', "5")) for n in range(40)]
    rows[10] = sep.join(("u1", "i2", '"12 inch', "5"))
    path = write(tmp_path / "log.csv", "\n".join([sep.join(("user", "item", "title", "n")), *rows]))
    with pytest.warns(
        UserWarning, match=r"log\.csv, line 12: text of column 'title' .* rows .*, 1 in all"
    ):
        InteractionDataset.from_files(path)


def test_reviews_may_run_over_lines(tmp_path: Path) -> None:
    texts = ["Good.\nVery good, in fact.", "a, b\nc, d, e\n", "x\n,y,z", "one line"]
    rows = [f'u{n % 7},i{n % 11},"{texts[n % 4]}"' for n in range(40)]
    path = write(tmp_path / "log.csv", "\n".join(["user,item,review", *rows]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(InteractionDataset.from_files(path).item_ids) == 11


def test_a_catalogue_whose_items_run_over_lines_is_refused(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user,item\n1,1\n2,3\n3,5\n")
    items = write(tmp_path / "items.csv", 'item\n1\n"2\n3\n4\n5\n"6\n7\n')
    with pytest.raises(ValueError, match=r"items\.csv' must be .*on one line"):
        InteractionDataset.from_files(log, items_file=items)


def test_parquet_of_an_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": ["a", "b", "c"] * 4, "item": [f"i{n % 5}" for n in range(12)]})
    frame.set_index("user").to_parquet(tmp_path / "log.parquet")
    catalogue = pd.DataFrame({"item": ["i1", "i9"], "kind": ["x", "y"]}).set_index("item")
    catalogue.to_parquet(tmp_path / "items.parquet")
    dataset = InteractionDataset.from_files(
        tmp_path / "log.parquet", items_file=tmp_path / "items.parquet", category="kind"
    )
    assert dataset.user_ids.tolist() == ["a", "b", "c"]
    assert dataset.item_ids.tolist() == ["i0", "i1", "i2", "i3", "i4", "i9"]
    pd.DataFrame(index=range(3)).to_parquet(tmp_path / "nothing.parquet", index=False)
    with pytest.raises(ValueError, match=r"nothing.parquet' must be a table with at least one"):
        InteractionDataset.from_files(
            tmp_path / "log.parquet", items_file=tmp_path / "nothing.parquet"
        )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pd.Series([b"a", b"\xc3\xa9", b"a"]), ["a", "é"]),
        (pd.Series([3.0, 10.0, 3.0]), [3, 10]),
        (pd.Series([3, 10, 3], dtype="category"), [3, 10]),
        (pd.Series(["x", "y", "x"], dtype="category"), ["x", "y"]),
        (pd.Series([0.5, 1.0, 0.5]), [0.5, 1.0]),
    ],
    ids=lambda x: str(getattr(x, "dtype", "")),
)
def test_ids_of_a_frame_are_what_they_mean(ids: pd.Series, expected: list) -> None:
    frame = pd.DataFrame({"user": ids, "item": [1, 2, 3]})
    dataset = InteractionDataset.from_frame(frame)
    assert dataset.user_ids.tolist() == expected


def test_bytes_that_are_no_text_are_refused() -> None:
    frame = pd.DataFrame({"user": [b"a", b"\xff"], "item": [1, 2]})
    with pytest.raises(ValueError, match="'user' must be text in UTF-8"):
        InteractionDataset.from_frame(frame)


def test_files_of_any_name_by_their_columns(tmp_path: Path, frame: pd.DataFrame) -> None:
    """As MovieLens' u.data, a suffix in capitals, and a header in a file without a suffix."""
    rows = [(1, 10), (1, 20), (2, 10), (3, 30)]
    text = "".join(f"{u}\t{i}\t5\t88\n" for u, i in rows)
    by_position = InteractionDataset.from_files(write(tmp_path / "u.data", text), user=0, item=1)
    text = "who,what\n" + "".join(f"{u},{i}\n" for u, i in rows)
    for name in ("LOG.CSV", "log"):
        path = write(tmp_path / name, text)
        dataset = InteractionDataset.from_files(path, user="who", item="what")
        assert dataset.user_ids.tolist() == by_position.user_ids.tolist() == [1, 2, 3]
        assert dataset.item_ids.tolist() == by_position.item_ids.tolist() == [10, 20, 30]


def test_a_catalogue_shares_items_with_the_log(tmp_path: Path) -> None:
    """Or titles, in its first column, would be items."""
    rows = [f"u{n % 7},i{n % 11}" for n in range(70)]
    log = write(tmp_path / "log.csv", "\n".join(["user,item", *rows]))
    table = pd.DataFrame({"title": ["One", "Two"], "id": ["i1", "i2"]})
    table.to_csv(tmp_path / "items.csv", index=False)
    table.to_parquet(tmp_path / "items.parquet", index=False)
    for suffix in ("csv", "parquet"):
        with pytest.raises(ValueError, match=r"in a column 'item', .* one of \['title', 'id'\]"):
            InteractionDataset.from_files(log, items_file=tmp_path / f"items.{suffix}")
    table.rename(columns={"id": "item"}).to_csv(tmp_path / "items.csv", index=False)
    assert len(InteractionDataset.from_files(log, items_file=tmp_path / "items.csv").item_ids) == 11
    new = write(tmp_path / "new.txt", "i18\ni19\n")
    with pytest.warns(UserWarning, match=r"new\.txt: none of its 2 items is in the log"):
        assert len(InteractionDataset.from_files(log, items_file=new).item_ids) == 13


@pytest.mark.parametrize(
    ("first", "is_item"),
    [
        ("i17", True),
        ("i9", True),
        ("V1", False),
        ("sku", False),
        ("title", False),
        ("item_id2", False),
    ],
)
@pytest.mark.parametrize("more", ["", ",One"])
def test_an_item_that_nobody_took_is_no_header(
    tmp_path: Path, first: str, is_item: bool, more: str
) -> None:
    log = write(
        tmp_path / "log.csv", "user,item\n" + "".join(f"u{n % 7},i{n // 7}\n" for n in range(28))
    )
    lines = [first, "i0", "i1", "i2", "i3", "i18"]
    items = write(tmp_path / "items.csv", "".join(f"{line}{more}\n" for line in lines))
    dataset = InteractionDataset.from_files(log, items_file=items)
    assert dataset.item_ids.tolist() == sorted(["i0", "i1", "i2", "i3", "i18", *[first] * is_item])


def test_whole_numbers_of_which_nobody_took_the_first_have_no_header(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.csv", "user,item\n" + "".join(f"{n % 7},{n // 7}\n" for n in range(28))
    )
    items = write(tmp_path / "items.csv", "17\n0\n1\n2\n3\n18\n")
    dataset = InteractionDataset.from_files(log, items_file=items)
    assert dataset.item_ids.tolist() == [0, 1, 2, 3, 17, 18]


@pytest.mark.parametrize("columns", [3, 4])
def test_a_table_of_ratings_is_no_adjacency_list(tmp_path: Path, columns: int) -> None:
    rows = [
        [u, 10 + i, 1 + (u + i) % 5, 880000000 + u][:columns] for u in range(4) for i in (1, 2, 5)
    ]
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    path = write(tmp_path / "ratings.txt", text)
    with pytest.raises(ValueError, match=rf"ratings\.txt' must be .*item-column 1.*{columns} numb"):
        InteractionDataset.from_files(path)
    dataset = InteractionDataset.from_files(path, user=0, item=1, rating=2)
    assert dataset.item_ids.tolist() == [11, 12, 15]
    lists = write(tmp_path / "lists.txt", "0 1 2\n1 2 3\n2 1 3\n3 2 1\n0 4 3\n")
    assert InteractionDataset.from_files(lists).summary()["links"] == 10


def test_lines_end_as_on_any_machine(tmp_path: Path) -> None:
    text = "0 10 11 12\n1 10 11 13\n2 11 12 13\n3 10 12 13\n"
    expected = InteractionDataset.from_files(write(tmp_path / "log.txt", text))
    for end in ("\r", "\r\n"):
        path = tmp_path / "other.txt"
        path.write_bytes(text.replace("\n", end).encode())
        same(InteractionDataset.from_files(path), expected)


def test_a_header_is_no_purchase(tmp_path: Path) -> None:
    rows = [f"c{n % 7},s{n % 11}" for n in range(40)]
    path = write(tmp_path / "log.csv", "\n".join(["customer,sku", *rows]))
    with pytest.raises(ValueError, match=r"without header, .*'customer', 'sku'"):
        InteractionDataset.from_files(path, user=0, item=1)
    path = write(tmp_path / "log.csv", "\n".join(["0,1", *rows]))  # as pandas numbers columns
    with pytest.warns(UserWarning, match=r"user nor item of the first line, \['0', '1'\], comes"):
        InteractionDataset.from_files(path, user=0, item=1)
    path = write(tmp_path / "log.csv", "\n".join(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InteractionDataset.from_files(path, user=0, item=1)


def test_byte_order_marks_within_are_none_of_the_ids(tmp_path: Path) -> None:
    """As `cat a.csv b.csv` leaves them."""
    rows = [f"u{n % 4},i{n % 5}" for n in range(20)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["\ufeff" + rows[0], *rows[1:7], "\ufeff" + rows[7], *rows[8:]]))
    dataset = InteractionDataset.from_files(path, user=0, item=1)
    assert dataset.user_ids.tolist() == ["u0", "u1", "u2", "u3"]


def test_blanks_around_ids_of_parquet_are_none_of_them(tmp_path: Path) -> None:
    """As databases fill columns of a fixed width up."""
    frame = pd.DataFrame({"user": ["a", "b", "c"] * 4, "item": [f"i{n % 5}" for n in range(12)]})
    frame.to_parquet(tmp_path / "log.parquet")
    padded = frame.apply(lambda column: column.str.ljust(8))
    for name, table in (("text", padded), ("categories", padded.astype("category"))):
        table.to_parquet(tmp_path / f"{name}.parquet")
        found = InteractionDataset.from_files(tmp_path / f"{name}.parquet")
        assert found.user_ids.tolist() == ["a", "b", "c"]
        assert found.item_ids.tolist() == ["i0", "i1", "i2", "i3", "i4"]


def test_a_mistyped_column_is_named_whatever_separates(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user;item;price\na;i1;4,5\na;i2;3,5\nb;i1;1,0\n")
    for options in ({"item": "itm"}, {"user": "usr", "item": "itm"}):
        with pytest.raises(ValueError, match=r"a column of .*\['user', 'item', 'price'\]"):
            InteractionDataset.from_files(path, **options)
