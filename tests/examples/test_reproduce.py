"""The papers' tables: their files, and the runner that fills them."""

from __future__ import annotations

import argparse
import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from conftest import ROOT

pytest.importorskip("statsmodels")
pytest.importorskip("scipy")

import common
import reproduce
import table_file
from table import Method, Summary, summarise, to_markdown

import plot_tables
from pyg_negsamp.nn import ENCODERS

FOLDER = ROOT / "examples" / "reproduce"
TABLES = sorted(FOLDER.glob("*/*.yaml"))
PRINTED = list(csv.DictReader((FOLDER / "printed.csv").open()))

SMALL = """
paper: ahns
table: 2
dataset: tiny
encoder: mf
protocol: [clean, paper]
flags: {epochs: 3, dim: 8, lr: 0.01, top-k: [5, 10]}
source: made up
rows:
  - {method: popularity, encoder: popularity, flags: {}, source: none}
  - {method: RNS, flags: {neg: rns}, source: none, printed: {Recall@5: 0.1, NDCG@5: 0.1}}
  - {method: DNS, flags: {neg: dns, num-candidates: 4}, source: none, printed: {Recall@5: 0.2}}
  - {method: ours, proposed: true, flags: {neg: dins}, source: none}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(SMALL)
    return file


def run(file: Path, *flags: str) -> Path:
    out = file.parent / "out"
    reproduce.main([str(file), "--out", str(out), "--seeds", "1", *flags])
    return out


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        reproduce.main(words)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    return said


# The files ------------------------------------------------------------------------------------


def test_there_are_tables() -> None:
    assert TABLES


def test_printed_numbers_are_fractions_and_come_once() -> None:
    keys = [tuple(row[name] for name in list(row)[:-1]) for row in PRINTED]
    assert len(set(keys)) == len(keys)
    metrics = [row for row in PRINTED if "@" in row["metric"]]
    assert all(0 < float(row["value"]) < 1 for row in metrics)


def encoder_of(table: reproduce.Table, row: reproduce.Row) -> str:
    return table.encoder if row.encoder in reproduce.REFERENCES else row.encoder


@pytest.mark.parametrize("file", TABLES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_table_is_what_the_classes_and_the_paper_say(file: Path) -> None:
    table = reproduce.read_table(file)
    assert table.paper == file.parent.name
    assert file.stem.startswith(table.dataset)
    own = [
        row
        for row in PRINTED
        if (row["paper"], row["table"], row["dataset"])
        == (table.paper, str(table.number), table.dataset)
    ]
    reproduce.check(table)
    for row in table.rows:
        assert row.source
        printed = {
            said["metric"]: float(said["value"])
            for said in own
            if (said["method"], said["encoder"]) == (row.method, encoder_of(table, row))
        }
        assert row.printed.items() <= printed.items(), row.method
        for protocol in table.protocols:
            args = reproduce.arguments(table, row, protocol, "nowhere", seed=0)
            lists = {int(name.split("@")[1]) for name in reproduce.columns(table) if "@" in name}
            assert lists <= set(args.top_k)
    encoders = {encoder_of(table, row) for row in table.rows if row.printed}
    of_paper = {said["method"] for said in own if said["encoder"] in encoders}
    missing = of_paper - {row.method for row in table.rows}
    assert not missing, f"{file}: rows of the paper that are missing: {missing}"


# The runner -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that was filled once, for those who only look."""
    file = tmp_path_factory.mktemp("finished") / "tiny.yaml"
    file.write_text(SMALL)
    run(file)
    return file


def test_fills_the_table(finished: Path) -> None:
    out = finished.parent / "out"
    text = (out / "table.md").read_text()
    assert "protocol clean (selected on validation links carved from train, test read once)" in text
    assert "protocol paper (trained on all of train and selected on test" in text
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert len(rows) == 2 * 4 * 2
    dns = next(r for r in rows if (r["method"], r["metric"]) == ("DNS", "Recall@5"))
    cell = next((out / "cells").glob("dns-clean-0-*"))
    result = json.loads((cell / "metrics.json").read_text())
    assert float(dns["mean"]) == result["test"]["Recall@5"]
    assert dns["printed"] == "0.2"
    with np.load(cell / "users.npz") as users:
        assert users["Recall@5"].mean() == pytest.approx(result["test"]["Recall@5"])
    assert not (cell / "checkpoints").exists()


def test_a_cell_is_what_the_training_script_gives(finished: Path, tmp_path: Path) -> None:
    cell = next((finished.parent / "out" / "cells").glob("dns-clean-0-*"))
    flags = "--dataset tiny --epochs 3 --dim 8 --lr 0.01 --top-k 5 10 --neg dns --num-candidates 4"
    common.main(ENCODERS["mf"], [*flags.split(), "--out", str(tmp_path / "script")])
    ours = json.loads((cell / "metrics.json").read_text())["test"]
    assert 0 <= ours.pop("false-negative rate") <= 1
    script = json.loads((tmp_path / "script" / "metrics.json").read_text())["test"]
    assert ours == pytest.approx(script, abs=1e-7)  # sums in another order


def test_finished_cells_are_not_computed_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished.parent / "out" / "table.md").read_text()
    monkeypatch.setattr(reproduce, "fit", lambda *_, **__: pytest.fail("trained again"))
    out = run(finished)
    assert (out / "table.md").read_text() == before
    said = capsys.readouterr().out
    assert "8 cells, 8 finished before" in said
    assert before in said


def test_a_sampled_table_shows_full_ranking_too(small: Path) -> None:
    small.write_text(
        SMALL.replace("[clean, paper]", "clean").replace(
            "flags: {epochs", "flags: {eval: sampled, epochs"
        )
    )
    rows = list(csv.DictReader((run(small) / "table.csv").open()))
    found = {(row["method"], row["metric"]): row for row in rows}
    assert found["RNS", "sampled Recall@5"]["printed"] == "0.1"
    assert found["RNS", "Recall@5"]["printed"] == ""
    # Fewer items to compete with: here 80 in all, so that none is left out, and both agree.
    sampled = float(found["RNS", "sampled Recall@5"]["mean"])
    assert sampled == pytest.approx(float(found["RNS", "Recall@5"]["mean"]), abs=1e-7)
    # The picture has what stands beside the printed numbers.
    drawn = plot_tables.read(small.parent / "out" / "table.csv", "Recall@5")
    assert set(drawn["metric"]) == {"sampled Recall@5"}


def test_where_no_row_is_of_a_paper_validation_chooses_and_a_printed_row_is_beside(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = small.parent / "printed.csv"
    printed.write_text(
        "paper,table,dataset,encoder,method,metric,value\n"
        "x,3,tiny,mf,best,NDCG@5,0.5\nx,3,tiny,mf,best,NDCG@7,0.6\nx,3,other,mf,best,NDCG@10,0.7\n"
    )
    monkeypatch.setattr(table_file, "HERE", small.parent)
    table = yaml.safe_load(SMALL)
    for row in table["rows"]:
        row.pop("printed", None)
    against = {"paper": "x", "table": 3, "encoder": "mf", "method": "best"}
    small.write_text(yaml.safe_dump({**table, "against": against}))
    out = run(small)
    text = (out / "table.md").read_text()
    assert "test read once; printed: x, table 3: best)" in text
    assert "| method | validation NDCG@5 | NDCG@5 | printed | diff | p |" in text
    rows = list(csv.DictReader((out / "table.csv").open()))
    for name in ("popularity", "RNS"):
        cell = next((out / "cells").glob(f"{name.lower()}-clean-0-*"))
        result = json.loads((cell / "metrics.json").read_text())
        own = {
            row["metric"]: row
            for row in rows
            if (row["protocol"], row["method"]) == ("clean", name)
        }
        assert float(own["validation NDCG@5"]["mean"]) == result["validation"]
        assert own["validation NDCG@5"]["printed"] == ""
        assert float(own["NDCG@5"]["mean"]) == result["test"]["NDCG@5"]
        assert own["NDCG@5"]["printed"] == "0.5"
    # Under the paper's protocol, test is what selects.
    paper = next((out / "cells").glob("popularity-paper-0-*"))
    result = json.loads((paper / "metrics.json").read_text())
    assert result["validation"] == pytest.approx(result["test"]["NDCG@5"], abs=1e-7)


def test_draws_the_table(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    table, picture = finished.parent / "out" / "table.csv", finished.parent / "table.png"
    plot_tables.main([str(table), str(table), "--metric", "NDCG@5", "--out", str(picture)])
    assert picture.stat().st_size > 1000
    with pytest.raises(SystemExit) as stopped:
        plot_tables.main([str(table), "--metric", "MRR@7", "--out", str(picture)])
    assert stopped.value.code == 2
    assert "has no MRR@7" in capsys.readouterr().err


def test_pictures_of_tables_whose_folders_have_one_name(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = finished.parent / "out" / "table.csv"
    files = [tmp_path / one / "x" / "table.csv" for one in "ab"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(table.read_text())
    drawn: list[dict] = []
    monkeypatch.setattr(plot_tables, "draw", lambda tables, *_: drawn.append(tables))
    plot_tables.main([*map(str, files), str(table), "--metric", "NDCG@5"])
    assert list(drawn[0]) == [*map(str, files), "out"]


def test_a_picture_refuses_in_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            plot_tables.main([*words, "--metric", "NDCG@5"])
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return said

    table = finished.parent / "out" / "table.csv"
    assert "is a folder" in refused(str(table), "--out", str(tmp_path))
    wrong = tmp_path / "wrong.csv"
    first, second = table.read_text().split("\n")[:2]
    for text, said in (
        ("", "No columns"),
        ("a,b\n1,2\n", "no column 'protocol'"),
        (f"{first}\nclean,RNS,NDCG@5,x,,,,1,1\n", "Unable to parse string"),
        (f"{first}\nother,RNS,NDCG@5,0.1,,,,1,1\n", "no protocol is called 'other'"),
        (f"{first}\n{second}\n{second}\n", "several lines of the same"),
    ):
        wrong.write_text(text)
        found = refused(str(wrong), "--out", str(tmp_path / "x.png"))
        assert f"{wrong} is no table of reproduce.py: " in found
        assert said in found


def test_other_flags_or_other_code_are_another_cell(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names() -> set[str]:
        options = argparse.Namespace(root="nowhere", seeds=1, out=small.parent)
        return {cell.folder.name for cell in reproduce.cells(reproduce.read_table(small), options)}

    base = names()
    assert names() == base
    assert len(base) == 8
    small.write_text(SMALL.replace("num-candidates: 4", "num-candidates: 5"))
    assert len(names() & base) == 6
    small.write_text(SMALL)
    monkeypatch.setattr(reproduce, "code_version", lambda: "another")
    assert not names() & base


def test_comments_and_docstrings_are_no_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(text: str) -> str:
        (tmp_path / "a.py").write_text(text)
        reproduce.code_version.cache_clear()
        return reproduce.code_version()

    monkeypatch.setattr(reproduce.pyg_negsamp, "__file__", str(tmp_path / "__init__.py"))
    base = version("def f():\n    return 1\n")
    assert version('"""Text."""\n\n# comment\ndef f():\n    """More."""\n    return (1)\n') == base
    assert version("def f():\n    return 2\n") != base
    reproduce.code_version.cache_clear()


def test_a_killed_run_goes_on_where_it_was(
    small: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (finished.parent / "out" / "table.csv").read_text()
    fit, calls = reproduce.fit, []

    def stop_half_way(*args: object, **options: object) -> object:
        calls.append(options["resume"])
        if len(calls) == 2:  # a row of two epochs, then the power goes
            fit(*args, **{**options, "epochs": 2})
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(reproduce, "fit", stop_half_way)
    with pytest.raises(SystemExit) as stopped:
        run(small)
    assert stopped.value.code == 130
    out = run(small)
    assert calls[:3] == [False, False, True]
    ours = list(csv.reader((out / "table.csv").open()))
    theirs = list(csv.reader(expected.splitlines()))
    assert [row[:7] for row in ours] == [row[:7] for row in theirs]  # all but the seconds


def test_refit_trains_anew_on_all_of_train_and_survives_a_kill(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Selected as 'clean', trained on what 'paper' trains on; test has no part in it."""
    more = """
  - {method: CuCo, flags: {neg: cuco, lr: 0.5, epochs: 8}, source: none}
  - {method: EASE, encoder: ease, flags: {}, source: none}
"""
    small.write_text(SMALL.replace("[clean, paper]", "[clean, refit, paper]") + more)
    fit, fits = common.fit, []

    def stop_before_the_end(*args: object, **options: int) -> object:
        fit(*args, **{**options, "epochs": 1})
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "fit", stop_before_the_end)  # that of refit; the first goes through
    with pytest.raises(SystemExit) as stopped:
        run(small)
    assert stopped.value.code == 130
    monkeypatch.setattr(common, "fit", fit)
    monkeypatch.setattr(reproduce, "fit", lambda *a, **o: fits.append(a[3].name) or fit(*a, **o))
    out = run(small)
    assert fits  # of 'paper' only: what 'clean' has selected is not selected again
    assert not [name for name in fits if "-paper-" not in name]

    def result(cell: str, out: Path = out) -> dict:
        return json.loads((next((out / "cells").glob(f"{cell}-0-*")) / "metrics.json").read_text())

    assert "then trained anew on all of train" in (out / "table.md").read_text()
    for name in ("ease", "popularity"):
        assert result(f"{name}-refit")["test"] == result(f"{name}-paper")["test"]
        assert result(f"{name}-refit")["validation"] == result(f"{name}-clean")["validation"]
    for name in ("rns", "dns", "ours", "cuco"):
        ours, clean = result(f"{name}-refit"), result(f"{name}-clean")
        assert ours["test"]["NDCG@10"] != clean["test"]["NDCG@10"]
        for selected in ("best_epoch", "validation", "epochs"):
            assert ours[selected] == clean[selected]
    # Alone and uninterrupted, it selects by itself, and finds the same.
    small.write_text(SMALL.replace("[clean, paper]", "[refit]") + more)
    alone = small.parent / "alone"
    reproduce.main([str(small), "--out", str(alone), "--seeds", "1"])
    for name in ("rns", "dns", "ours", "cuco"):
        assert result(f"{name}-refit", alone)["test"] == result(f"{name}-refit")["test"]
    # As the script does, and as `fit` does with the schedule of the whole run.
    flags = "--dataset tiny --epochs 8 --dim 8 --lr 0.5 --top-k 5 10 --protocol refit --neg cuco"
    common.main(ENCODERS["mf"], [*flags.split(), "--out", str(tmp_path / "script")])
    script = json.loads((tmp_path / "script" / "metrics.json").read_text())
    whole = result("cuco-refit")
    assert 0 <= whole["test"].pop("false-negative rate") <= 1
    assert whole["test"] == pytest.approx(script["test"], abs=1e-7)
    best = whole["best_epoch"]
    assert best == script["best_epoch"] < 8
    args = common.parse(common.make_parser(ENCODERS["mf"]), flags.split())
    known = common.known_in(common.load(args)[2])
    model = common.build(ENCODERS["mf"], args, known)
    fit(model, known, None, tmp_path / "by hand", best, planned=8)
    kept = torch.load(
        tmp_path / "script" / "refit" / "checkpoints" / "last.ckpt", weights_only=True
    )
    assert all(torch.equal(x, kept["state_dict"][name]) for name, x in model.state_dict().items())


def test_a_cell_that_fails_stops_no_other_and_is_tried_again(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_test = reproduce.train_and_test

    def fail_once(cell: reproduce.Cell) -> None:
        if cell.row.method == "RNS" and cell.protocol == "clean":
            raise OSError("no space left on device")
        train_and_test(cell)

    monkeypatch.setattr(reproduce, "train_and_test", fail_once)
    with pytest.raises(SystemExit) as stopped:
        run(small)
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.err.endswith(": error: no space left on device\n")
    assert "[2/8] RNS, clean, seed 0: OSError: no space left on device" in said.out
    assert "[8/8]" in said.out
    assert "1 cell is missing" in said.out
    monkeypatch.setattr(reproduce, "train_and_test", train_and_test)
    run(small)
    assert "[8/8] RNS, clean" in capsys.readouterr().out


def test_budget(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(small, "--budget", "0s")
    assert "8 cells are missing, or with another process" in capsys.readouterr().out
    assert not (out / "cells").exists()


def test_a_cell_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    with reproduce.taken(cell) as ours:
        assert ours
    hold = f"""
import fcntl
file = open({str(cell / "lock")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with reproduce.taken(cell) as ours:
        assert not ours
    other.kill()
    other.wait()
    with reproduce.taken(cell) as ours:
        assert ours


def test_several_jobs_from_the_command_line_of_which_one_fails(small: Path) -> None:
    out = small.parent / "out"
    options = argparse.Namespace(seeds=1, root="datasets", out=out)
    cell = reproduce.cells(reproduce.read_table(small), options)[1]
    (cell.folder / "users.npz.part").mkdir(parents=True)  # where a file is to be written
    words = [sys.executable, str(ROOT / "examples" / "reproduce.py"), str(small), "--seeds", "1"]
    done = subprocess.run(
        [*words, "--jobs", "2", "--out", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "RNS, clean, seed 0: IsADirectoryError" in done.stdout
    assert "[8/8]" in done.stdout
    assert "| DNS |" in done.stdout
    assert len(list((out / "cells").glob("*/metrics.json"))) == 7


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_parent(small: Path, how: signal.Signals) -> None:
    cells = small.parent / "out" / "cells"
    small.write_text(SMALL.replace("epochs: 3", "epochs: 1000000, patience: 1000000"))
    script = str(ROOT / "examples" / "reproduce.py")
    workers: list[psutil.Process] = []
    parent = psutil.Popen(
        [sys.executable, script, str(small), "--jobs", "2", "--out", str(cells.parent)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Popularity is finished at once; then both train, for ever.
        while len(list(cells.glob("*/checkpoints/last.ckpt"))) < 2:
            assert parent.poll() is None, parent.stderr.read()
            time.sleep(0.1)
        workers = parent.children(recursive=True)
        assert len(workers) >= 2
        parent.send_signal(how)
        assert psutil.wait_procs(workers, timeout=60)[1] == []
        said = parent.communicate(timeout=60)[1]
    finally:
        for process in (*workers, parent):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert parent.returncode == {signal.SIGINT: 130, signal.SIGKILL: -9}[how]
    if how == signal.SIGINT:
        assert said == "\nreproduce.py: interrupted; the same command goes on\n"
    assert [file.parent.name[:10] for file in cells.glob("*/metrics.json")] == ["popularity"]


def test_refuses_in_one_line(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in error(capsys, "nothing.yaml")
    assert "--seeds must be at least 1" in error(capsys, str(small), "--seeds", "0")
    assert "a time like" in error(capsys, str(small), "--budget", "soon")
    small.write_text(SMALL.replace("source: made up\n", ""))
    assert "must have the fields" in error(capsys, str(small))
    small.write_text(SMALL + "  - {method: [")
    assert f'in "{small}"' in error(capsys, str(small))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rows": []}, "'rows' must be a list"),
        ({"rows": None}, "'rows' must be a list"),
        ({"rows": ["RNS"]}, "row 1: needs method, flags, source"),
        ({"flags": None}, "'flags' must be 'name: value' lines (got None)"),
        ({"flags": {5: 1}}, "'flags' must be 'name: value' lines"),
        *(
            ({"flags": {name: 1}}, f"flags may not hold {name}")
            for name in ("seed", "protocol", "dataset", "root", "config", "out", "resume")
        ),
        ({"encoder": "ease"}, "no encoder 'ease'"),
        ({"encoder": "mff"}, "no encoder 'mff'"),
        ({"encoder": ["mf"]}, "'encoder' must be a str"),
        ({"dataset": 5}, "'dataset' must be a str"),
        ({"protocol": []}, "'protocol' must be out of clean, refit, paper, each once (got [])"),
        ({"protocol": {"a": 1}}, "'protocol' must be out of"),
        ({"protocol": [{"a": 1}]}, "'protocol' must be out of"),
        ({"protocol": ["clean", "clean"]}, "'protocol' must be out of"),
        ({"protocol": "test"}, "'protocol' must be out of"),
        ({"against": "ahns"}, "'against' must be paper, table, encoder, method of a printed row"),
        (
            {"against": {"paper": "ahns", "table": 2, "encoder": "mf", "method": "RNS"}},
            "'against' must be a row of printed.csv on tiny",
        ),
    ],
)
def test_a_wrong_table_is_refused(
    small: Path, capsys: pytest.CaptureFixture[str], wrong: dict, said: str
) -> None:
    small.write_text(yaml.safe_dump({**yaml.safe_load(SMALL), **wrong}))
    found = error(capsys, str(small))
    assert said in found
    assert f"error: {small}" in found


EASE = {"encoder": "ease"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": None}, "'method' must be a name (got None)"),
        ({"method": ""}, "'method' must be a name"),
        ({"method": 5}, "'method' must be a name (got 5)"),
        ({"method": ["RNS"]}, "'method' must be a name"),
        ({"encoder": ["mf"]}, "no encoder '['mf']'"),
        ({"flags": None}, "'flags' must be 'name: value' lines"),
        ({"flags": {5: 1}}, "'flags' must be 'name: value' lines"),
        *(
            ({"flags": {name: 1}}, f"flags may not hold {name}")
            for name in ("seed", "protocol", "dataset", "root", "config", "top_k", "eval")
        ),
        ({**EASE, "flags": {"k": 1}}, "ease has no k"),
        ({**EASE, "flags": {"l2": "x"}}, "'l2' must be of type float (got 'x')"),
        ({"encoder": "item-knn", "flags": {"k": 2.5}}, "'k' must be of type int (got 2.5)"),
        ({"printed": [0.1]}, "'printed' must be 'name: value' lines"),
        ({"printed": {20: 0.1}}, "'printed' must be out of"),
        ({"printed": {"Foo@5": 0.1}}, "'printed' must be out of"),
        ({"printed": {"Recall@7": 0.1}}, "'printed' must be out of"),
        ({"printed": {"NDCG@5": 0}}, "'printed NDCG@5' must be a fraction above 0 (got 0)"),
        ({"printed": {"NDCG@5": "x"}}, "'printed NDCG@5' must be a fraction above 0 (got 'x')"),
        ({"printed": {"NDCG@5": 11.5}}, "'printed NDCG@5' must be a fraction"),
        # What only the classes know: each row is built before any is trained.
        ({"flags": {"neg": "rns", "alpha": 1.0}}, "--alpha is for"),
        ({"flags": {"neg": "foo"}}, "argument --neg: invalid choice"),
        ({"flags": {"foo": 1}}, "unrecognized arguments: --foo=1"),
        ({"flags": {"neg": "dns", "num-candidates": 0}}, "'num_candidates' must be"),
        ({"flags": {"epochs": 0}}, "'epochs' must be at least 1"),
        ({"flags": {"eval-every": 4}}, "'eval_every' must be at most epochs = 3"),
        ({**EASE, "flags": {"l2": 0}}, "EASE: 'l2' must be"),
    ],
)
def test_a_wrong_row_is_refused_before_any_is_run(
    small: Path, capsys: pytest.CaptureFixture[str], wrong: dict, said: str
) -> None:
    table = yaml.safe_load(SMALL)
    table["rows"].append({"method": "x", "flags": {}, "source": "y", **wrong})
    small.write_text(yaml.safe_dump(table))
    found = error(capsys, str(small), "--out", str(small.parent / "out"))
    assert said in found
    assert f"{small}, row 5: " in found
    assert not (small.parent / "out").exists()


# The statistics -------------------------------------------------------------------------------


def method(name: str, users: Sequence[Sequence[float]], baseline: bool = True) -> Method:
    runs = [{"test": {"NDCG@5": float(np.mean(u))}, "seconds": 1.0} for u in users]
    return Method(name, baseline, {}, runs, [{"NDCG@5": np.array(u)} for u in users])


def test_means_spread_and_strongest_baseline() -> None:
    rows = summarise(
        [
            method("weak", [[0.1, 0.2, 0.1], [0.1, 0.2, 0.4]]),
            method("strong", [[0.3, 0.2, 0.3]]),
            method("proposed", [[0.9, 0.8, 0.7]], baseline=False),
            method("empty", []),
        ],
        ["NDCG@5"],
    )
    assert [row.strongest for row in rows] == [False, True, False, False]
    assert rows[0].mean["NDCG@5"] == pytest.approx((0.4 / 3 + 0.7 / 3) / 2)
    assert rows[0].std["NDCG@5"] == pytest.approx(np.std([0.4 / 3, 0.7 / 3], ddof=1))
    assert rows[1].std == {}
    assert rows[3].mean == {}
    assert "| empty |  |  |  |  |" in to_markdown(rows, ["NDCG@5"])


def test_p_values_are_paired_over_users_and_corrected() -> None:
    generator = np.random.default_rng(0)
    best = generator.random(50)
    shifts = {"far": -0.5, "near": -0.01, "same": -0.002}
    noise = {name: best + s + 0.05 * generator.standard_normal(50) for name, s in shifts.items()}
    rows = summarise(
        [method("best", [best]), *(method(name, [x]) for name, x in noise.items())], ["NDCG@5"]
    )
    found = {row.method: row.p for row in rows}
    assert found.pop("best") is None

    def t_test(difference: np.ndarray) -> float:
        t = difference.mean() / (difference.std(ddof=1) / len(difference) ** 0.5)
        x = torch.tensor(1e6).sqrt()  # two-sided tail of Student's t by brute force
        grid = torch.linspace(abs(t), float(x), 2_000_001, dtype=torch.double)
        n = len(difference) - 1
        density = (
            torch.exp(torch.lgamma(torch.tensor((n + 1) / 2)) - torch.lgamma(torch.tensor(n / 2)))
            / (n * torch.pi) ** 0.5
            * (1 + grid.square() / n) ** (-(n + 1) / 2)
        )
        return 2 * float(torch.trapezoid(density, grid))

    raw = {name: t_test(x - best) for name, x in noise.items()}
    # Holm: the smallest times 3, the next times 2, the last times 1, never falling.
    expected, least = {}, 0.0
    for rank, name in enumerate(sorted(raw, key=lambda n: raw[n])):
        least = max(least, min(1.0, (len(raw) - rank) * raw[name]))
        expected[name] = least
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-9)


def test_yaml_of_the_search_fits_a_row(tmp_path: Path) -> None:
    """What `tune.py` writes are flags: those of a row can be copied from it."""
    flags = yaml.safe_load(SMALL)["rows"][2]["flags"]
    config = tmp_path / "best.yaml"
    config.write_text(yaml.safe_dump({"dataset": "tiny", "epochs": 1, "dim": 8, **flags}))
    common.main(ENCODERS["mf"], ["--config", str(config), "--out", str(tmp_path / "run")])
    assert (tmp_path / "run" / "metrics.json").exists()


def test_of_rates_the_lowest_is_best() -> None:
    metrics = ["false-negative rate", "NDCG@5"]
    rows = [
        Summary(name, 1, {}, mean=dict(zip(metrics, values, strict=True)))
        for name, values in (("a", (0.2, 0.4)), ("b", (0.1, 0.3)))
    ]
    said = to_markdown(rows, metrics)
    assert "| a | 20.00 | **40.00** |" in said
    assert "| b | **10.00** | 30.00 |" in said
