"""Rows as the product of methods, and which fields go to which of them."""

from __future__ import annotations

import psutil
import pytest
import torch

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.experiments import Config, ConfigError, reference_rows
from pyg_negsamp.experiments.comparison import Row, check_rows, product, spread, without_large_ease
from pyg_negsamp.experiments.reference_rows import choose_arguments, points
from pyg_negsamp.nn import ENCODERS
from pyg_negsamp.references import REFERENCES

REFERENCE_NAMES = ["popularity", "item-knn", "ease"]


def names(**given: object) -> list[str]:
    return [row.name for row in product(given).rows]


def test_rows_are_every_encoder_with_every_loss_and_every_sampler() -> None:
    table = product({"encoder": ["mf", "lightgcn"], "loss": ["bpr", "ssm"], "neg": ["rns", "dns"]})
    assert len(table.rows) == 2 * 2 * 2 + 3
    said = table.rows[1].config
    assert (said.encoder.encoder, said.sampler.neg, said.loss.loss) == ("mf", "dns", "bpr")
    assert table.against == table.rows[0].name == "mf + rns + bpr"
    assert len({row.name for row in table.rows}) == len(table.rows)


def test_rows_are_called_by_what_differs() -> None:
    assert names() == ["dins", *REFERENCE_NAMES]
    assert names(neg="dns") == names(neg=["dns"]) == ["dns", *REFERENCE_NAMES]
    assert names(neg=["rns", "dns", "rns"]) == ["rns", "dns", *REFERENCE_NAMES]
    assert names(encoder=["mf", "sgl"], neg="rns")[:2] == ["mf", "sgl"]
    assert names(neg=["rns", "dns"], loss=["bpr", "ssm"])[:2] == ["rns + bpr", "dns + bpr"]


def test_references_may_be_named_and_left_out() -> None:
    table = product({"encoder": ["mf", "ease"], "neg": ["rns", "dns"], "encoder_l2": 5.0})
    assert [row.name for row in table.rows] == ["rns", "dns", "ease", "popularity", "item-knn"]
    assert not table.rows[2].unasked
    assert table.rows[2].config.encoder.arguments == {"l2": 5.0}
    assert [row.name for row in product({"neg": "rns"}, references=False).rows] == ["rns"]


def test_a_field_goes_to_the_rows_that_have_it() -> None:
    given = {
        "encoder": ["mf", "lightgcn", "sgl"], "neg": ["rns", "dins"], "loss": ["bpr", "ssm"],
        "beta": "2", "loss_temperature": 0.3, "encoder_view": "walk", "layers": 2, "epochs": 5,
        "encoder_k": 9, "val_share": 0.3, "num_candidates": 8,
    }  # fmt: skip
    for row in product(given).rows:
        said = row.config
        assert said.data.val_share == 0.3
        encoder = said.encoder.encoder
        assert said.encoder.arguments == {"sgl": {"view": "walk"}, "item-knn": {"k": 9}}.get(
            encoder, {}
        )
        assert said.encoder.layers == (2 if encoder in ("lightgcn", "sgl") else None)
        if encoder in ENCODERS:
            assert said.training.epochs == 5
            assert said.sampler.num_candidates == 8
            assert said.sampler.arguments == ({"beta": 2.0} if said.sampler.neg == "dins" else {})
            assert said.loss.arguments == ({"temperature": 0.3} if said.loss.loss == "ssm" else {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"neg": ["rns", "dns"], "beta": 1}, "'beta' must be left out: it is for ahns, dins"),
        ({"neg": ["rns", "foo"]}, "'neg' must be one of rns"),
        ({"betta": 1}, "'betta' must be a field of a configuration; did you mean 'beta'"),
        ({"encoder": "mf", "layers": 2}, "'layers' must be left out: mf has none"),
        ({"encoder": ["ease", "popularity"], "epochs": 3}, "'epochs' must be left out"),
        ({"epochs": "many"}, "'epochs' must be a valid integer"),
        ({"device": "cuda"}, "'device' must be 'auto' or 'cpu'"),
    ],
)
def test_a_field_that_no_row_has_or_takes_is_refused(given: dict, said: str) -> None:
    if torch.cuda.is_available() and "device" in given:
        pytest.skip("there is a CUDA device")
    with pytest.raises(ConfigError) as error:
        check_rows(product(given))
    assert said in str(error.value)


def test_a_row_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="'num_candidates' must be"):
        check_rows(product({"neg": ["rns", "dns"], "num_negatives": 3, "num_candidates": 2}))


def test_rows_are_built_anew_with_what_is_shared() -> None:
    row = Row("plain", {"neg": "rns", "epochs": 3})
    assert spread([row], {"epochs": 5})[0].config.training.epochs == 5
    assert spread([row], {"epochs": 5, "dim": 8}, win=False)[0].config.training.epochs == 3
    assert row.fields == {"neg": "rns", "epochs": 3}


def test_tested_against_a_row() -> None:
    table = product({"neg": ["rns", "dns"]})
    assert table.tested_against("ease").against == "ease"
    assert table.tested_against(None).against == "rns"
    with pytest.raises(ConfigError, match=r"must be a row: rns, dns, .*; did you mean 'dns'"):
        table.tested_against("dnss")


def test_ease_is_left_out_where_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = SyntheticInteractions("tiny")
    table = product({"neg": "rns"})
    assert without_large_ease(table, dataset) == (table, "")
    monkeypatch.setattr(reference_rows, "MOST_ITEMS_OF_EASE", 79)
    less, said = without_large_ease(table, dataset)
    assert [row.name for row in less.rows] == ["rns", "popularity", "item-knn"]
    assert said == "ease is left out: 80 items are more than 79"
    with pytest.raises(ValueError, match="--against ease: it is left out"):
        without_large_ease(table.tested_against("ease"), dataset)
    asked = product({"encoder": ["mf", "ease"]})
    assert without_large_ease(asked, dataset) == (asked, "")
    monkeypatch.undo()
    memory = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert "GiB of memory" in without_large_ease(table, dataset)[1]


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_every_point_of_a_references_grid_can_be_made(name: str) -> None:
    (row,) = (row for row in product({}).rows if row.name == name)
    data = SyntheticInteractions("tiny")[0]
    found = list(points(row.config, row.search))
    assert len(found) == {"popularity": 1, "item-knn": 4, "ease": 4}[name]
    for point in found:
        REFERENCES[name](data, **point)


def test_arguments_of_a_reference_are_those_that_validate_best() -> None:
    train_data, val_data, _ = SyntheticInteractions("tiny")
    config = Config.of(encoder="item-knn", encoder_k=3, top_k=[5])
    chosen = choose_arguments(config, ["shrink"], train_data, val_data)
    assert chosen.encoder.arguments["k"] == 3

    def validation(shrink: float) -> float:
        from pyg_negsamp.evaluation import evaluate
        from pyg_negsamp.references import ItemKNN

        return evaluate(ItemKNN(train_data, 3, shrink), val_data, (5,), ("NDCG",))["NDCG@5"]

    other = 10.0 - chosen.encoder.arguments["shrink"]
    assert validation(chosen.encoder.arguments["shrink"]) >= validation(other)
