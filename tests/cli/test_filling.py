"""Tables of YAML are filled by `pyg-negsamp compare --table`, and `reproduce`, as users do."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from fresh import Python
from small_table import SMALL, result

from pyg_negsamp.cli import main
from pyg_negsamp.experiments import cells, protocols, table_files
from pyg_negsamp.experiments.cells import Cell, load_all, plan
from pyg_negsamp.experiments.table_files import packaged, read_table

#: One protocol is enough where it does not matter which.
CLEAN = SMALL.replace("[clean, paper]", "clean")
FOR_EVER = CLEAN.replace("epochs: 3", "epochs: 1000000, patience: 1000000")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(CLEAN)
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that was filled once, for those who only look."""
    file = tmp_path_factory.mktemp("finished") / "tiny.yaml"
    file.write_text(SMALL)
    run(file)
    return file


def run(file: Path, *flags: str) -> Path:
    out = file.parent / "out"
    words = ["--table", str(file), "--no-references", "--seeds", "1", "--out", str(out)]
    main(["compare", *words, *flags])
    return out


def error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([*words])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    return said


def test_fills_the_table(finished: Path) -> None:
    out = finished.parent / "out"
    text = (out / "table.md").read_text()
    assert "protocol clean (selected on validation links carved from train, test read once)" in text
    assert "protocol paper (trained on all of train and selected on test" in text
    rows = list(csv.DictReader((out / "table.csv").open()))
    assert len(rows) == 2 * 4 * 2
    dns = next(r for r in rows if (r["method"], r["metric"]) == ("DNS", "Recall@5"))
    assert float(dns["mean"]) == result(out, "dns-clean-0")["test"]["Recall@5"]
    assert dns["printed"] == "0.2"
    assert (out / "table.tex").read_text().count(r"\begin{table}") == 2


def test_finished_cells_are_not_computed_again(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished.parent / "out" / "table.md").read_text()
    monkeypatch.setattr(cells, "train_and_test", lambda *_: pytest.fail("trained again"))
    out = run(finished)
    assert (out / "table.md").read_text() == before
    said = capsys.readouterr().out
    assert "8 cells, 8 finished before" in said
    assert before in said


def test_a_sampled_table_shows_full_ranking_too(small: Path) -> None:
    small.write_text(CLEAN.replace("flags: {epochs", "flags: {eval: sampled, epochs"))
    rows = list(csv.DictReader((run(small) / "table.csv").open()))
    found = {(row["method"], row["metric"]): row for row in rows}
    assert found["RNS", "sampled Recall@5"]["printed"] == "0.1"
    assert found["RNS", "Recall@5"]["printed"] == ""
    # Fewer items to compete with: here 80 in all, so that none is left out, and both agree.
    sampled = float(found["RNS", "sampled Recall@5"]["mean"])
    assert sampled == pytest.approx(float(found["RNS", "Recall@5"]["mean"]), abs=1e-7)


def test_where_no_row_is_of_a_paper_validation_comes_first(small: Path) -> None:
    import yaml

    said = yaml.safe_load(CLEAN)
    said["rows"] = [{**row, "flags": dict(row["flags"])} for row in said["rows"][:2]]
    said["rows"][1].pop("printed")
    small.write_text(yaml.safe_dump(said))
    out = run(small)
    assert "| method | validation NDCG@5 | Recall@5 |" in (out / "table.md").read_text()
    rows = list(csv.DictReader((out / "table.csv").open()))
    for name in ("popularity", "RNS"):
        found = result(out, f"{name.lower()}-clean-0")
        own = {row["metric"]: row for row in rows if row["method"] == name}
        assert float(own["validation NDCG@5"]["mean"]) == found["validation"]
        assert float(own["NDCG@5"]["mean"]) == found["test"]["NDCG@5"]


def test_a_killed_run_goes_on_where_it_was(
    small: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = (finished.parent / "out" / "table.csv").read_text()
    fit, calls = protocols.fit, []

    def stop_half_way(*args: object, **options: object) -> object:
        calls.append(options["resume"])
        if len(calls) == 2:  # a row of two epochs, then the power goes
            fit(*args, **{**options, "epochs": 2})
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(protocols, "fit", stop_half_way)
    with pytest.raises(SystemExit) as stopped:
        run(small)
    assert stopped.value.code == 130
    said = capsys.readouterr().err
    assert said == "\npyg-negsamp compare: interrupted; the same command goes on\n"
    out = run(small)
    assert calls == [False, False, True, False]
    ours = list(csv.reader((out / "table.csv").open()))
    theirs = list(csv.reader(expected.splitlines()))[: len(ours)]
    assert [row[:7] for row in ours] == [row[:7] for row in theirs]  # all but the seconds


def test_a_cell_that_fails_stops_no_other_and_is_tried_again(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_test = cells.train_and_test

    def fail_once(cell: Cell) -> None:
        if cell.row.name == "RNS":
            raise OSError("no space left on device")
        train_and_test(cell)

    monkeypatch.setattr(cells, "train_and_test", fail_once)
    with pytest.raises(SystemExit) as stopped:
        run(small)
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.err.endswith(": error: no space left on device\n")
    assert "[2/4] RNS, clean, seed 0: OSError: no space left on device" in said.out
    assert "[4/4]" in said.out
    assert "1 cell is missing" in said.out
    monkeypatch.setattr(cells, "train_and_test", train_and_test)
    run(small)
    assert "[4/4] RNS, clean" in capsys.readouterr().out


def test_budget(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(small, "--budget", "0s")
    said = capsys.readouterr().out
    assert said.index("4 cells are missing, or with another process") < said.index("| method |")
    assert not (out / "cells").exists()


@pytest.mark.usefixtures("forked_workers")
def test_several_jobs_of_which_one_fails(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = small.parent / "out"
    table = read_table(small)
    cell = plan(table, load_all(table), out, 1)[1]
    (cell.folder / "users.npz").mkdir(parents=True)  # where a file is to be written
    with pytest.raises(SystemExit) as stopped:
        run(small, "--jobs", "2")
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.err.count("\n") == 1, said.err
    assert "RNS, clean, seed 0: IsADirectoryError" in said.out
    assert "[4/4]" in said.out
    assert "| DNS |" in said.out
    assert len(list((out / "cells").glob("*/metrics.json"))) == 3


def both_train(out: Path) -> bool:
    """Popularity is finished at once; then two others train, for ever."""
    return len(list(out.glob("cells/*/checkpoints/last.ckpt"))) >= 2


def finished_in(out: Path) -> list[str]:
    return [file.parent.name[:10] for file in out.glob("cells/*/metrics.json")]


#: The command, whose workers are forks of it: those need not import torch.
FORKING = """
import multiprocessing, sys
from pyg_negsamp.cli import main
fork = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda how: fork
main(sys.argv[1:])
"""


def test_workers_end_with_the_parent(small: Path) -> None:
    """Though it was killed, and had no time to say so."""
    out = small.parent / "out"
    small.write_text(FOR_EVER)
    words = ["compare", "--table", str(small), "--no-references", "--jobs", "2", "--out", str(out)]
    parent = Python("-c", FORKING, *words)
    children: list[psutil.Process] = []
    try:
        while not both_train(out):
            assert parent.process.is_alive(), parent.wait()
            time.sleep(0.1)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.process.kill()
        assert psutil.wait_procs(children, timeout=60)[1] == []
    finally:
        parent.process.kill()
        for process in children:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert parent.wait().returncode == -signal.SIGKILL
    assert finished_in(out) == ["popularity"]


@pytest.mark.usefixtures("forked_workers")
def test_ctrl_c_ends_the_workers(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = small.parent / "out"
    small.write_text(FOR_EVER)
    over, left = threading.Event(), []

    def press() -> None:
        while not both_train(out) and not over.wait(0.1):
            pass
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)
        if not over.wait(60):  # rather than for ever
            left.extend(multiprocessing.active_children())
            for process in left:
                process.kill()

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with pytest.raises(SystemExit) as stopped:
            run(small, "--jobs", "2")
        assert left + multiprocessing.active_children() == []
    finally:
        over.set()
        pressing.join()
    assert stopped.value.code == 130
    said = capsys.readouterr().err
    assert said == "\npyg-negsamp compare: interrupted; the same command goes on\n"
    assert finished_in(out) == ["popularity"]


def test_refuses_in_one_line(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("compare", "--table", str(small))
    assert "No such file" in error(capsys, "compare", "--table", "nothing.yaml")
    assert "--seeds must be at least 1" in error(capsys, *words, "--seeds", "0")
    assert "--jobs must be at least 1" in error(capsys, *words, "--jobs", "0")
    assert "a time like" in error(capsys, *words, "--budget", "soon")
    small.write_text(CLEAN.replace("{neg: rns}", "{neg: rns, beta: 1}"))
    out = small.parent / "out"
    said = error(capsys, *words, "--out", str(out))
    assert f"{small}, row 2: Config: 'beta' must be left out" in said
    assert not out.exists()
    small.write_text(SMALL + "  - {method: [")
    assert f'in "{small}"' in error(capsys, *words)


# The tables that ship with the package


def test_lists_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    main(["reproduce", "--list"])
    assert capsys.readouterr().out.split() == packaged()


def test_a_table_by_name_reads_data_from_the_root(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folders = ("--root", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    said = error(capsys, "reproduce", "ahns/amazon-phones", *folders)
    assert str(tmp_path / "none") in said
    assert not (tmp_path / "out").exists()


def test_a_table_by_name_is_filled(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table_files, "PAPERS", small.parent)
    (small.parent / "own").mkdir()
    small.rename(small.parent / "own" / "tiny.yaml")
    out = str(small.parent / "out")
    main(["reproduce", "own/tiny", "--root", "nowhere", "--budget", "0s", "--out", out])
    assert "ahns, table 2, tiny, protocol clean" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_steps_are_recorded_on_a_gpu_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = error(capsys, "reproduce", "ahns/amazon-phones", "--cuda-graph", "--out", str(out))
    assert "'cuda_graph' must be False, as the run is not on CUDA" in said
    assert not out.exists()


def test_reproduce_takes_names_only(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "which table? --list names all" in error(capsys, "reproduce")
    said = error(capsys, "reproduce", "ahns/amazon-phone")
    assert "'TABLE' must be one of those that --list shows; did you mean 'ahns/amazon" in said
    said = error(capsys, "reproduce", str(small))
    assert "a file of your own is for compare --table" in said
