"""Small inputs that people really have: what must be right about each."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch

from pyg_negsamp.datasets import InteractionDataset, LatestSplit, LeaveOneOut
from pyg_negsamp.graph import EDGE_TYPE

PAIRS = "user,item\n" + "".join(f"u{user},i{item}\n" for user in range(4) for item in range(6))
DAY_FIRST = ["03/04/2020", "01/05/2020", "25/03/2020"]
DAY_OR_MONTH = ["03/04/2020", "01/05/2020", "02/03/2020"]
LAST = LeaveOneOut(num_val=0)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(path: Path, content: str | bytes, **options) -> InteractionDataset:
    return InteractionDataset.from_files(write(path, content), **options)


def links(dataset: InteractionDataset) -> list[list[int]]:
    return dataset.interactions[EDGE_TYPE].edge_index.T.tolist()


def log(times: list[str], items: tuple[int, ...] = (2, 1, 3), users: int = 4) -> str:
    rows = [
        f"u{user},{item},{time}\n"
        for user in range(users)
        for item, time in zip(items, times, strict=True)
    ]
    return "user,item,time\n" + "".join(rows)


def both_ways(path: Path, text: str, **options) -> list[InteractionDataset]:
    """The same table as a file and as a frame of strings."""
    frame = pd.read_csv(io.StringIO(text), dtype=str)
    return [load(path, text, **options), InteractionDataset.from_frame(frame, **options)]


# Times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["2019-03-01", "1"])
def test_equal_times_are_ordered_at_random(tmp_path: Path, time: str) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [
        f"u{user:02d},{item},{time}\n"
        for user in range(60)
        for item in torch.randperm(80, generator=generator)[:10].tolist()
    ]
    text = "user,item,time\n" + "".join(rows)
    for dataset in both_ways(tmp_path / "day.csv", text, time="time", split=LatestSplit(0.1, 0.2)):
        parts = {part: dataset.to_frame(part).item.astype(int) for part in ("train", "test")}
        assert abs(parts["train"].mean() - parts["test"].mean()) < 5
        assert dataset.summary()["ties_decided_at_random"] == 60 * 3
    again = load(tmp_path / "day.csv", text, time="time", split=LatestSplit(seed=1))
    assert again.to_frame("test").item.tolist() != parts["test"].tolist()


def test_order_within_a_second_is_kept(tmp_path: Path) -> None:
    times = [f"2021-05-01T10:00:00.{fraction}" for fraction in ("000", "100", "900")]
    text = log(times, items=(50, 90, 10))
    for dataset in both_ways(tmp_path / "log.csv", text, time="time", split=LAST):
        test = dataset.to_frame("test")
        assert test.item.astype(int).tolist() == [10] * 4
        assert test.time.astype(str).str.startswith("2021-05-01 10:00:00.9").all()
        assert dataset.interactions[EDGE_TYPE].time.max() == 1619863200.9
        assert dataset.summary()["time_last"] == "2021-05-01T10:00:00.900000"


@pytest.mark.parametrize("sep", ["/", ".", "-"])
def test_one_date_tells_the_day_from_the_month_for_all(tmp_path: Path, sep: str) -> None:
    text = log([date.replace("/", sep) for date in DAY_FIRST])
    for dataset in both_ways(tmp_path / "log.csv", text, time="time", split=LAST):
        assert dataset.to_frame("test").item.astype(int).tolist() == [1] * 4  # the first of May
        assert dataset.summary()["time_last"] == "2020-05-01T00:00:00"
    american = log(["04/03/2020 10:00", "05/01/2020 10:00", "3/25/2020 11:30"])
    dataset = load(tmp_path / "log.csv", american, time="time", split=LAST)
    assert dataset.summary()["time_first"] == "2020-03-25T11:30:00"


def test_dates_that_can_be_read_in_two_ways_need_a_format(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", log(DAY_OR_MONTH))
    with pytest.raises(ValueError, match=r"'date_format' must be stated, .*03/04/2020"):
        InteractionDataset.from_files(path, time="time")
    with pytest.raises(ValueError, match=r"'date_format' must be stated, .*03/04/2020"):
        InteractionDataset.from_frame(pd.read_csv(path), time="time")
    options = {"time": "time", "split": LAST}
    for format, item in (("%d/%m/%Y", 1), ("%m/%d/%Y", 2)):
        dated = {**options, "date_format": format}
        for dataset in both_ways(path, log(DAY_OR_MONTH), **dated):
            assert dataset.to_frame("test").item.astype(int).tolist() == [item] * 4
    with pytest.raises(ValueError, match=r"'date_format' .*'%m/%d/%Y'.*25/03/2020"):
        load(path, log(DAY_FIRST), time="time", date_format="%m/%d/%Y")
    mixed = log(["25/03/2020", "03/25/2020", "01/01/2020"])
    with pytest.raises(ValueError, match=r"not all in one order.*25/03/2020 and 03/25/2020"):
        load(path, mixed, time="time")
    same = load(path, log(["01/01/2020", "02/02/2020", "03/03/2020"]), time="time")
    assert same.summary()["time_last"] == "2020-03-03T00:00:00"  # one reading is the other


# Ids ------------------------------------------------------------------------------------------


def test_words_for_missing_are_ids(tmp_path: Path) -> None:
    words = ["nan", "NA", "null", "None", "inf", "true", "abba", "dylan"]
    rows = [f"u{user}\t{word}\n" for user in range(3) for word in words]
    dataset = load(tmp_path / "words.tsv", "user\titem\n" + "".join(rows))
    assert dataset.item_ids.tolist() == sorted(words)
    frame = pd.DataFrame({"user": ["a", "b"] * 8, "item": words * 2})
    assert InteractionDataset.from_frame(frame).item_ids.tolist() == sorted(words)


def test_long_whole_numbers_are_exact(tmp_path: Path) -> None:
    short = [990000000000000000 + n for n in range(1, 16, 2)]
    long = [1010000000000000001, 1010000000000000003]
    train = "user,item\n" + "".join(f"{user},{item}\n" for user in range(5) for item in short)
    test = "user,item\n" + "".join(f"{user},{item}\n" for user in range(5) for item in long)
    dataset = load(tmp_path / "a.csv", train, test=write(tmp_path / "b.csv", test))
    assert dataset.item_ids.tolist() == [*short, *long]
    huge = "user,item\n" + "".join(f"{user},{10**20 + user % 2}\n" for user in range(6))
    dataset = load(tmp_path / "c.csv", train + huge.split("\n", 1)[1])
    assert dataset.item_ids.tolist() == sorted(map(str, [*short, 10**20, 10**20 + 1]))
    dataset = load(tmp_path / "a.csv", train, test=write(tmp_path / "b.csv", huge))
    assert str(10**20) in dataset.item_ids  # too long for a number, so all are text


def test_missing_ids_are_one_error_with_file_line_and_column(tmp_path: Path) -> None:
    text = "user,item\nu1,i1\n,i2\nu1,   \nu2,i1\nu2,i2\nu3,i3\n"
    with pytest.raises(ValueError, match=r"column 'user' of .*log\.csv.*line 3.*'item'.*line 4"):
        load(tmp_path / "log.csv", text)
    frame = pd.DataFrame({"user": ["u1", None, "u1"], "item": ["i1", "i2", "  "]})
    with pytest.raises(ValueError, match=r"'user' of frame.*row 2;.*'item' of frame.*row 3"):
        InteractionDataset.from_frame(frame)
    frame.to_parquet(tmp_path / "log.parquet")
    with pytest.raises(ValueError, match=r"'user' of .*parquet.*row 2;.*'item' of .*row 3"):
        InteractionDataset.from_files(tmp_path / "log.parquet")


def test_lines_are_counted_through_blank_lines_and_quotes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'item' of .*line 7"):
        load(tmp_path / "log.csv", '\nuser,item\n\na,"two\nlines"\nb,2\nc,\n')
    with pytest.raises(ValueError, match=r"column 1 of .*line 4"):
        load(tmp_path / "log.txt", "0 1\n\n1 2\n3\n", format="pairs")


def test_a_nul_byte_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nul\.csv, line 3.*NUL"):
        load(tmp_path / "nul.csv", "user,item\nu1,i2\nu1,i\0001\nu2,i1\n")


def test_one_name_for_two_columns_is_an_error(tmp_path: Path) -> None:
    text = "user,item,item\nu1,a,x\nu1,b,y\nu2,a,x\nu2,c,z\n"
    with pytest.raises(ValueError, match=r"'item' .*there once: \[.*, 'item'\] \(got 'item'\)"):
        load(tmp_path / "log.csv", text)
    other = load(tmp_path / "log.csv", "user,x,item,x\na,1,2,3\na,1,3,3\nb,1,2,3\nb,1,3,3\n")
    assert other.item_ids.tolist() == [2, 3]


def test_a_second_header_is_an_error_with_its_line(tmp_path: Path) -> None:
    text = "user,item\nu1,a\nu1,b\nuser,item\nu2,a\nu2,b\n"
    with pytest.raises(ValueError, match=r"log\.csv, line 4.*header again"):
        load(tmp_path / "log.csv", text)
    words = "1,2\nuser,3\nuser,4\n4,item\n5,6\n7,8\n"  # that are ids
    assert "user" in load(tmp_path / "log.csv", "user,item\n" + words, split=LAST).user_ids


def test_a_column_with_any_text_is_text(tmp_path: Path) -> None:
    rows = [(user, item) for user in ("1", "01", "1.0", "2", "x") for item in "abcde"]
    text = "user,item\n" + "".join(f"{user},{item}\n" for user, item in rows)
    dataset = load(tmp_path / "log.csv", text)
    assert dataset.user_ids.tolist() == ["01", "1", "1.0", "2", "x"]
    assert dataset.summary()["user_ids_of_same_number"] == 3
    assert "item_ids_of_same_number" not in dataset.summary()
    frame = pd.DataFrame({"user": [1, 1.0, "01", "x", 2] * 5, "item": [*range(5)] * 5})
    frame["item"] = [item for item in range(5) for _ in range(5)]
    assert set(InteractionDataset.from_frame(frame).user_ids) == {"1", "1.0", "01", "x", "2"}


# How text is written --------------------------------------------------------------------------


def test_other_encodings_are_stated(tmp_path: Path) -> None:
    text = PAIRS.replace("i", "é").replace("étem", "item")
    expected = load(tmp_path / "utf8.csv", text)
    path = write(tmp_path / "latin.csv", text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"'encoding' .*latin\.csv.*'latin-1'.*line 2"):
        InteractionDataset.from_files(path)
    stated = InteractionDataset.from_files(path, encoding="latin-1")
    assert stated.item_ids.tolist() == expected.item_ids.tolist()
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):  # with a byte order mark
        for options in ({}, {"encoding": encoding}):
            dataset = load(tmp_path / "log.csv", text.encode(encoding), **options)
            assert dataset.item_ids.tolist() == expected.item_ids.tolist()
            assert links(dataset) == links(expected)
    with pytest.raises(ValueError, match=r"NUL bytes.*encoding='utf-16'"):
        load(tmp_path / "log.csv", PAIRS.encode("utf-16-le"))
    assert links(load(tmp_path / "log.csv", PAIRS.encode("utf-16-le"), encoding="utf-16-le"))
    with pytest.raises(ValueError, match=r"'encoding' must be an encoding.*'rubbish'"):
        InteractionDataset.from_files(path, encoding="rubbish")


def test_adjacency_text_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    text = "".join(f"{u} " + " ".join(str(u + k) for k in range(6)) + "\n" for u in range(6))
    plain = load(tmp_path / "log.txt", text)
    marked = load(tmp_path / "marked.txt", b"\xef\xbb\xbf" + text.encode())
    assert links(marked) == links(plain)
    assert marked.summary()["users"] == 6


@pytest.mark.parametrize("options", [{}, {"sep": "::"}, {"format": "pairs"}])
def test_movielens_text_is_recognised(tmp_path: Path, options: dict) -> None:
    rows = [
        f"{u}::{i}::{1 + (u + i) % 5}::{978300000 + 10 * u + i}" for u in range(4) for i in range(8)
    ]
    dataset = load(tmp_path / "ratings.dat", "\n".join(rows), **options)
    store = dataset.interactions[EDGE_TYPE]
    assert store.edge_index.size(1) == 32
    assert store.rating[:3].tolist() == [1, 2, 3]
    assert store.time[:3].tolist() == [978300000, 978300001, 978300002]
    some = load(tmp_path / "ratings.dat", "\n".join(rows), rating=2, min_rating=3, **options)
    assert "time" not in some.interactions[EDGE_TYPE]  # only what was asked for
    three = load(tmp_path / "pairs.dat", "\n".join(row[: row.rindex("::")] for row in rows))
    assert set(three.interactions[EDGE_TYPE]) == {"edge_index"}


@pytest.mark.parametrize("options", [{}, {"sep": ";"}])
def test_semicolons_and_decimal_commas(tmp_path: Path, options: dict) -> None:
    text = "user;item;rating\n" + "".join(f"{u};{i};4,5\n" for u in range(4) for i in range(8))
    path = write(tmp_path / "log.csv", text)
    dataset = InteractionDataset.from_files(path, rating="rating", decimal=",", **options)
    assert set(dataset.interactions[EDGE_TYPE].rating.tolist()) == {4.5}
    assert InteractionDataset.from_files(path, **options).summary()["links"] == 32
    with pytest.raises(ValueError, match=r"'rating' .*decimal=','.*'4,5'"):
        InteractionDataset.from_files(path, rating="rating", **options)
    bare = write(tmp_path / "bare.csv", text.split("\n", 1)[1])
    columns = {"user": 0, "item": 1, "rating": 2}
    dataset = InteractionDataset.from_files(bare, **columns, decimal=",", **options)
    assert set(dataset.interactions[EDGE_TYPE].rating.tolist()) == {4.5}
    frame = pd.read_csv(path, sep=";")
    dataset = InteractionDataset.from_frame(frame, rating="rating", decimal=",")
    assert set(dataset.interactions[EDGE_TYPE].rating.tolist()) == {4.5}


def test_a_point_is_no_decimal_comma(tmp_path: Path) -> None:
    text = "user;item;rating\n0;0;1.234\n0;1;4,5\n"
    with pytest.raises(ValueError, match=r"'rating' must be .*numbers.*'1\.234'"):
        load(tmp_path / "log.csv", text, rating="rating", decimal=",")


def test_commas_stay_the_separator_of_csv(tmp_path: Path) -> None:
    lists = "".join(f"{u},{i},a;b;{'c;' * i}\n" for u in range(4) for i in range(4))
    dataset = load(tmp_path / "log.csv", lists, user=0, item=1)
    assert dataset.summary()["users"] == 4
    named = load(tmp_path / "log.csv", "user,item,tags;of;all\n" + lists)
    assert links(named) == links(dataset)


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
        archive.writestr(f"__MACOSX/._{name}", "noise")
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["pairs.csv", "train.txt", "log.dat"])
def test_compressed_files_have_the_format_of_the_name_inside(tmp_path: Path, name: str) -> None:
    text = {
        "pairs.csv": PAIRS,
        "train.txt": "0 0 1 2\n1 1 2 3\n",
        "log.dat": "0::1\n0::2\n1::1\n1::2\n2::3\n2::1\n3::1\n3::2\n",
    }[name]
    plain = load(tmp_path / name, text, split=LAST)
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        assert links(load(tmp_path / f"{name}{suffix}", pack(text.encode()), split=LAST)) == links(
            plain
        )
    assert links(load(tmp_path / "other.zip", zipped(name, text), split=LAST)) == links(plain)


def test_compressed_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1, 0, 1, 0, 1]})
    frame.to_parquet(tmp_path / "log.parquet")
    plain = InteractionDataset.from_files(tmp_path / "log.parquet", split=LAST)
    packed = gzip.compress((tmp_path / "log.parquet").read_bytes())
    assert links(load(tmp_path / "log.parquet.gz", packed, split=LAST)) == links(plain)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv.gz", b"user,item\n", r"log\.csv\.gz.*decompressed as \.gz"),
        ("log.csv.xz", b"user,item\n", r"log\.csv\.xz.*decompressed as \.xz"),
        ("log.csv.gz", gzip.compress(PAIRS.encode(), mtime=0)[:-9], r"log\.csv\.gz.*decompressed"),
        ("log.zip", b"user,item\n", r"log\.zip.*a zip archive"),
        ("log.csv.zip", b"user,item\n", r"log\.csv\.zip.*a zip archive"),
    ],
)
def test_broken_archives_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name, content)


def test_an_archive_of_two_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.writestr("a.csv", PAIRS)
        archive.writestr("b.csv", PAIRS)
    with pytest.raises(
        ValueError, match=re.escape("an archive of one file (got ['a.csv', 'b.csv'])")
    ):
        InteractionDataset.from_files(tmp_path / "log.zip")


# Splits ---------------------------------------------------------------------------------------


def test_leave_one_out(tmp_path: Path) -> None:
    rows = [
        f"u{user},{100 * user + 50 - k},{k}\n" for user in range(20) for k in range(2 + user % 6)
    ]
    text = "user,item,time\n" + "".join(rows)
    for dataset in both_ways(tmp_path / "log.csv", text, time="time", split=LeaveOneOut()):
        summary = dataset.summary()
        short = sum(user % 6 == 0 for user in range(20))
        assert summary["users_with_too_few_links"] == short == 4
        assert summary["val_links"] == summary["test_links"] == 20 - short
        assert summary["ties_decided_at_random"] == 0
        for part, back in (("test", 1), ("val", 2)):
            frame = dataset.to_frame(part)
            user = frame.user.str[1:].astype(int)
            assert (frame.time == 2 + user % 6 - back).all()
