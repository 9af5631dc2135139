"""Cells: what makes two of them the same, and that they are what a run gives."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_table import SMALL, result

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments import Config, cells, protocols, run
from pyg_negsamp.experiments.cells import code_version, digest_of, load_all, plan, run_cell
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


def test_the_digest_covers_every_link_of_three_graphs() -> None:
    dataset = list(SyntheticInteractions("tiny"))
    base = digest_of(dataset)
    assert digest_of(SyntheticInteractions("tiny")) == base
    for graph in dataset:
        edges = graph["user", "interacts", "item"]
        for name in ("edge_index", "edge_label_index"):
            if name in edges:
                whole = edges[name]
                edges[name] = whole[:, 1:]
                assert digest_of(dataset) != base
                edges[name] = whole
        graph["item"].num_nodes += 1
        assert digest_of(dataset) != base
        graph["item"].num_nodes -= 1
    assert digest_of(dataset) == base


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """The version of a package of which one module has some text."""

    def of(module: str, text: str) -> str:
        file = tmp_path / "package" / module
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        code_version.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(cells.pyg_negsamp, "__file__", str(tmp_path / "package" / "__init__.py"))
            found = code_version()
        code_version.cache_clear()
        return found

    return of


def test_comments_and_docstrings_are_no_other_code(version: Callable[[str, str], str]) -> None:
    base = version("a.py", "def f():\n    return 1\n")
    more = '"""Text."""\n\n# comment\ndef f():\n    """More."""\n    return (1)\n'
    assert version("a.py", more) == base
    assert version("a.py", "def f():\n    return 2\n") != base


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("experiments/protocols.py", True),
        ("experiments/data.py", True),
        ("experiments/methods.py", True),
        ("references/ease.py", True),
        ("scoring.py", True),
        ("cli/train.py", False),
        ("testing/contract.py", False),
        ("experiments/tables.py", False),
        ("experiments/significance.py", False),
    ],
)
def test_what_counts_as_code_that_makes_numbers(
    version: Callable[[str, str], str], module: str, counts: bool
) -> None:
    assert (cells.Path(cells.pyg_negsamp.__file__).parent / module).is_file()
    assert (version(module, "x = 1") != version(module, "x = 2")) == counts


# One cell -------------------------------------------------------------------------------------


def test_a_cell_is_what_a_run_gives(tmp_path: Path) -> None:
    for cell in cells_of(table_in(tmp_path)):
        if str(cell) not in ("DNS, clean, seed 0", "popularity, paper, seed 0"):
            continue
        assert run_cell(cell, float("inf"))
        found = cell.found()
        outcome = run(cell.config, None if cell.config.is_reference else tmp_path / "run")
        if not cell.config.is_reference:
            assert 0 <= found["test"].pop("false-negative rate") <= 1
        assert found["test"] == pytest.approx(outcome.test, abs=1e-7)  # sums in another order
        assert found["validation"] == outcome.selected.notes["validation"]
        with np.load(cell.folder / "users.npz") as users:
            assert users["Recall@5"].mean() == pytest.approx(found["test"]["Recall@5"])
        assert not (cell.folder / "checkpoints").exists()


def test_under_the_papers_protocol_test_is_what_selects(tmp_path: Path) -> None:
    (cell,) = (c for c in cells_of(table_in(tmp_path)) if str(c) == "popularity, paper, seed 0")
    run_cell(cell, float("inf"))
    assert cell.found()["validation"] == pytest.approx(cell.found()["test"]["NDCG@5"], abs=1e-7)


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


def test_data_that_change_meanwhile_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cells_of(table_in(tmp_path))[0]
    monkeypatch.setattr(cells, "load_data", lambda config: SyntheticInteractions("tiny", seed=7))
    with pytest.raises(ValueError, match="'dataset' must be as it was when the table was begun"):
        run_cell(cell, float("inf"))
    assert not cell.finished


def test_training_that_diverges_is_a_finished_cell_without_numbers(tmp_path: Path) -> None:
    text = SMALL.replace("{neg: rns}", "{neg: rns, lr: 1.0e30}").replace("[clean, paper]", "clean")
    said: list[str] = []
    done = fill(read_table(table_in(tmp_path, text)), tmp_path / "out", 1, say=said.append)
    assert (done.missing, done.failed) == (0, [])
    assert "failed" in result(tmp_path / "out", "rns-clean-0")
    (line,) = (line for line in said if line.startswith("[2/4] RNS, clean, seed 0: the "))
    assert "embeddings overflowed" in line
    assert "| RNS |  | 10.00 |" in done.text


def test_refit_trains_anew_on_all_of_train_and_survives_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Selected as 'clean', trained on what 'paper' trains on; test has no part in it."""
    more = """
  - {method: CuCo, flags: {neg: cuco, lr: 0.5, epochs: 8}, source: none}
  - {method: EASE, encoder: ease, flags: {}, source: none}
"""
    file = table_in(tmp_path, SMALL.replace("[clean, paper]", "[clean, refit, paper]") + more)
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
    for name in ("rns", "dns", "ours", "cuco"):
        refit, clean = (result(out, f"{name}-{p}-0") for p in ("refit", "clean"))
        assert refit["test"]["NDCG@10"] != clean["test"]["NDCG@10"]
        for selected in ("best_epoch", "validation", "epochs"):
            assert refit[selected] == clean[selected]
    # Alone and uninterrupted, it selects by itself, and finds the same.
    file = table_in(tmp_path, SMALL.replace("[clean, paper]", "[refit]") + more)
    fill(read_table(file), tmp_path / "alone", 1)
    for name in ("rns", "dns", "ours", "cuco"):
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
