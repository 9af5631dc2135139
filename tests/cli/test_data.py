"""`pyg-negsamp data` as its users call it; what it finds is in tests/experiments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("pyg_negsamp.datasets.k_core", reason="of branch datasets")

from pyg_negsamp.cli import main


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"c{u},s{i},{1 + (u + i) % 5},2024-02-{1 + u:02}" for u in range(9) for i in range(u, 12)
    ]
    Path("links.csv").write_text("\n".join(["customer,sku,stars,day", *rows]) + "\n")


FILE = ["--dataset", "links.csv", "--user-column", "customer", "--item-column", "sku"]


def test_describe_prints_a_table_per_question(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--rating-column", "stars", "--time-column", "day"]
    main(["data", "describe", *FILE, *columns, "--min-rating", "2", "--k-core", "3", "3"])
    said = capsys.readouterr().out
    for line in ("links per       min  median  mean  max  fewer than 5",
                 "left by filter    users  items  links",
                 "none                  9     12     72",
                 "rated at least    links  share",
                 "1                    72 100.0%"):  # fmt: skip
        assert " ".join(line.split()) in " ".join(said.split()), said
    assert "k-core 3 3" in said
    assert "times from 2024-02-01" in said
    assert "density" in said


def test_numbers_that_look_like_seconds_are_shown_as_dates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Path("links.csv").read_text().splitlines()
    rows = [f"{line},{1_700_000_000 + at}" for at, line in enumerate(lines[1:])]
    Path("links.csv").write_text("\n".join([f"{lines[0]},at", *rows]) + "\n")
    main(["data", "describe", *FILE, "--time-column", "at"])
    assert "times from 1700000000 (2023-11-14T22:13:20 if in seconds)" in capsys.readouterr().out


def test_what_prepare_wrote_is_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "prepare", *FILE, "--k-core", "2", "2", "--val-share", "0.2", "--to", "to"])
    said = capsys.readouterr().out
    assert said.endswith("\npyg-negsamp train --dataset to\n")
    counts = yaml.safe_load(Path("to/data.yaml").read_text())["counts"]
    assert f"{counts['train_links']}" in said
    main([*said.splitlines()[-1].split()[1:], "--epochs", "1", "--dim", "4", "--device", "cpu",
          "--encoder", "mf", "--neg", "rns", "--out", "run"])  # fmt: skip
    assert "popularity" in capsys.readouterr().out


def test_fields_may_come_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.yaml").write_text("dataset: links.csv\nuser_column: customer\nitem_column: sku\n")
    main(["data", "describe", "--config", "my.yaml"])
    assert "k-core 10 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "required: VERB"),
        ("nothing", "invalid choice: 'nothing'"),
        ("descrbe", "did you mean 'describe'?"),
        ("describe --dataset links.csv --user-column custome", "did you mean 'customer'?"),
        ("describe --dataset tiny --time-column day", "--time-column must be left out"),
        ("describe --dataset tiny --k-core 2 2", "--k-core must be left out"),
        ("prepare --dataset tiny --k-core -1 2 --to to", "--k-core must be greater than or equal"),
        ("prepare", "required: --to"),
        ("prepare --dataset tiny --to .", ". already holds something"),
        ("prepare --dataset tiny --to links.csv", "links.csv already holds something"),
        ("prepare --dataset nothing --to to", "--dataset must be a file, a prepared folder"),
        ("describe --dataset none.csv", "none.csv"),
        ("describe --dataset links.csv", "--user-column must be a column of links.csv"),
        ("describe --dataset tiny --k-core 5", "expected 2 arguments"),
        ("describe --dataset tiny --k-core a b", "--k-core must be"),
        ("describe --dataset tiny --min-rating 3", "--min-rating must be left out"),
        ("describe --usr-column x", "did you mean --user-column?"),
        ("describe --neg dns", "unrecognized arguments: --neg dns"),
        ("describe --config none.yaml", "none.yaml"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], argv: str, message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", *argv.split()])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    assert message in said
    assert not Path("to").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, found in (["--help"], "prepare"), (["describe", "--help"], "--k-core U I"):
        with pytest.raises(SystemExit) as stopped:
            main(["data", *argv])
        assert stopped.value.code == 0
        said = capsys.readouterr().out
        assert found in said
        assert "--neg" not in said
        assert "--decimal" not in said or "Default: '.'." in said
