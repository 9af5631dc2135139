"""Pictures of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

import plot_tables
from pyg_negsamp.experiments.significance import Summary
from pyg_negsamp.experiments.tables import to_csv

pytest.importorskip("matplotlib")

METRICS = ["sampled Recall@5", "Recall@5", "NDCG@5"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table as `compare` and `reproduce` write it."""
    rows = [
        Summary("RNS", 2, {"sampled Recall@5": 0.1}, dict.fromkeys(METRICS, 0.2), {"NDCG@5": 0.01}),
        Summary("empty", 0, {}),
    ]
    file = tmp_path / "out" / "table.csv"
    file.parent.mkdir()
    protocols = ("clean", "refit")
    file.write_text(to_csv(*(dict.fromkeys(protocols, x) for x in (rows, METRICS, "NDCG@5"))))
    return file


def test_draws_the_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = table.parent / "table.png"
    plot_tables.main([str(table), str(table), "--metric", "NDCG@5", "--out", str(picture)])
    assert picture.stat().st_size > 1000
    with pytest.raises(SystemExit) as stopped:
        plot_tables.main([str(table), "--metric", "MRR@7", "--out", str(picture)])
    assert stopped.value.code == 2
    assert "has no MRR@7" in capsys.readouterr().err


def test_shows_what_stands_beside_the_printed_numbers(table: Path) -> None:
    assert set(plot_tables.read(table, "Recall@5")["metric"]) == {"sampled Recall@5"}
    assert set(plot_tables.read(table, "NDCG@5")["metric"]) == {"NDCG@5"}


def test_tables_whose_folders_have_one_name(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / one / "x" / "table.csv" for one in "ab"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(table.read_text())
    drawn: list[dict] = []
    monkeypatch.setattr(plot_tables, "draw", lambda tables, *_: drawn.append(tables))
    plot_tables.main([*map(str, files), str(table), "--metric", "NDCG@5"])
    assert list(drawn[0]) == [*map(str, files), "out"]


def test_says_what_is_wrong_and_leaves_with_code_2(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            plot_tables.main([*words, "--metric", "NDCG@5"])
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "is a folder" in refused(str(table), "--out", str(tmp_path))
    wrong = tmp_path / "wrong.csv"
    first, second = table.read_text().split("\n")[:2]
    for text, said in (
        ("", "No columns"),
        ("a,b\n1,2\n", "no column 'protocol'"),
        (f"{first}\nclean,RNS,NDCG@5,x,,,,,1,1,,\n", "Unable to parse string"),
        (f"{first}\nother,RNS,NDCG@5,0.1,,,,,1,1,,\n", "no protocol is called 'other'"),
        (f"{first}\n{second}\n{second}\n", "several lines of the same"),
    ):
        wrong.write_text(text)
        found = refused(str(wrong), "--out", str(tmp_path / "x.png"))
        assert f"{wrong} is no table" in found
        assert said in found
