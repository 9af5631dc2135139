"""The tables that ship with the package are what the classes and the papers say."""

from __future__ import annotations

import csv

import pytest

from pyg_negsamp.experiments.comparison import Comparison, Row, check_rows, columns
from pyg_negsamp.experiments.table_files import PAPERS, PRINTED, find, packaged, read_table

NUMBERS = list(csv.DictReader(PRINTED.open()))


def test_there_are_tables() -> None:
    assert "ahns/amazon-phones" in packaged()
    assert len(packaged()) == len(list(PAPERS.rglob("*.yaml")))


def test_printed_numbers_are_fractions_and_come_once() -> None:
    keys = [tuple(row[name] for name in list(row)[:-1]) for row in NUMBERS]
    assert len(set(keys)) == len(keys)
    metrics = [row for row in NUMBERS if "@" in row["metric"]]
    assert all(0 < float(row["value"]) < 1 for row in metrics)


def encoder_of(table: Comparison, row: Row) -> str:
    """That of the row; of a reference, that of the table, the last word of its name."""
    return table.name.split("-")[-1] if row.config.is_reference else row.config.encoder.encoder


@pytest.mark.parametrize("name", packaged())
def test_a_table_is_what_the_classes_and_the_paper_say(name: str) -> None:
    table = read_table(find(name))
    folder, stem = name.split("/")
    dataset = table.rows[0].config.data.dataset
    assert table.paper == folder
    assert stem.startswith(dataset)
    own = [
        row
        for row in NUMBERS
        if (row["paper"], row["table"], row["dataset"]) == (table.paper, str(table.number), dataset)
    ]
    check_rows(table)
    lists = {int(name.split("@")[1]) for name in columns(table, table.protocols[0]) if "@" in name}
    for row in table.rows:
        assert row.source
        assert not row.search  # a paper's references have the arguments of its YAML
        printed = {
            said["metric"]: float(said["value"])
            for said in own
            if (said["method"], said["encoder"]) == (row.name, encoder_of(table, row))
        }
        assert row.printed.items() <= printed.items(), row.name
        assert lists <= {*row.config.evaluation.top_k}
    encoders = {encoder_of(table, row) for row in table.rows if row.printed}
    of_paper = {said["method"] for said in own if said["encoder"] in encoders}
    missing = of_paper - {row.name for row in table.rows}
    assert not missing, f"{name}: rows of the paper that are missing: {missing}"


def test_references_have_no_training_but_their_arguments() -> None:
    table = read_table(find("ahns/amazon-phones"))
    flat = {row.name: row.config.flat() for row in table.rows}
    assert flat["ItemKNN"]["encoder_k"] == 200
    assert flat["EASE"]["encoder_l2"] == 100.0
    assert not {"l2", "epochs", "neg"} & set(flat["EASE"])
    assert flat["RNS"]["epochs"] == 100
