"""The sub-commands that ask a saved model: recommend, similar, evaluate."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from pyg_negsamp.cli import evaluate, main, recommend, similar
from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.references import ItemKNN
from pyg_negsamp.serving import TrainedModel, lists


def purchases(ids: str) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [(user, item) for user in range(25) for item in generator.choice(30, 8, replace=False)]
    table = pd.DataFrame(rows, columns=["user", "item"])
    if ids == "text":
        table = pd.DataFrame(
            {"user": "c" + table.user.astype(str), "item": "s" + table.item.astype(str)}
        )
    return table


@pytest.fixture(params=["text", "integers"])
def run_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    data = InteractionDataset.from_frame(purchases(request.param))
    TrainedModel.from_training(ItemKNN(data[0]), data).save(tmp_path / "run" / "model")
    return tmp_path / "run"


def call(command: ModuleType, *argv: object) -> None:
    parser = argparse.ArgumentParser()
    words = [*map(str, argv)]
    command.add_arguments(parser, words)
    command.run(parser.parse_args(words))


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_all_users_as_csv_on_standard_output(run_folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(lists, "USERS", 7)
    call(recommend, run_folder, "--top-k", 3)
    said = capsys.readouterr()
    expected = TrainedModel.load(run_folder).recommend(k=3)
    pd.testing.assert_frame_equal(read(said.out), expected, check_dtype=False, rtol=1e-5)
    assert said.out.startswith("user,item,score,rank\n")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("named", [False, True])
def test_to_a_file(
    run_folder: Path, tmp_path: Path, suffix: str, named: bool, capsys, monkeypatch
) -> None:
    """Block by block, of two users each."""
    monkeypatch.setattr(lists, "USERS", 2)
    to = tmp_path / f"lists{suffix}"
    model = TrainedModel.load(run_folder)
    users = [*map(str, model.users[:2]), "new"] if named else []
    call(recommend, run_folder, "--to", to, *(["--users", *users] if named else []))
    assert capsys.readouterr().out == ""
    found = pd.read_csv(to) if suffix == ".csv" else pd.read_parquet(to)
    expected = model.recommend(users if named else None, unknown="popular")
    assert found["user"].astype(str).tolist() == expected["user"].astype(str).tolist()
    assert found["item"].tolist() == expected["item"].tolist()
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_file_is_whole_or_as_it_was(run_folder: Path, tmp_path: Path, monkeypatch) -> None:
    to = tmp_path / "lists.csv"
    to.write_text("earlier")

    def broken(blocks, total):
        yield from [next(iter(blocks))]
        raise OSError("no space left")

    monkeypatch.setattr(recommend, "with_progress", broken)
    with pytest.raises(OSError, match="no space left"):
        call(recommend, run_folder, "--to", to)
    assert to.read_text() == "earlier"
    assert not [path.name for path in tmp_path.iterdir() if "part" in path.name]


def test_options(run_folder: Path, tmp_path: Path, capsys) -> None:
    model = TrainedModel.load(run_folder)
    users, items = [*map(str, model.users[3:5])], [*map(str, model.items[:9])]
    (tmp_path / "users.txt").write_text("\n".join(users) + "\n\n")
    (tmp_path / "items.csv").write_text("name,item\n" + "".join(f"x,{item}\n" for item in items))
    call(recommend, run_folder, "--users-file", tmp_path / "users.txt", "--include-seen",
         "--items", tmp_path / "items.csv", "--top-k", 50)  # fmt: skip
    expected = model.recommend(users, k=50, exclude_seen=False, items=items)
    pd.testing.assert_frame_equal(
        read(capsys.readouterr().out), expected, check_dtype=False, rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"'users'.*nobody"):
        call(recommend, run_folder, "--users", "nobody", "--unknown", "raise")


@pytest.mark.parametrize(
    ("text", "said"), [("", "at least one item"), ("a,b\n1,2\n", "a column 'item'")]
)
def test_files_of_ids_that_cannot_be_read(
    run_folder: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "items.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        call(recommend, run_folder, "--items", tmp_path / "items.csv")
    for command in (recommend, similar):
        with pytest.raises(ValueError, match=r"--items .* or a file of them \(got '.*none.csv'\)"):
            call(command, run_folder, "--items", tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):
        call(recommend, run_folder, "--users-file", tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"--to must be a file\.csv"):
        call(recommend, run_folder, "--to", "lists.xlsx")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A model whose training data call their columns `customer` and `sku`."""
    data = InteractionDataset.from_frame(purchases("text"))
    config = {"user_column": "customer", "item_column": "sku"}
    made = TrainedModel.from_training(ItemKNN(data[0]), data, config=config)
    made.save(tmp_path / "run" / "model")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "c1\nc2\n", ""),
        ("a.txt", " c1 \n\n c2\n", ""),
        ("a.csv", "user\nc1\nc2\n", ""),
        ("a.csv", "customer\nc1\nc2\n", ""),
        ("a.csv", "c1\nc2\n", ""),
        ("a.csv", "Kunde\nc1\nc2\n", "the first line, 'Kunde', is taken for a header"),
        ("a.csv", "age;customer\n7;c1\n7;c2\n", ""),
        ("a.csv", "age\tuser\n7\tc1\n7\tc2\n", ""),
        ("a.tsv", "customer\tuser\nc1\t7\nc2\t7\n", ""),
        ("a.csv", 'age,customer\n"7,5","c1"\n7,\n7,c2\n', "1 rows without user, left out"),
        ("a.csv", "\ufeffcustomer\r\nc1\r\nc2\r\n", ""),
        ("a.csv", b"\xff\xfe" + "customer\nc1\nc2\n".encode("utf-16-le"), ""),
        ("a.parquet", "", ""),
    ],
)
def test_files_of_users_are_read_as_meant(
    small: Path, tmp_path: Path, name: str, text: str | bytes, said: str, capsys
) -> None:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    if name.endswith("parquet"):
        pd.DataFrame({"age": [7, 7], "customer": ["c1", "c2"]}).to_parquet(file)
    call(recommend, small, "--users-file", file, "--top-k", 2)
    found = capsys.readouterr()
    assert read(found.out)["user"].tolist() == ["c1", "c1", "c2", "c2"]
    assert found.err.count("\n") == bool(said)
    assert said in found.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"age,size\n1,2\n", "must have a column 'customer' or 'user', or one id per line"),
        (b"c1\nc\x00\n", "NUL byte"),
        (
            "c1\nKäthe\n".encode("latin-1"),
            "must be text in UTF-8, or in UTF-16 with its mark (got line 2 is not utf-8)",
        ),
        ("customer\nc1\n".encode("utf-16-le"), "NUL byte"),
        (b'customer\n"c1\n', "readable"),
        (b"customer,age\nc1,2\nc1,2,3\n", "readable"),
        (b"customer\n \n", "at least one user"),
    ],
)
def test_files_that_are_no_lists_are_named(
    small: Path, tmp_path: Path, text: bytes, said: str
) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.csv") as error:
        call(recommend, small, "--users-file", tmp_path / "a.csv")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_who_is_unknown_is_said_on_standard_error(small: Path, capsys) -> None:
    call(recommend, small, "--users", " c1 ", *(f"x{n}" for n in range(6)), "--top-k", 1)
    said = capsys.readouterr()
    assert read(said.out)["user"].tolist() == ["c1", *(f"x{n}" for n in range(6))]
    assert said.err == (
        "6 of 7 users are not known or have no training links, and get what is popular: "
        "'x0', 'x1', 'x2', 'x3', 'x4', ...\n"
    )


@pytest.mark.parametrize("command", [recommend, similar])
def test_items_are_ids_or_a_file_of_them(
    command: ModuleType, small: Path, tmp_path: Path, capsys
) -> None:
    """Those not known are left out, but not all."""
    (tmp_path / "some.csv").write_text("sku\ns1\ns2\nold\n")
    column, answers = ("user", ["--users", "c1"]) if command is recommend else ("item", [])
    outs = []
    for items in (["s1", "s2"], ["s1", " s2", "old"], [tmp_path / "some.csv"]):
        call(command, small, *answers, "--items", *items)
        said = capsys.readouterr()
        outs.append(said.out)
        assert said.err in ("", "1 of 3 items are not known, and left out: 'old'\n")
    assert read(outs[0])[column].nunique() >= 1
    assert outs[0] == outs[1] == outs[2]
    with pytest.raises(ValueError, match=r"--items must be ids .* \(got 2: 'old', 'older'\)"):
        call(command, small, "--items", "old", "older")


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_goes_to_standard_error(terminal: bool, capsys, monkeypatch) -> None:
    monkeypatch.setattr(recommend, "PAUSE", -1)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    blocks = [pd.DataFrame({"user": ["a", "a", "b"]}), pd.DataFrame({"user": ["c"]})]
    assert len(list(recommend.with_progress(blocks, 3))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert ("3/3" if terminal else "2 of 3 users") in said.err


def test_similar(run_folder: Path, capsys) -> None:
    model = TrainedModel.load(run_folder)
    items = [*map(str, model.items[:2])]
    call(similar, run_folder, "--items", *items, "--top-k", 4)
    expected = model.similar_items(items, 4)
    pd.testing.assert_frame_equal(
        read(capsys.readouterr().out), expected, check_dtype=False, rtol=1e-5
    )


def test_evaluate(run_folder: Path, capsys) -> None:
    call(evaluate, run_folder, "--top-k", 5, 10)
    said = capsys.readouterr().out
    expected = TrainedModel.load(run_folder).evaluate(k=(5, 10))
    tables = said.strip().split("\n\n")
    assert len(tables) == 2
    assert f"{expected['NDCG@5']:.4f}" in tables[0].splitlines()[1]
    assert f"{expected['NDCG@10']:.4f}" in tables[1].splitlines()[1]
    for name in ("quartile 1", "head", "tail"):
        assert name in tables[0]


def test_metrics_that_are_asked_for(tmp_path: Path, capsys) -> None:
    """As the run found them, and as the saved model knows what they need."""
    frame = pd.DataFrame(
        [(f"u{u}", f"i{(u * 7 + n * n) % 23}") for u in range(30) for n in range(12)],
        columns=["user", "item"],
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    kinds = pd.DataFrame({"name": range(23), "item": [f"i{n}" for n in range(23)]})
    kinds.assign(kind=kinds.name % 4).to_csv(tmp_path / "items.csv", index=False)
    words = ["--dataset", tmp_path / "log.csv", "--items-file", tmp_path / "items.csv"]
    words += ["--category-column", "kind", "--metrics", "Gini", "Diversity", "--top-k", 5]
    words += ["--encoder", "item-knn", "--out", tmp_path / "run"]
    main(["train", *map(str, words)])
    header = next(x for x in capsys.readouterr().out.splitlines() if "Gini@" in x)
    assert header.split() == ["test", "Gini@5", "Diversity@5"]
    run = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 < run["test"]["Diversity@5"] < 1
    assert run["groups"][0]["metrics"].keys() == run["test"].keys() == run["popularity"].keys()
    assert {group["by"] for group in run["groups"]} == {"users", "items"}
    assert 10 < run["memory_mb"] < 10**5
    call(evaluate, tmp_path / "run", "--metrics", *(x.split("@")[0] for x in run["test"]))
    row = capsys.readouterr().out.splitlines()[1].split()
    expected = [f"{value:.4f}" for value in run["test"].values()]
    assert row[-len(expected) :] == expected
    with pytest.raises(ValueError, match="did you mean 'Coverage'"):
        call(evaluate, tmp_path / "run", "--metrics", "Coverag")


def test_lists_are_as_long_as_in_training_by_default(tmp_path: Path, capsys) -> None:
    data = InteractionDataset.from_frame(purchases("text"))
    config = {"top_k": [3, 7]}
    TrainedModel.from_training(ItemKNN(data[0]), data, config=config).save(tmp_path / "model")
    call(evaluate, tmp_path)
    said = capsys.readouterr().out
    assert "NDCG@3" in said
    assert "NDCG@7" in said
    assert "NDCG@10" not in said


def test_a_parquet_file_of_users_is_read_by_its_columns(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the order of its columns; who is missing in it is nobody."""
    users = TrainedModel.load(run_folder).users.tolist()[:3]
    call(recommend, run_folder, "--users", *users, "--top-k", 2)
    expected = capsys.readouterr().out
    file = tmp_path / "asked.parquet"
    frame = pd.DataFrame({"score": [1.5, 2.5, 3.5, 4.5], "user": [*users, None]})
    of_some = frame[frame["score"] > 0][["user"]]  # whose index is kept as a column
    for table in (frame, frame.set_index("user"), frame[["user"]], of_some.set_axis([7, 5, 3, 1])):
        table.to_parquet(file)
        call(recommend, run_folder, "--users-file", file, "--top-k", 2)
        said = capsys.readouterr()
        assert said.out == expected
        assert "1 rows without user, left out" in said.err
    of_some.dropna().rename(columns={"user": "who"}).to_parquet(file.with_suffix(".PARQUET"))
    call(recommend, run_folder, "--users-file", file.with_suffix(".PARQUET"), "--top-k", 2)
    assert capsys.readouterr().out == expected
    frame.rename(columns={"user": "who"}).to_parquet(file)
    with pytest.raises(ValueError, match=r"asked.parquet must have a column 'user', or a single"):
        call(recommend, run_folder, "--users-file", file)
    items = TrainedModel.load(run_folder).items.tolist()[:4]
    pd.DataFrame({"price": [1.0] * 4, "item": items}).to_parquet(file)
    call(recommend, run_folder, "--top-k", 2, "--items", file)
    assert set(read(capsys.readouterr().out)["item"].astype(str)) <= set(map(str, items))


def test_an_id_that_runs_over_lines_is_refused(run_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "asked.csv"
    file.write_text('user\nc1\n"c2\nc3\nc4\n"c5\nc6\n')
    with pytest.raises(ValueError, match=r"asked\.csv' must be .*on one line.*c2"):
        call(recommend, run_folder, "--users-file", file)


@pytest.mark.parametrize("closed", ["stdout", "stderr", "stdin"])
def test_closed_streams_are_streams_that_nobody_reads(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    closed: str,
) -> None:
    users = ["nobody", str(TrainedModel.load(run_folder).users[0])]
    monkeypatch.setattr(sys, closed, None)
    main(["recommend", str(run_folder), "--users", *users, "--top-k", "1"])
    main(["recommend", str(run_folder), "--top-k", "1", "--to", str(tmp_path / "all.csv")])
    said = capsys.readouterr()
    assert (tmp_path / "all.csv").read_text().count("\n") == 26
    assert said.out.count("\n") == (0 if closed == "stdout" else 3)
    assert "not known" not in said.out
