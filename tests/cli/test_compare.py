"""`pyg-negsamp compare`, as its users do."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import pytest
import yaml
from small_table import SMALL, result

from pyg_negsamp.cli import main
from pyg_negsamp.experiments import Config, cells, reference_rows
from pyg_negsamp.experiments.flags import as_flags

QUICK = ["--dataset", "tiny", "--epochs", "2", "--dim", "8", "--device", "cpu", "--encoder", "mf"]


def run(out: Path, *flags: str) -> Path:
    main(["compare", *QUICK, "--out", str(out), *flags])
    return out


def error(capsys: pytest.CaptureFixture[str], out: Path, *flags: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "--dataset", "tiny", "--out", str(out), *flags])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    assert not out.exists(), "something was begun"
    return said


def test_compares_samplers_beside_the_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--neg", "rns", "dins", "--seeds", "2", "--beta", "2", "--encoder-l2", "5"]
    out = run(tmp_path / "out", *flags)
    said = capsys.readouterr().out
    text = (out / "table.md").read_text()
    assert text in said
    assert "tiny, protocol clean (selected on validation links" in text
    assert "| method | validation NDCG@20 | Recall@20 | NDCG@20 | 95 % interval |" in text
    lines = text.splitlines()
    names = [line.split(" | ")[0] for line in lines if line.startswith("| ")][1:]
    assert names == [f"| {name}" for name in ("rns", "dins", "popularity", "item-knn", "ease")]
    assert "compared with | 2 |" in next(line for line in lines if line.startswith("| rns"))
    assert "on NDCG@20 against rns, with Holm's correction" in text
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert {row["method"]: row["seeds"] for row in rows} == {
        "rns": "2", "dins": "2", "popularity": "1", "item-knn": "1", "ease": "1",
    }  # fmt: skip
    assert r"\toprule" in (out / "table.tex").read_text()
    # The reference chose its arguments, but for what was given.
    assert set(result(out, "item-knn-clean-0")["chosen"]) == {"k", "shrink"}
    assert "chosen" not in result(out, "ease-clean-0")
    # What two epochs are worth; and only while something is left, how long it takes.
    assert "\nstill improving at the last epoch: rns, dins; more --epochs may help\n" in said
    assert "\nbelow popularity: rns, dins\n" in said
    progress = [line for line in said.splitlines() if line.startswith("[")]
    assert all(line.endswith(" s left") for line in progress[:-1])
    assert "left" not in progress[-1]
    # The last line trains the best row by validation.
    best = max(rows, key=lambda row: float(row["mean"]) * row["metric"].startswith("validation"))
    command = shlex.split(said.strip().splitlines()[-1])
    assert command[:2] == ["pyg-negsamp", "train"]
    assert command[command.index("--encoder") + 1] == best["method"] == "item-knn"
    # The same command computes nothing again, and one with a row more that row only.
    trained: list[str] = []
    train_and_test = cells.train_and_test
    monkeypatch.setattr(
        cells, "train_and_test", lambda cell: trained.append(str(cell)) or train_and_test(cell)
    )
    run(out, *flags)
    assert trained == []
    run(out, "--neg", "dns", *flags[1:], "--against", "popularity")
    assert trained == ["dns, clean, seed 0", "dns, clean, seed 1"]


def test_metrics_that_are_asked_for_are_shown_and_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--neg", "rns", "dns", "--no-references", "--seeds", "1", "--top-k", "5"]
    out = run(tmp_path / "out", *flags)
    assert "| method | validation NDCG@5 | Recall@5 | NDCG@5 |" in capsys.readouterr().out
    # Another choice of what every cell has computes nothing again.
    monkeypatch.setattr(cells, "train_and_test", None)
    run(out, *flags, "--metrics", "Coverage", "AveragePopularity", "Recall")
    said = capsys.readouterr().out
    columns = "validation NDCG@5 | Coverage@5 | AveragePopularity@5 | 95 % interval | Recall@5"
    assert f"| method | {columns} |" in said
    assert "paired t-test over users on AveragePopularity@5 against rns" in said
    run(out, *flags, "--metrics", "Coverage")
    assert "Nothing is tested: users have no values" in capsys.readouterr().out
    monkeypatch.undo()
    run(out, *flags, "--metrics", "Gini", "MAP")
    assert "on MAP@5 against rns" in capsys.readouterr().out
    found = [cells.read_arrays(file)["user"] for file in out.glob("cells/*/users.npz")]
    assert len(found) == 4


def test_without_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--neg", "rns", "dns", "--loss", "bpr", "ssm", "--against", "dns + ssm"]
    flags += ["--seeds", "1", "--no-references", "--num-candidates", "4", "--protocol", "paper"]
    out = run(tmp_path / "out", *flags)
    rows = list(csv.DictReader((out / "table.csv").open()))
    names = list(dict.fromkeys(row["method"] for row in rows))
    assert names == ["rns + bpr", "dns + bpr", "rns + ssm", "dns + ssm"]
    said = capsys.readouterr().out
    assert "against dns + ssm, with Holm's" in said
    # Under this protocol it is test that selects, and nothing is called validation.
    assert "| method | selected on test NDCG@20 | Recall@20 |" in said
    assert "validation" not in said
    line, command = said.strip().splitlines()[-2:]
    assert line == "the best row (selected on test NDCG@20) is trained and kept by"
    flags = ("--num-candidates 4", "--dim 8", "--epochs 2", "--protocol paper")
    assert all(flag in command for flag in flags)


def test_a_table_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"method": "plain", "flags": {"neg": "rns"}},
        {"method": "hard", "flags": {"neg": "dns", "num-candidates": 4}},
    ]
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"rows": rows, "flags": {"epochs": 2, "dim": 4}}))
    words = ["--table", str(file), "--against", "hard", "--seeds", "1", "--device", "cpu"]
    out = tmp_path / "out"
    main(["compare", "--dataset", "tiny", "--out", str(out), *words])
    said = capsys.readouterr().out
    assert "mine: 5 cells" in said
    assert "against hard" in said
    said = error(capsys, tmp_path / "no", "--table", str(file), "--neg", "dns")
    assert "--neg must be left out: the rows of --table name it" in said
    said = error(capsys, tmp_path / "no", "--table", str(file), "--metrics", "NDCG,Gini")
    assert "each by itself, and no comma" in said
    said = error(capsys, tmp_path / "no", "--table", str(file), "--metrics", "NDGC")
    assert "--metrics must be names out of Recall" in said
    assert "did you mean 'NDCG'?" in said
    said = error(capsys, tmp_path / "no", "--table", str(file), "--against", "soft")
    assert "--against must be a row: plain, hard, popularity" in said
    file.write_text(yaml.safe_dump({"rows": [{"method": "ease"}]}))
    assert "the reference of that name" in error(capsys, tmp_path / "no", "--table", str(file))


def test_rows_differ_by_what_they_rank_by(tmp_path: Path) -> None:
    flags = {"neg": "rns", "loss": "ssm", "num-negatives": 4}
    rows = [{"method": by, "flags": {**flags, "rank-by": by}} for by in ("cosine", "dot")]
    rows.append({"method": "as the loss", "flags": flags})
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"rows": rows, "flags": {"epochs": 3, "dim": 4}}))
    words = ["--table", str(file), "--seeds", "1", "--device", "cpu", "--no-references"]
    main(["compare", "--dataset", "tiny", "--out", str(tmp_path / "out"), *words])
    with (tmp_path / "out" / "table.csv").open() as lines:
        found = {
            row["method"]: row["mean"]
            for row in csv.DictReader(lines)
            if row["metric"] == "NDCG@20"
        }
    assert found["cosine"] == found["as the loss"] != found["dot"]


def test_a_papers_table_keeps_its_printed_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(SMALL)
    words = ["--table", str(file), "--seeds", "1", "--no-references", "--protocol", "clean"]
    main(["compare", *words, "--budget", "0s", "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "| method | Recall@5 | printed | diff |" in said
    assert "4 cells are missing" in said


def test_ease_is_left_out_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_rows, "MOST_ITEMS_OF_EASE", 79)
    run(tmp_path, "--neg", "rns", "--seeds", "1", "--budget", "0s")
    said = capsys.readouterr().out
    assert "ease is left out: 80 items are more than 79\ntiny: 3 cells, 0 finished" in said
    assert "| ease" not in said


def test_a_config_file_with_flags_on_top(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"dataset": "tiny", "neg": "dins", "beta": 3, "seed": 5}))
    words = ["--config", str(config), "--neg", "rns", "dns", "--budget", "0s"]
    main(["compare", *words, "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| rns |" in text
    assert "| dins |" not in text


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--neg rns --beta 2", "--beta must be left out: it is for ahns, dins (got 'rns')"),
        ("--neg rns foo", "--neg must be one of rns"),
        ("--neg rns --against dns", "--against must be a row: rns, popularity, item-knn, ease"),
        ("--neg rns --layerz 3", "did you mean --layers?"),
        ("--neg rns --seed 3", "unrecognized arguments: --seed"),
        ("--encoder mf --layers 2", "--layers must be left out: mf has none"),
        ("--neg dns --num-candidates 0", "--num-candidates must be"),
        ("--epochs 2 --eval-every 3", "--eval-every must be at most epochs = 2"),
        ("--dataset nofile.csv", "there is no file 'nofile.csv'"),
        ("--dataset nodata", "--dataset must be"),
        ("--table nothing.yaml", "nothing.yaml: No such file or directory"),
        ("--config nothing.yaml", "No such file"),
        ("--seeds 0", "--seeds must be at least 1"),
        ("--seeds few", "argument --seeds: invalid int value"),
        ("--budget soon", "a time like 90s"),
        ("--no-references --encoder-k 5", "--encoder-k must be left out"),
        (
            "--metrics Recal",
            "MRR, Coverage, AveragePopularity, TailShare, Gini, Personalization, Div"
            "ersity; did you mean 'Recall'? (got ['Recal'])",
        ),
        (
            "--neg rns --metrics Coverage Gini --against rns",
            "--metrics must be with one that users have values of, to test by: Recall, NDCG",
        ),
        ("--metrics Diversity", "--metrics must be without Diversity, as items have no category"),
        ("--metrics Diversity --top-k 1 5", "without Diversity, or lists of at least 2 (--top-k)"),
        ("--val-share 0", "large enough that validation links are held out"),
    ],
)
def test_refuses_in_one_line_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, said: str
) -> None:
    assert said in error(capsys, tmp_path / "out", *flags.split())


def test_help_shows_what_the_named_methods_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", "--neg", "rns", "dins", "--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "dins: Weight of the positive" in " ".join(said.split())
    assert "--against ROW" in said
    assert "--tau" not in said


@pytest.mark.parametrize(
    "given",
    [
        {"dataset": "tiny", "encoder": "sgl", "neg": "ahns", "p": -2.0, "encoder_view": "walk"},
        {"dataset": "tiny", "encoder": "mf", "encoder_bias": True, "top_k": [5, 10]},
        {"dataset": "my file.csv", "encoder": "ease", "encoder_l2": 5.0, "user_column": "who"},
        {"dataset": "tiny", "neg": "ans", "gain": False, "protocol": "refit", "k_core": [2, 3]},
    ],
)
def test_flags_of_a_configuration_give_it_again(given: dict) -> None:
    import argparse

    from pyg_negsamp.cli.flags import add_config_flags, config_from
    from pyg_negsamp.cli.parser import Parser

    config = Config.of(**given)
    words = as_flags(config)
    parser = Parser(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    add_config_flags(parser, words)
    assert config_from(parser.parse_args(words)).flat() == config.flat()


def test_a_folder_is_for_a_table_of_one_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one name would otherwise have one folder."""
    monkeypatch.chdir(tmp_path)
    rows = [f"u{n % 12},i{n * 5 % 17}" for n in range(120)]
    for place, lines in (("eu", rows), ("us", rows[:-9]), ("copy", rows)):
        Path(place).mkdir()
        Path(place, "sales.csv").write_text("\n".join(["user,item", *lines]))
    flags = ["--encoder", "popularity", "--no-references", "--device", "cpu"]
    main(["compare", "--dataset", "eu/sales.csv", *flags])
    main(["compare", "--dataset", "copy/sales.csv", *flags])  # the same links
    before = Path("runs/compare/sales/table.csv").read_bytes()
    capsys.readouterr()
    for argv, said in (
        (["compare", "--dataset", "us/sales.csv", *flags], "a table of copy/sales.csv, and not of"),
        (
            ["compare", "--dataset", "eu/sales.csv", *flags, "--out", "run"],
            "holds a run of `train`",
        ),
    ):
        Path("run").mkdir(exist_ok=True)
        Path("run/config.yaml").touch()
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    assert Path("runs/compare/sales/table.csv").read_bytes() == before
