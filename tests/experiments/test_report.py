"""Pages of comparisons and of runs, from what is on disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from watched_runs import watch

from pyg_negsamp.cli import main
from pyg_negsamp.cli.report import FORMATS as FORMATS_OF_COMMAND
from pyg_negsamp.experiments import Config, report
from pyg_negsamp.experiments.comparison import Comparison, Row, product
from pyg_negsamp.experiments.filling import fill
from pyg_negsamp.experiments.record import read_record
from pyg_negsamp.experiments.report import FORMATS, words, write_report
from pyg_negsamp.experiments.report.groups import GroupOf
from pyg_negsamp.experiments.report.overlap import missed
from pyg_negsamp.experiments.report.page import Table
from pyg_negsamp.experiments.report.pages import page_of
from pyg_negsamp.experiments.report.reading import Found, Shown, names_of, read
from pyg_negsamp.experiments.report.setup import configuration
from pyg_negsamp.experiments.report.styles import style_of
from pyg_negsamp.experiments.run import run

QUICK = {"dataset": "tiny", "encoder": "mf", "dim": 8, "epochs": 2, "device": "cpu"}
ODD = "<b>& $x$"
HARD = {ODD: 0.0, "dns": 0.6, "popularity": 0.1}
PARTS = [
    "accuracy", "beyond", "learning", "hardness", "false-negatives", "popularity", "over-fitting",
    "signals", "groups", "per", "sweep", "cost", "configuration", "commands",
]  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison with all that newer cells have, and a row of a name that is markup."""
    out = tmp_path_factory.mktemp("report") / "table"
    rows = [
        Row(ODD, {**QUICK, "neg": "rns"}),
        Row("dns", {**QUICK, "neg": "dns"}),
        Row("popularity", {"dataset": "tiny", "encoder": "popularity"}),
    ]
    comparison = Comparison("tiny", "tiny <data>", tuple(rows), ("clean",), ODD)
    fill(comparison, out, seeds=2, command="pyg-negsamp compare --dataset tiny")
    for cell in read_record(out).cells:
        watch(cell.folder, HARD[cell.row.name], cell.seed, not cell.config.is_reference)
    return out


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as `train` leaves it."""
    out = tmp_path_factory.mktemp("report") / "run"
    run(Config.of(**QUICK, neg="dns"), out)
    return out


@pytest.fixture(scope="module")
def page(table: Path) -> str:
    return write_report([table]).read_text()


class Tree(HTMLParser):
    """Keeps what a page has, and fails where an element is closed that is not open.

    Attributes:
        ids: All of them.
        addresses: Whatever an attribute names to be fetched or jumped to.
        texts: By element, the text that stands directly in it.
    """

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.roles: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        names = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
        self.addresses += [given[name] or "" for name in names if name in given]
        for value in given.values():
            self.addresses += re.findall(r"url\(([^)]*)\)", value or "")
        self.roles += [given] if given.get("role") == "img" else []
        assert not [name for name in given if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data.strip()))


def test_a_page_is_whole_and_fetches_nothing(page: str) -> None:
    tree = Tree(page)
    assert len(tree.ids) == len(set(tree.ids)), "two pictures share an id"
    assert tree.addresses, "there are clip paths at least"
    for address in tree.addresses:
        assert address.startswith("#"), address
        assert address[1:] in tree.ids, f"{address} leads nowhere"
    assert not re.search(r"@import|@font-face|<script|<link|<iframe|<object|url\(['\"]?(?!#)", page)
    # The names of XML languages are no addresses; there is no other http.
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_page_has_all_parts_methods_and_metrics(page: str) -> None:
    tree = Tree(page)
    assert [name for name in PARTS if name not in tree.ids] == ["sweep"]
    assert "Against one hyper-parameter: no two rows differ in one number only" in page
    cells = [text for tag, text in tree.texts if tag in ("th", "td")]
    for name in (ODD, "dns", "popularity", "Recall@20", "NDCG@50", "Coverage@20, %"):
        assert name in cells
    labels = {text for tag, text in tree.texts if tag == "text"}
    assert {ODD, "dns", "epoch", "NDCG@20 on validation, percent", "tail"} <= labels
    assert all(label["aria-label"] for label in tree.roles)
    assert (
        len(tree.roles) == page.count("<svg") == page.count("<figcaption>") - page.count("<table")
    )
    for tag in ("figcaption", "h2", "pre"):
        assert all(text for name, text in tree.texts if name == tag)
    assert "pyg-negsamp compare --dataset tiny" in page
    assert "pyg-negsamp train --dataset tiny --encoder mf --neg dns" in page


def test_a_reference_has_the_settings_that_it_chose(tmp_path: Path) -> None:
    rows = (Row("knn", {"dataset": "tiny", "encoder": "item-knn", "encoder_shrink": 3.0}),)
    comparison = Comparison("tiny", "tiny", rows, ("clean", "paper"), "knn")
    fill(comparison, tmp_path, seeds=1)
    for cell, k in zip(read_record(tmp_path).cells, (20, 200), strict=True):
        assert cell.found()["chosen"].keys() == {"k"}
        file = cell.folder / "metrics.json"
        file.write_text(json.dumps(cell.found() | {"chosen": {"k": k}}))
    fields = dict(configuration(found := read([tmp_path]))[0])
    assert fields["encoder k"] == "20 (clean) or 200 (paper)"
    assert fields["encoder shrink"] == "3"
    (found.cells[1].folder / "metrics.json").unlink()
    assert dict(configuration(read([tmp_path]))[0])["encoder k"] == "20"


def test_names_are_text_and_never_markup(page: str) -> None:
    assert "<b>" not in page
    assert "tiny &lt;data&gt;" in page
    assert "&lt;b&gt;&amp; $x$" in page


def test_an_answer_in_words_is_made_from_the_numbers(table: Path) -> None:
    found = read([table])
    said = " ".join(page_of(found).answer).replace("\u00a0", " ")
    rows = {row.name: row for row in found.summaries}
    best = max((ODD, "dns"), key=lambda name: rows[name].mean["NDCG@20"])
    assert said.startswith(f"{best} ranks best of the trained rows: NDCG@20 ")
    assert f"{100 * rows[best].mean['NDCG@20']:.2f} %" in said
    assert "Not trained, and significantly better: popularity" in said
    assert re.search(r"times that of .*\. The process held .* MB .*, torch and data included", said)
    assert re.search(r"points\) and (gains least|loses most) for", said), "who gains"
    assert re.search(rf"{re.escape(best)} (does not over-fit|hardly over-fits|over-fits)", said)
    assert "are links held out for validation" in said
    assert "Below popularity" in said


def shown(runs: Sequence[dict[str, Any]], **fields: Any) -> Shown:
    """A trained row with made-up runs."""
    return Shown(Row("x", {**QUICK, **fields}), style_of(0), runs, [])


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ([[0.1, 0.2], [0.1, 0.3]], "does not over-fit yet: V is highest at epoch 2 of 2."),
        (
            [[0.3, 0.2999], [0.1, 0.3]],
            "does not over-fit yet: V is highest at epochs 1 and 2 of 2.",
        ),
        ([[0.3, 0.2999]], "hardly over-fits: V peaks at epoch 1 of 2 and loses next to nothing"),
        ([[0.3, 0.297]], "hardly over-fits: V peaks at epoch 1 of 2 and loses 1.0 % until the end"),
        ([[0.2, 0.1]], "over-fits: V peaks at epoch 1 of 2 and loses 50.0 % until the end; the"),
        ([[0.2, 0.1], [0.1, 0.2]], "over-fits, though not with every seed: V peaks at"),
    ],
)
def test_words_on_over_fitting_agree_with_the_best_epochs(
    table: Path, curves: list[list[float]], said: str
) -> None:
    runs = [
        {
            "history": [{"epoch": n, "val/NDCG@20": x} for n, x in enumerate(curve)],
            "best_epoch": 1 + curve.index(max(curve)),
            "epochs": 2,
        }
        for curve in curves
    ]
    answer = words.over_fits(read([table]), shown(runs)).replace("\u00a0", " ")
    assert f"x {said}" in answer.replace("validation NDCG@20", "V")


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.02, 0.01), "gains most for a items (+2.00 points) and gains least for b items (+1.00)"),
        ((0.02, -0.01), "gains most for a items (+2.00 points) and loses most for b items (-1.00)"),
        (
            (-0.01, -0.02),
            "loses least for a items (-1.00 points) and loses most for b items (-2.00)",
        ),
        (
            (0.02, -1e-6),
            "gains most for a items (+2.00 points) and gains least for b items (+0.00)",
        ),
    ],
)
def test_who_has_less_loses(
    table: Path, monkeypatch: pytest.MonkeyPatch, gains: tuple[float, float], said: str
) -> None:
    found = read([table])
    other, best = found.trained
    groups = [
        GroupOf("items", name, "1-2", {best.name: 0.5 + gain, other.name: 0.5})
        for name, gain in zip("ab", gains, strict=True)
    ]
    monkeypatch.setattr(words, "groups_of", lambda found: groups)
    assert words.for_whom(found, best, other) == f"Against {other.name} it {said}."


def test_which_row_validation_takes_and_which_tests_a_p_is_of(table: Path) -> None:
    found = read([table])
    by = {row.name: row.mean["validation NDCG@20"] for row in found.summaries}
    first, second = sorted(found.trained, key=lambda method: -by[method.name])
    assert words.chosen_otherwise(found, first) == ""
    said = words.chosen_otherwise(found, second)
    assert said.endswith(f"takes {first.name} of the trained rows.")
    against = {
        name: " ".join(
            page_of(replace(found, comparison=found.comparison.tested_against(name))).answer
        )
        for name in (ODD, "dns")
    }
    best = next(name for name, said in against.items() if said.startswith(f"{name} ranks best"))
    assert " of the table; the others " not in against.pop(best)
    (said,) = against.values()
    assert f"the others are of paired tests of {best} against every other row" in said


@pytest.mark.parametrize(
    ("share", "draws", "said"),
    [
        (0.0048, 512, ", about as many as a draw at random hits (0.15 %)"),
        (0.0048, 64 * 512, ", 3.2 times what a draw at random hits (0.15 %)"),
        (0.0, 64 * 512, ", 0.0 times what a draw at random hits (0.15 %)"),
        (0.0, 0, ", about as many as"),
        (0.0048, None, "; a draw at random hits (0.15 %)"),
    ],
)
def test_more_false_negatives_than_chance_are_said_if_they_are(
    share: float, draws: int | None, said: str
) -> None:
    epoch = {"epoch": 0, "false-negatives/chosen": share, "false-negatives/expected": 0.0015}
    if draws is not None:
        of = {"chosen": draws, "expected": 8192}
        epoch |= {f"false-negatives/{name}-draws": number for name, number in of.items()}
    answer = words.are_false(shown([{"history": [epoch], "best_epoch": 1}])).replace("\u00a0", " ")
    assert f"are links held out for validation{said}" in answer


def test_the_same_runs_give_the_same_bytes(
    table: Path, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures of other formats are drawn as those of 'html'."""
    assert tuple(FORMATS) == FORMATS_OF_COMMAND
    outs = []
    for name in "ab":
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        outs.append(write_report([table], "latex", Path("page.tex")).read_bytes())
    assert outs[0] == outs[1]
    assert write_report([table]).read_text() == page


def test_markdown_names_pictures_that_are_there(table: Path, tmp_path: Path) -> None:
    text = write_report([table], "md", tmp_path / "my page.md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*?)\)", text)
    assert len(pictures) > 10
    for address in pictures:
        file = tmp_path / address.replace("%20", " ")
        assert file.read_bytes().startswith(b"\x89PNG"), address
    assert "| <b>& $x$ |" in text
    assert "## Not on this page\n\nA finished run is not run again" in text
    assert f"pyg-negsamp report {table} --format md --out '{tmp_path / 'my page.md'}'" in text


def test_latex_has_every_table_with_names_escaped(table: Path, tmp_path: Path) -> None:
    text = write_report([table], "latex", tmp_path / "report.tex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") > 5
    assert r"\textless{}b\textgreater{}\& \$x\$" in text
    assert "NDCG@20" in text


def test_a_run_alone_and_beside_others(one_run: Path, tmp_path: Path) -> None:
    """What it did not collect is left out, with what would bring it; ranks stand by popularity."""
    text = write_report([one_run]).read_text()
    tree = Tree(text)
    assert ("h1", "mf + dns, tiny") in tree.texts
    assert ("th", "popularity") in tree.texts
    assert "learning" in tree.ids
    assert "signals" not in tree.ids
    assert "Further signs: not collected; --diagnostics gradient entropy" in text
    alone = " ".join(page_of(read([one_run])).answer)
    assert re.search(r" for head items and [0-9.]+\s% for tail items\.", alone)
    assert "Below popularity: mf + dns." in alone
    assert f"pyg-negsamp report {one_run}</pre>" in text
    assert "A finished run is not run again" in text
    others = []
    asked = {"seed": {"seed": 1, "metrics": ("NDCG", "Gini")}, "few": {"num_candidates": 2}}
    for name, fields in asked.items():
        others.append(tmp_path / name)
        run(Config.of(**QUICK, neg="dns", **fields), others[-1])
    found = read([one_run, *others])
    assert [(method.name, len(method.runs)) for method in found.shown] == [
        ("mf + dns", 2),
        ("mf + dns, num_candidates=2", 1),
    ]
    said = " ".join(page_of(found).answer)
    assert " ranks best of the trained rows: " in said
    assert "Not trained, and better, which was not tested: popularity" in said
    assert "Below popularity: mf + dns and mf + dns, num_candidates=2." in said
    # Where one number differs, alone, it is swept.
    few = {**QUICK, "neg": "dns", "num_candidates": 4}
    run(Config.of(**few), tmp_path / "more")
    text = write_report([*others, tmp_path / "more"], out=tmp_path / "all.html").read_text()
    assert "NDCG@20 against num candidates" in text


def test_names_of_runs_say_yes_and_no_as_the_tables_do() -> None:
    configs = [Config.of(**QUICK, neg="rns", shared=shared) for shared in (False, True)]
    assert names_of(configs) == ["mf + rns, shared=no", "mf + rns, shared=yes"]


def test_who_has_one_candidate_has_no_rank(table: Path) -> None:
    def titles() -> list[str]:
        (part,) = [part for part in page_of(found).parts if part.name == "false-negatives"]
        return [block.title for block in part.blocks]

    found = read([table])
    assert "False negatives by rank" in titles()
    for method in found.trained:
        for epoch in (epoch for seed in method.runs for epoch in seed["history"]):
            for tenth in range(2, 11):
                del epoch[f"false-negatives/rank-{tenth}"]
    assert "False negatives by rank" not in titles()


def test_a_table_that_is_not_finished_yet(tmp_path: Path) -> None:
    comparison = product({**QUICK, "neg": ["rns", "dns"]}, references=False)
    done = fill(comparison, tmp_path, seeds=1, budget=0)
    assert done.missing == 2
    with pytest.raises(ValueError, match="a folder with a finished run"):
        write_report([tmp_path])
    fill(comparison, tmp_path, seeds=1)
    (cell,) = (tmp_path / "cells").glob("dns-*")
    (cell / "metrics.json").write_text('{"failed": "the loss is not finite"}')
    text = write_report([tmp_path]).read_text()
    assert "Without numbers, missing or diverged: dns." in text
    assert "1 of 1 seeds diverged" in text


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["report", *map(str, words)])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1, said
    return said


def test_refuses_what_is_no_run_in_one_line(
    table: Path, one_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "does not exist" in refused(capsys, tmp_path / "none")
    assert "without config.yaml or comparison.json" in refused(capsys, empty)
    assert "one comparison, or runs" in refused(capsys, table, one_run)
    assert "each given once" in refused(capsys, one_run, one_run)
    assert "a name that ends in .html" in refused(capsys, one_run, "--out", one_run / "config.yaml")
    assert "a name that ends in .md" in refused(capsys, one_run, "--format", "md", "--out", "x")
    assert "invalid choice: 'pdf'" in refused(capsys, one_run, "--format", "pdf")
    assert not list(empty.iterdir())
    shutil.copytree(one_run, begun := tmp_path / "begun")
    (begun / "metrics.json").unlink()
    assert "a finished run" in refused(capsys, begun)
    for fields, said in (
        ({"dataset": "small", "links": "f" * 16}, "which differ in --dataset)"),
        ({"split_seed": 1, "links": "f" * 16}, "which differ in --split-seed)"),
        ({"top_k": [10]}, "which differ in --top-k)"),
        (
            {"metrics": ["Gini"], "diagnostics": ["none"]},
            "with the same settings and seed: one of them is enough)",
        ),
    ):
        shutil.copytree(one_run, other := tmp_path / "-".join(fields))
        changed = yaml.safe_load((other / "config.yaml").read_text()) | fields
        (other / "config.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
        assert said in refused(capsys, one_run, other)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[]"),
        ("metrics.json", '{"test": {}, "seconds": 1}'),
        ("config.yaml", "dataset: ["),
        ("config.yaml", "datasat: tiny"),
        ("config.yaml", "dataset: tiny"),  # the rest is gone
        ("comparison.json", "{"),
        ("comparison.json", '{"format": 1}'),
        ("comparison.json", '{"format": 99}'),
    ],
)
def test_refuses_damaged_files_in_one_line(
    one_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str
) -> None:
    shutil.copytree(one_run, tmp_path / "run", ignore=shutil.ignore_patterns("report.*"))
    (tmp_path / "run" / file).write_text(text)
    refused(capsys, tmp_path / "run")
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("users.npz", "PK\3\4"),
        ("hits.npz", "no archive"),
        ("metrics.json", '{"test": {}, "seconds": 1}'),
        ("metrics.json", ""),
    ],
)
def test_names_the_run_that_is_damaged(
    one_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str
) -> None:
    shutil.copytree(one_run, bad := tmp_path / "bad")
    if not text:  # one number was lost
        found = json.loads((bad / file).read_text())
        text = json.dumps({name: value for name, value in found.items() if name != "best_epoch"})
    (bad / file).write_text(text)
    assert f"{bad} is damaged" in refused(capsys, one_run, bad)


def test_what_is_absent_names_flags_that_the_command_takes(tmp_path: Path) -> None:
    run(Config.of(**QUICK, neg="dns", diagnostics=("none",)), tmp_path)
    page = page_of(read([tmp_path]))
    said = [part.absent.split(" brings ")[0] for part in page.parts if "--diag" in part.absent]
    named = [word for text in said for word in text.split("--diagnostics ")[1].split()]
    assert len(said) >= 5
    assert Config.of(diagnostics=tuple(named)).training.diagnostics == tuple(named)


def test_epochs_selected_on_test_are_not_called_validated(tmp_path: Path) -> None:
    comparison = product({**QUICK, "neg": "rns", "protocol": "paper"}, references=False)
    fill(comparison, tmp_path, seeds=1)
    page = page_of(read([tmp_path]))
    assert "Epochs were selected on test links" in " ".join(page.answer)
    parts = {part.name: part for part in page.parts}
    over = parts["over-fitting"]
    said = [over.says]
    for block in over.blocks:
        said += block.grid.header if isinstance(block, Table) else [block.title, block.says]
    assert not [text for text in said if "validation" in text]
    assert "test since its peak" in said
    assert "--diagnostics" not in parts["false-negatives"].absent


def test_who_finds_nothing_has_no_share_that_others_miss() -> None:
    style, row = style_of(0), Row("x", {})
    hits = [[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]], [[0, 0, 0]]]
    one, other, nothing = (
        Shown(row, style, [], [{"hit@1": np.array(seed, dtype=bool)} for seed in seeds])
        for seeds in hits
    )
    assert missed(one, other, "hit@1") == "100.0"  # 2 of 2, and 1 of 1
    assert missed(other, one, "hit@1") == "100.0"  # nothing of none, which does not count; 2 of 2
    assert missed(nothing, one, "hit@1") == ""


def test_refuses_a_damaged_cell(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(table, copy := tmp_path / "table")
    (cell, *_) = (copy / "cells").glob("dns-*")
    found = json.loads((cell / "metrics.json").read_text())
    (cell / "metrics.json").write_text(json.dumps({"test": found["test"]}))
    assert f"{cell} is damaged" in refused(capsys, copy)


def test_commands_make_a_page_and_lose_nothing_if_they_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--dataset", "tiny", "--encoder", "mf", "--dim", "4", "--epochs", "1"]
    words += ["--device", "cpu", "--out"]
    more = ["--neg", "rns", "dns", "--seeds", "1", "--no-references"]
    typed = ["compare", *words, str(tmp_path / "table"), *more]
    main(typed)
    main(["train", *words, str(tmp_path / "run")])
    said = capsys.readouterr().out
    for name in ("table", "run"):
        assert f"\nthe report is in {tmp_path / name / 'report.html'}\n" in said
    assert read_record(tmp_path / "table").command == f"pyg-negsamp {' '.join(typed)}"
    before = (tmp_path / "table" / "report.html").read_bytes()
    main(["report", str(tmp_path / "table")])
    assert (tmp_path / "table" / "report.html").read_bytes() == before
    # A full disk, or whatever else there may be.
    monkeypatch.setattr(report, "page_of", lambda found: 1 / 0)
    capsys.readouterr()
    main(["compare", *words, str(tmp_path / "table"), *more])
    said = capsys.readouterr().out
    assert "| rns |" in said
    assert "no report: division by zero\n" in said
    assert "is trained and kept by" in said


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
#: Says how wide the window and the page are, and which texts of pictures stand out of them.
MEASURE = """
<script>
const out = [];
for (const picture of document.querySelectorAll("svg")) {
  const box = picture.getBoundingClientRect();
  for (const text of picture.querySelectorAll("text")) {
    const own = text.getBoundingClientRect();
    if (own.left < box.left - 3 || own.right > box.right + 3 || own.bottom > box.bottom + 3
        || own.top < box.top - 3) out.push(picture.getAttribute("aria-label") + text.textContent);
  }
}
const seen = {window: innerWidth, page: document.documentElement.scrollWidth, out: out};
parent.document.body.textContent = "MEASURED" + JSON.stringify(seen) + "MEASURED";
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: str, tmp_path: Path, width: int) -> None:
    file = tmp_path / "page.html"  # in a frame, because a window is 500 wide at least
    inside = escape(page.replace("</body>", MEASURE), quote=True)
    style = f"width: {width}px; height: 900px; border: 0"
    file.write_text(f'<!doctype html><body><iframe style="{style}" srcdoc="{inside}"></iframe>')
    command: Sequence[str] = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1400,1000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    seen = json.loads(dom.split("MEASURED")[1])
    assert seen["window"] == width
    assert seen["page"] <= width
    assert seen["out"] == []


def test_a_field_is_shared_by_all_rows_that_take_it() -> None:
    """One who leaves it out has a default of its own."""
    fields = {**QUICK, "num_candidates": 32}
    rows = (
        Row("dns, 32", {**fields, "neg": "dns"}),
        Row("dins, 32", {**fields, "neg": "dins"}),
        Row("popularity", {"dataset": "tiny", "encoder": "popularity"}),
    )

    def shown(*rows: Row) -> tuple[dict[str, str], dict[str, str]]:
        comparison = Comparison("tiny", "tiny", rows, ("clean",), rows[0].name)
        shared, others = configuration(Found(comparison, [], {"clean": {}}, [], []))
        return dict(shared), dict(others.rows)

    assert shown(*rows)[0]["num candidates"] == "32"
    shared, others = shown(*rows, Row("dns", {**QUICK, "neg": "dns"}))
    assert "num candidates" not in shared
    assert "num candidates = 32" in others["dins, 32"]
    assert "num candidates = default" in others["dns"]
    assert "num candidates" not in others["popularity"]
