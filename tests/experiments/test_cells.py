"""Cells: what makes two of them the same, and that they are what a run gives."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_table import SMALL, result

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments import Config, cells, protocols, run
from pyg_negsamp.experiments.cells import load_all, plan, run_cell
from pyg_negsamp.experiments.comparison import product
from pyg_negsamp.experiments.data import known_in, load_data
from pyg_negsamp.experiments.filling import fill
from pyg_negsamp.experiments.methods import make_recommender
from pyg_negsamp.experiments.table_files import read_table
from pyg_negsamp.files import taken
from pyg_negsamp.training import fit


def table_in(folder: Path, text: str = SMALL) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(text)
    return file


def cells_of(file: Path, seeds: int = 1) -> list[cells.Cell]:
    table = read_table(file)
    return plan(table, load_all(table), file.parent / "out", seeds)


# What a cell is -------------------------------------------------------------------------------


def test_cells_come_seed_by_seed_and_references_once(tmp_path: Path) -> None:
    found = cells_of(table_in(tmp_path), seeds=2)
    assert len(found) == 2 * 4 + 2 * 3
    assert [cell.seed for cell in found] == 8 * [0] + 6 * [1]
    assert len({cell.folder for cell in found}) == len(found)


def test_other_flags_or_other_code_are_another_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(text: str = SMALL) -> set[str]:
        return {cell.folder.name for cell in cells_of(table_in(tmp_path, text))}

    base = names()
    assert names() == base
    assert len(base) == 8
    # Where it lies and computes says nothing of the numbers.
    assert names(SMALL.replace("device: cpu", "device: auto")) == base
    # Nor does what is noticed meanwhile.
    assert names(SMALL.replace("epochs: 3", "epochs: 3, diagnostics: all")) == base
    assert len(names(SMALL.replace("num-candidates: 4", "num-candidates: 5")) & base) == 6
    # References have no epochs.
    assert len(names(SMALL.replace("epochs: 3", "epochs: 4")) & base) == 2
    monkeypatch.setattr(cells, "code_version", lambda: "another")
    assert not names() & base


def test_a_given_argument_is_another_cell_than_one_that_is_searched(tmp_path: Path) -> None:
    def name(**given: object) -> str:
        table = product({"dataset": "tiny", "encoder": "item-knn", **given}, references=False)
        return plan(table, load_all(table), tmp_path, 1)[0].folder.name

    assert len({name(), name(encoder_k=100), name(encoder_k=100, encoder_shrink=0)}) == 3


def test_other_data_are_another_cell(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    lines = [f"u{user},i{(user * 7 + n) % 30}" for user in range(20) for n in range(10)]

    def names(lines: list[str]) -> list[str]:
        log.write_text("\n".join(["user,item", *lines]) + "\n")
        table = product({"dataset": str(log), "neg": "rns"})
        return [cell.folder.name for cell in plan(table, load_all(table), tmp_path, 1)]

    base = names(lines)
    assert names(lines) == base
    assert not {*names(lines[:-1])} & {*base}


def test_a_cell_goes_with_the_model_that_it_starts_from_wherever_that_lies(tmp_path: Path) -> None:
    said = {"dataset": "tiny", "encoder": "mf", "dim": 4, "epochs": 1}
    for seed in range(2):
        run(Config.of(**said, seed=seed), tmp_path / f"run{seed}")
    shutil.copytree(tmp_path / "run0", tmp_path / "copy")

    def cell(start: str) -> cells.Cell:
        table = product({**said, "warm_start": str(tmp_path / start)}, references=False)
        return plan(table, load_all(table), tmp_path, 1)[0]

    begun = cell("run0")
    assert begun.folder == cell("copy").folder
    assert begun.folder != cell("run1").folder
    shutil.rmtree(tmp_path / "run0")
    (tmp_path / "run1").rename(tmp_path / "run0")
    with pytest.raises(ValueError, match="'dataset, warm_start' must be what they were"):
        run_cell(begun, float("inf"))
    assert not begun.finished


# One cell -------------------------------------------------------------------------------------


def test_a_cell_is_what_a_run_gives(tmp_path: Path) -> None:
    for cell in cells_of(table_in(tmp_path)):
        if str(cell) not in ("DNS, clean, seed 0", "popularity, paper, seed 0"):
            continue
        assert run_cell(cell, float("inf"))
        found = cell.found()
        out = tmp_path / cell.row.name
        outcome = run(cell.config, out)
        if not cell.config.is_reference:
            assert 0 <= found["test"].pop("false-negative rate") <= 1
        assert found["test"] == pytest.approx(outcome.test, abs=1e-7)  # sums in another order
        by = protocols.selecting(cell.protocol)
        assert found[by] == outcome.selected.notes[by]
        assert cell.users()["Recall@5"].mean() == pytest.approx(found["test"]["Recall@5"])
        assert cell.hits().keys() == {"link", "hit@5"}
        for name, mine in (("users.npz", cell.users()), ("hits.npz", cell.hits())):
            theirs = cells.read_arrays(out / name)
            assert mine.keys() == theirs.keys()
            for array in mine:
                np.testing.assert_allclose(mine[array], theirs[array], atol=1e-7)
        theirs = json.loads((out / "metrics.json").read_text())
        assert theirs.keys() - found.keys() == {"protocol", "report"}
        assert found["machine"] == theirs["machine"]
        assert found["popularity"] == pytest.approx(theirs["popularity"])
        for one, other in zip(found["groups"], theirs["groups"], strict=True):
            assert one.pop("metrics") == pytest.approx(other.pop("metrics"), abs=1e-7)
            assert one == other
        assert len(found["history"]) == found.get("epochs", 0)
        for one, other in zip(found["history"], theirs["history"], strict=True):
            assert one["loss"] == other["loss"]
            assert one.keys() == other.keys()
        assert not (cell.folder / "checkpoints").exists()


def test_under_the_papers_protocol_test_is_what_selects(tmp_path: Path) -> None:
    (cell,) = (c for c in cells_of(table_in(tmp_path)) if str(c) == "popularity, paper, seed 0")
    run_cell(cell, float("inf"))
    found = cell.found()
    assert found["selected on test"] == pytest.approx(found["test"]["NDCG@5"], abs=1e-7)
    assert "validation" not in found


def test_a_reference_says_which_arguments_were_chosen(tmp_path: Path) -> None:
    table = product({"dataset": "tiny", "encoder": "item-knn", "encoder_k": 7}, references=False)
    (cell,) = plan(table, load_all(table), tmp_path, 3)
    run_cell(cell, float("inf"))
    chosen = cell.found()["chosen"]
    assert list(chosen) == ["shrink"]
    config = Config.of(dataset="tiny", encoder="item-knn", encoder_k=7, **{
        f"encoder_{name}": value for name, value in chosen.items()
    })  # fmt: skip
    assert cell.found()["test"] == pytest.approx(run(config, None).test, abs=1e-7)


def test_the_seconds_of_a_reference_are_those_of_making_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a trained row are of training: reading the data takes all as long."""

    def slowly(config: Config) -> object:
        time.sleep(0.5)
        return load_data(config)

    monkeypatch.setattr(cells, "load_data", slowly)
    cell = cells_of(table_in(tmp_path))[0]
    run_cell(cell, float("inf"))
    assert cell.row.name == "popularity"
    assert 0 < cell.found()["seconds"] < 0.5


def test_data_that_change_meanwhile_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cells_of(table_in(tmp_path))[0]
    monkeypatch.setattr(cells, "load_data", lambda config: SyntheticInteractions("tiny", seed=7))
    with pytest.raises(ValueError, match="'dataset, warm_start' must be what they were"):
        run_cell(cell, float("inf"))
    assert not cell.finished


def test_training_that_diverges_is_a_finished_cell_without_numbers(tmp_path: Path) -> None:
    text = SMALL.replace("{neg: rns}", "{neg: rns, lr: 1.0e30}").replace("[clean, paper]", "clean")
    said: list[str] = []
    done = fill(read_table(table_in(tmp_path, text)), tmp_path / "out", 1, say=said.append)
    assert (done.missing, done.failed) == (0, [])
    assert "failed" in result(tmp_path / "out", "rns-clean-0")
    (line,) = (line for line in said if line.startswith("[2/4] RNS, clean, seed 0: the "))
    assert "scores overflowed" in line
    assert "| RNS |  | 10.00 |" in done.text
    assert "RNS: 1 of 1 seeds diverged." in done.text
    assert "RNS: 1 of 1 seeds diverged." in (tmp_path / "out" / "table.tex").read_text()


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("metrics.json", lambda data: data[:40]),
        ("metrics.json", lambda data: b""),
        ("metrics.json", lambda data: b"[1]"),
        ("metrics.json", lambda data: data.replace(b'"seconds"', b'"minutes"')),
        ("metrics.json", lambda data: data.replace(b'"NDCG@20"', b'"NDCG@21"')),
        ("users.npz", lambda data: data[:-30]),
        ("users.npz", lambda data: b""),
        ("users.npz", None),
        ("hits.npz", lambda data: data[:-30]),
        ("hits.npz", None),
        ("metrics.json", lambda data: data.replace(b'"groups"', b'"group"')),
    ],
)
def test_a_damaged_cell_is_named_and_run_again(
    tmp_path: Path, name: str, damaged: Callable[[bytes], bytes] | None
) -> None:
    table = product({"dataset": "tiny", "encoder": "popularity"}, references=False)
    base = fill(table, tmp_path).text
    (folder,) = (tmp_path / "cells").iterdir()
    file = folder / name
    if damaged is None:
        file.unlink()
    else:
        file.write_bytes(damaged(file.read_bytes()))
    said: list[str] = []
    assert fill(table, tmp_path, say=said.append).text == base
    expected = f"popularity, clean, seed 0: not finished after all, the files in {folder} are"
    assert said[0].startswith(expected)
    assert "0 finished before" in said[1]


def test_refit_selects_by_itself_where_the_clean_cell_is_damaged(tmp_path: Path) -> None:
    file = table_in(tmp_path, SMALL.replace("[clean, paper]", "refit"))
    (cell,) = (cell for cell in cells_of(file) if cell.row.name == "RNS")
    assert cell.clean is not None
    cell.clean.mkdir(parents=True)
    (cell.clean / "metrics.json").write_text('{"best_')
    assert run_cell(cell, float("inf"))
    assert cell.found()["best_epoch"] >= 1


def test_refit_trains_anew_on_all_of_train_and_survives_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Selected as 'clean', trained on what 'paper' trains on; test has no part in it."""
    more = """
  - {method: CuCo, flags: {neg: cuco, lr: 0.5, epochs: 8}, source: none}
  - {method: EASE, encoder: ease, flags: {}, source: none}
"""
    few = "\n".join(line for line in SMALL.splitlines() if "neg: d" not in line) + more
    file = table_in(tmp_path, few.replace("[clean, paper]", "[clean, refit, paper]"))
    out, fits = tmp_path / "out", []

    def stop_before_the_end(*args: object, **options: int) -> object:
        if args[2] is not None:
            return fit(*args, **options)
        fit(*args, **{**options, "epochs": 1})  # that of refit
        raise KeyboardInterrupt

    monkeypatch.setattr(protocols, "fit", stop_before_the_end)
    with pytest.raises(KeyboardInterrupt):
        fill(read_table(file), out, 1)
    monkeypatch.setattr(
        protocols, "fit", lambda *a, **o: fits.append((a[2] is None, a[3].name)) or fit(*a, **o)
    )
    text = fill(read_table(file), out, 1).text
    # What 'clean' has selected is not selected again.
    assert {name.rsplit("-", 3)[1] for anew, name in fits if not anew} == {"paper"}
    assert "then trained anew on all of train" in text
    for name in ("ease", "popularity"):
        refit, clean, paper = (result(out, f"{name}-{p}-0") for p in ("refit", "clean", "paper"))
        assert refit["test"] == paper["test"]
        assert refit["validation"] == clean["validation"]
    for name in ("rns", "cuco"):
        refit, clean = (result(out, f"{name}-{p}-0") for p in ("refit", "clean"))
        assert refit["test"]["NDCG@10"] != clean["test"]["NDCG@10"]
        for selected in ("best_epoch", "validation", "epochs", "history"):
            assert refit[selected] == clean[selected]
    # Alone and uninterrupted, it selects by itself, and finds the same.
    file = table_in(tmp_path, few.replace("[clean, paper]", "[refit]"))
    fill(read_table(file), tmp_path / "alone", 1)
    for name in ("rns", "cuco"):
        alone = result(tmp_path / "alone", f"{name}-refit-0")
        assert alone["test"] == result(out, f"{name}-refit-0")["test"]
    # As a run does, and as `fit` does with the schedule of the whole run.
    config = next(r for r in read_table(file).rows if r.name == "CuCo").config
    outcome = run(config, tmp_path / "run")
    whole = result(out, "cuco-refit-0")
    assert 0 <= whole["test"].pop("false-negative rate") <= 1
    assert whole["test"] == pytest.approx(outcome.test, abs=1e-7)
    best = whole["best_epoch"]
    assert best == outcome.selected.notes["best_epoch"] < 8
    known = known_in(load_data(config)[2])
    model = make_recommender(config, known)
    fit(model, known, None, tmp_path / "by hand", best, planned=8)
    last = tmp_path / "run" / "refit" / "checkpoints" / "last.ckpt"
    kept = torch.load(last, weights_only=True)
    assert all(torch.equal(x, kept["state_dict"][name]) for name, x in model.state_dict().items())


def test_a_cell_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    with taken(cell) as ours:
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
    with taken(cell) as ours:
        assert not ours
    other.kill()
    other.wait()
    with taken(cell) as ours:
        assert ours


def test_a_cell_of_another_process_is_left_to_it(tmp_path: Path) -> None:
    cell = cells_of(table_in(tmp_path))[0]
    cell.folder.mkdir(parents=True)
    with (cell.folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not run_cell(cell, float("inf"))
    assert not cell.finished
    assert run_cell(cell, float("inf"))
    assert json.loads((cell.folder / "metrics.json").read_text()) == cell.found()
