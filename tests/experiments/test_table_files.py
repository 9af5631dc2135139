"""Tables in YAML: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_table import SMALL

from pyg_negsamp.experiments import Config, ConfigError, table_files
from pyg_negsamp.experiments.comparison import check_rows, columns
from pyg_negsamp.experiments.config import read_config
from pyg_negsamp.experiments.table_files import read_table


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(SMALL)
    return file


def own(folder: Path, **said: object) -> Path:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


def test_a_users_own_table_needs_rows_only(tmp_path: Path) -> None:
    rows = [
        {"method": "plain", "flags": {"neg": "rns"}},
        {"method": "hard", "flags": {"neg": "dns", "num_candidates": 4}},
        {"method": "neighbours", "encoder": "item-knn", "flags": {"encoder-k": 7}},
    ]
    table = read_table(own(tmp_path, rows=rows, flags={"epochs": 9, "dim": 4}), references=True)
    assert (table.name, table.against, table.paper) == ("mine", "plain", None)
    assert [row.name for row in table.rows] == ["plain", "hard", "neighbours", "popularity", "ease"]
    plain, hard, neighbours, popularity, ease = table.rows
    assert plain.config.training.epochs == hard.config.training.epochs == 9
    assert hard.config.sampler.num_candidates == 4
    assert plain.config.sampler.num_candidates is None
    assert neighbours.config.encoder.arguments == {"k": 7}
    assert neighbours.search == ("shrink",)  # what it does not say is chosen on validation links
    assert (popularity.search, ease.search) == ((), ("l2",))
    assert not neighbours.unasked
    assert ease.unasked


def test_what_is_given_beside_wins_over_the_file(small: Path) -> None:
    given = {"epochs": 7, "protocol": "refit", "dataset": "small", "beta": 0.5}
    table = read_table(small, given)
    assert table.protocols == ("refit",)
    for row in table.rows:
        assert row.config.data.dataset == "small"
        assert row.config.is_reference or row.config.training.epochs == 7
    assert table.rows[3].config.sampler.arguments == {"beta": 0.5}
    with pytest.raises(ConfigError, match="'tau' must be left out: it is for"):
        read_table(small, {"tau": 1.0})


def test_a_rows_own_flags_win_over_the_tables(small: Path) -> None:
    small.write_text(SMALL.replace("{neg: rns}", "{neg: rns, epochs: 2}"))
    epochs = {row.name: row.config.training.epochs for row in read_table(small).rows}
    assert (epochs["RNS"], epochs["DNS"]) == (2, 3)


def test_a_field_of_one_method_goes_to_the_rows_that_have_it(small: Path) -> None:
    small.write_text(SMALL.replace("flags: {epochs", "flags: {beta: 0.3, epochs"))
    arguments = {row.name: row.config.sampler.arguments for row in read_table(small).rows}
    assert arguments == {"popularity": {}, "RNS": {}, "DNS": {}, "ours": {"beta": 0.3}}
    small.write_text(SMALL.replace("flags: {epochs", "flags: {tau: 0.3, epochs"))
    with pytest.raises(ValueError, match=r"tiny\.yaml: Config: 'tau' must be left out: it is for"):
        read_table(small)


def test_columns_are_what_the_paper_prints_or_validation_and_all_lengths(
    small: Path, tmp_path: Path
) -> None:
    assert columns(read_table(small), "clean") == ["Recall@5", "NDCG@5"]
    small.write_text(SMALL.replace("flags: {epochs", "flags: {eval: sampled, epochs"))
    assert columns(read_table(small), "clean") == [
        "sampled Recall@5", "sampled NDCG@5", "Recall@5", "NDCG@5",
    ]  # fmt: skip
    rows = [{"method": "plain"}]
    table = read_table(own(tmp_path, rows=rows, flags={"top-k": [3, 7]}))
    metrics = ["Recall@3", "NDCG@3", "Recall@7", "NDCG@7"]
    assert columns(table, "refit") == ["validation NDCG@3", *metrics]
    assert columns(table, "paper") == ["selected on test NDCG@3", *metrics]


def test_a_printed_row_stands_beside_where_no_row_is_of_a_paper(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = small.parent / "printed.csv"
    printed.write_text(
        "paper,table,dataset,encoder,method,metric,value\n"
        "x,3,tiny,mf,best,NDCG@5,0.5\nx,3,tiny,mf,best,NDCG@7,0.6\nx,3,other,mf,best,NDCG@10,0.7\n"
    )
    monkeypatch.setattr(table_files, "PRINTED", printed)
    said = yaml.safe_load(SMALL)
    for row in said["rows"]:
        row.pop("printed", None)
    against = {"paper": "x", "table": 3, "encoder": "mf", "method": "best"}
    small.write_text(yaml.safe_dump({**said, "against": against}))
    table = read_table(small)
    assert table.rival is not None
    assert (table.rival.name, table.rival.printed) == ("x, table 3: best", {"NDCG@5": 0.5})
    assert columns(table, "clean") == ["validation NDCG@5", "NDCG@5"]


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
            for name in ("seed", "protocol", "dataset", "root", "encoder")
        ),
        *(
            ({"flags": {name: 1, "top-k": [5]}}, f"'{name}' must be a field of a configuration")
            for name in ("config", "out", "resume")
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
def test_a_wrong_table_is_refused(small: Path, wrong: dict, said: str) -> None:
    small.write_text(yaml.safe_dump({**yaml.safe_load(SMALL), **wrong}))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read_table(small)
    assert said in str(error.value)
    assert str(error.value).startswith(str(small))


def test_a_missing_field_a_missing_file_and_wrong_syntax(small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL.replace("source: made up\n", ""))
    with pytest.raises(ValueError, match="must have the fields paper"):
        read_table(small)
    with pytest.raises(ValueError, match="must have the field rows; may have dataset"):
        read_table(own(tmp_path, flags={}))
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        read_table("nothing.yaml")
    small.write_text(SMALL + "  - {method: [")
    with pytest.raises(yaml.YAMLError, match=f'in "{small}"'):
        read_table(small)


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
            for name in ("seed", "protocol", "dataset", "root", "top_k", "eval", "split")
        ),
        ({"flags": {"config": 1}}, "'config' must be a field of a configuration"),
        ({**EASE, "flags": {"encoder-k": 1}}, "'encoder_k' must be left out: it is for item-knn"),
        ({**EASE, "flags": {"encoder-l2": "x"}}, "'encoder_l2' must be a valid number"),
        ({**EASE, "flags": {"l2": 1.0}}, "'l2' must be left out: ease is not trained"),
        ({"encoder": "item-knn", "flags": {"encoder-k": 2.5}}, "'encoder_k' must be"),
        ({"printed": [0.1]}, "'printed' must be 'name: value' lines"),
        ({"printed": {20: 0.1}}, "'printed' must be out of"),
        ({"printed": {"Foo@5": 0.1}}, "'printed' must be out of"),
        ({"printed": {"Recall@7": 0.1}}, "'printed' must be out of"),
        ({"printed": {"NDCG@5": 0}}, "'printed NDCG@5' must be a fraction above 0 (got 0)"),
        ({"printed": {"NDCG@5": "x"}}, "'printed NDCG@5' must be a fraction above 0 (got 'x')"),
        ({"printed": {"NDCG@5": 11.5}}, "'printed NDCG@5' must be a fraction"),
        # What only the classes know: each row is built before any is trained.
        ({"flags": {"neg": "rns", "alpha": 1.0}}, "'alpha' must be left out: it is for"),
        ({"flags": {"neg": "foo"}}, "'neg' must be one of rns"),
        ({"flags": {"foo": 1}}, "'foo' must be a field of a configuration"),
        ({"flags": {"neg": "dns", "num-candidates": 0}}, "'num_candidates' must be"),
        ({"flags": {"epochs": 0}}, "'epochs' must be greater than or equal to 1"),
        ({"flags": {"eval-every": 4}}, "'eval_every' must be at most epochs = 3"),
        ({**EASE, "flags": {"encoder-l2": 0}}, "EASE: 'l2' must be"),
    ],
)
def test_a_wrong_row_is_refused_before_any_is_run(small: Path, wrong: dict, said: str) -> None:
    table = yaml.safe_load(SMALL)
    table["rows"].append({"method": "x", "flags": {}, "source": "y", **wrong})
    small.write_text(yaml.safe_dump(table))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check_rows(read_table(small))
    assert said in str(error.value)
    assert str(error.value).startswith(f"{small}, row 5: ")


def test_flags_of_a_row_are_those_of_a_run(small: Path, tmp_path: Path) -> None:
    """So that what a search found can be copied into a table, and a row into a `--config` file."""
    flags = yaml.safe_load(SMALL)["rows"][2]["flags"]
    config = tmp_path / "best.yaml"
    config.write_text(yaml.safe_dump(flags))
    said = Config.of(**read_config(config)).sampler
    assert said == read_table(small).rows[2].config.sampler


def test_rows_have_different_names(small: Path) -> None:
    table = yaml.safe_load(SMALL)
    small.write_text(yaml.safe_dump({**table, "rows": table["rows"] + table["rows"][:1]}))
    with pytest.raises(ValueError, match=r"of different names .got two called 'popularity'"):
        check_rows(read_table(small))
