"""The whole journey, from the wheel, outside the repository: file, model, answers, table.

What a new user has is a wheel and a file of purchases. Nothing here may come from the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from fresh import Python

COLUMNS = ["--dataset", "purchases.csv", "--user-column", "customer", "--item-column", "sku"]
FAST = ["--encoder", "mf", "--epochs", "3", "--dim", "16", "--device", "cpu"]


class Desk:
    """A folder with a file of purchases, and the installed command."""

    def __init__(self, folder: Path, site: Path) -> None:
        # First on the path: an editable installation of the checkout comes after it.
        self.folder, self.site = folder, site
        (folder / "purchases.csv").write_bytes((ROOT / "datasets/toy/purchases.csv").read_bytes())

    def command(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs `pyg-negsamp` in the folder."""
        done = self.python("-m", "pyg_negsamp", *words)
        assert done.returncode == code, done.stderr
        return done

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs Python in the folder."""
        return Python(*words, folder=self.folder, first=self.site).wait()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Builds the wheel and unpacks it as pip does."""
    folder = tmp_path_factory.mktemp("journey")
    # A copy, so that building leaves nothing in the checkout, nor takes anything stale from it.
    source = folder / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "pyg_negsamp", source / "pyg_negsamp", ignore=ignore)
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    install = ["install", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    (folder / "work").mkdir()
    return Desk(folder / "work", site)


def test_the_wheel_stands_by_itself(desk: Desk) -> None:
    assert desk.command("--version").stdout.startswith("pyg-negsamp ")
    code = "import pyg_negsamp; print(pyg_negsamp.__file__)"
    done = desk.python("-c", code)
    assert done.stdout.startswith(str(desk.site))
    # As in a process that shares nothing with any other.
    environment = {**os.environ, "PYTHONPATH": str(desk.site)}
    alone = [sys.executable, "-c", code]
    assert (
        subprocess.check_output(alone, cwd=desk.folder, env=environment, text=True) == done.stdout
    )
    assert list(desk.site.glob("pyg_negsamp/experiments/papers/*/*.yaml"))
    assert (desk.site / "pyg_negsamp/experiments/printed.csv").is_file()
    (script,) = desk.site.glob("*.dist-info/entry_points.txt")
    assert "pyg-negsamp = pyg_negsamp.cli:main" in script.read_text()


def test_from_a_file_to_answers(desk: Desk) -> None:
    said = desk.command("data", "describe", *COLUMNS).stdout
    assert "4,202" in said

    said = desk.command("train", *COLUMNS, *FAST, "--neg", "dns", "--out", "run").stdout
    assert "mf + dns" in said
    assert "the model tested is saved in run/model" in said

    # In a second process, and without the data.
    (desk.folder / "purchases.csv").rename(desk.folder / "away.csv")
    done = desk.command("recommend", "run", "--users", "c017", "c042", "--top-k", "5")
    lines = done.stdout.splitlines()
    assert lines[0] == "user,item,score,rank"
    assert [line.split(",")[0] for line in lines[1:]] == ["c017"] * 5 + ["c042"] * 5
    bought = pd.read_csv(desk.folder / "away.csv")
    for user, item, *_ in (line.split(",") for line in lines[1:]):
        assert not ((bought.customer == user) & (bought.sku == item)).any()
    desk.command("recommend", "run", "--to", "all.parquet", "--top-k", "3")
    assert len(pd.read_parquet(desk.folder / "all.parquet")) == 3 * 300

    assert len(desk.command("similar", "run", "--items", "sku009").stdout.splitlines()) == 11
    assert "NDCG@7" in desk.command("evaluate", "run", "--top-k", "7").stdout
    desk.command("export", "run", "--format", "parquet", "--to", "vectors")
    assert (
        len(pd.read_parquet(next((desk.folder / "vectors").glob("items*")))) == bought.sku.nunique()
    )
    done = desk.python(
        "-c",
        "from pyg_negsamp import TrainedModel as T; print(T.load('run').recommend(['c017'], k=5))",
    )
    assert lines[1].split(",")[1] in done.stdout
    (desk.folder / "away.csv").rename(desk.folder / "purchases.csv")


def test_samplers_compared(desk: Desk) -> None:
    flags = ["--neg", "rns", "dns", "--seeds", "2", "--out", "table"]
    said = desk.command("compare", *COLUMNS, *FAST, *flags).stdout
    for name in ("rns", "dns", "popularity", "item-knn", "ease"):
        assert name.lower() in said.lower()
    for suffix in ("csv", "md", "tex"):
        assert (desk.folder / "table" / f"table.{suffix}").stat().st_size
    assert "the report is in table/report.html" in said, "the wheel has no template"
    assert "dns" in (desk.folder / "table" / "report.html").read_text()


@pytest.mark.parametrize(
    "words",
    [
        "train --dataset nothing.csv",
        "train --dataset purchases.csv",  # has no column 'user'
        "recommend nowhere",
        "similar nowhere --items a",
        "evaluate nowhere",
        "export nowhere --format npy --to x",
        "compare --neg nothing",
        "reproduce nothing",
        "data describe --dataset nothing.csv",
        "tune --neg nothing",
        "nothing",
    ],
)
def test_wrong_input_is_one_line(desk: Desk, words: str) -> None:
    done = desk.command(*words.split(), code=2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
