"""What `data prepare` writes, and that it is read back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

pytest.importorskip("pyg_negsamp.datasets.k_core", reason="of branch datasets")

from pyg_negsamp.datasets import InteractionDataset
from pyg_negsamp.experiments import Config, ConfigError
from pyg_negsamp.experiments.data import load_data
from pyg_negsamp.experiments.prepare import prepare

COLUMNS = {"user_column": "who", "item_column": "what"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def table(ids: str = "text", repeats: bool = False, seed: int = 0) -> pd.DataFrame:
    """240 links of 20 users and 30 items, in any order."""
    draw = np.random.default_rng(seed)
    pairs = draw.permutation(600)[:240]
    user, item = pairs // 30, pairs % 30
    if ids == "text":
        who, what = [f"c{u}" for u in user], [f"0{i}" for i in item]
    else:
        who, what = list(user * 7 - 20), list(item * 1000)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 90, 240), "D")
    stars = draw.integers(1, 6, 240)
    frame = pd.DataFrame({"who": who, "what": what, "day": day, "stars": stars})
    return pd.concat([frame, frame[:60]]) if repeats else frame


def loaded(**fields: Any) -> tuple[Config, InteractionDataset]:
    config = Config.of(**fields)
    return config, load_data(config)


def assert_same(one: InteractionDataset, other: InteractionDataset) -> None:
    for role in ("user", "item"):
        ids = [getattr(data, f"{role}_ids") for data in (one, other)]
        nodes = int(one[0][role].num_nodes)
        first, second = (list(range(nodes)) if i is None else list(i) for i in ids)
        assert first == second
    for mine, yours in zip(one, other, strict=True):
        for role in ("user", "item"):
            assert mine[role].num_nodes == yours[role].num_nodes
        for name in ("edge_index", "edge_label_index"):
            assert torch.equal(mine[one.edge_type][name], yours[one.edge_type][name]), name


@pytest.mark.parametrize("ids", ["text", "numbers"])
@pytest.mark.parametrize("val_share", [0.2, 0.0])
def test_it_is_read_back_as_it_was(ids: str, val_share: float) -> None:
    """Text ids with zeros before, numbers with gaps; with validation links and without."""
    table(ids).to_csv("links.csv", index=False)
    config, dataset = loaded(dataset="links.csv", **COLUMNS, val_share=val_share)
    prepare(config, "new/folder")
    _, again = loaded(dataset="new/folder", **({} if val_share else {"val_share": 0.0}))
    assert_same(dataset, again)
    assert Path("new/folder/val.parquet").exists() == (val_share > 0)
    assert (again[1][again.edge_type].edge_label_index.size(1) > 0) == (val_share > 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"time_column": "day", "split": "latest"},
        {"rating_column": "stars", "weight_column": "weight", "min_rating": 3.0},
        {"k_core": (8, 5), "duplicates": "keep", "val_share": 0.0},
        {"items_file": "catalogue.csv", "time_column": "day", "rating_column": "stars"},
    ],
)
def test_filters_and_columns_are_read_back(fields: dict[str, Any]) -> None:
    frame = table(repeats=True).assign(weight=lambda f: f["stars"] / 2)
    frame.to_csv("links.csv", index=False)
    Path("catalogue.csv").write_text("what\n00\n011\nnew\n")
    config, dataset = loaded(dataset="links.csv", **COLUMNS, **fields)
    prepare(config, "to")
    _, again = loaded(dataset="to", val_share=config.data.val_share)
    assert_same(dataset, again)
    for name in ("time", "rating", "edge_weight"):
        mine, yours = (data.interactions[data.edge_type] for data in (dataset, again))
        assert (name in mine) == (name in yours)
    named = {"time_column": "time", "rating_column": "rating", "weight_column": "weight"}
    columns = [column for field, column in named.items() if field in fields]
    assert list(pd.read_parquet("to/train.parquet").columns) == ["user", "item", *columns]
    assert ("new" in again.item_ids) == ("items_file" in fields)
    if "time_column" in fields:
        assert str(pd.read_parquet("to/test.parquet")["time"].max()).startswith("2024-03-")


def test_data_without_outside_ids() -> None:
    """As synthetic ones, which also have items without links."""
    config, dataset = loaded(dataset="tiny")
    prepare(config, "to")
    assert_same(dataset, loaded(dataset="to")[1])


def test_it_says_what_made_it() -> None:
    table().to_csv("links.csv", index=False)
    config, dataset = loaded(dataset="links.csv", **COLUMNS, k_core=(3, 3))
    counts = prepare(config, "to")
    said = yaml.safe_load(Path("to/data.yaml").read_text())
    assert counts == said["counts"] == dataset.summary()
    assert said["fields"]["k_core"] == [3, 3]
    assert Config.of(**said["fields"]).data == config.data
    assert said["made_by"].startswith("pyg_negsamp ")


def test_it_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, part: str) -> pd.DataFrame:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(InteractionDataset, "to_frame", full)
        with pytest.raises(OSError, match="no space left"):
            prepare(Config.of(dataset="tiny"), "to")
    assert not list(Path().iterdir())
    Path("to").mkdir()  # an empty one is good, too
    prepare(Config.of(dataset="tiny"), "to")
    before = sorted(Path("to").iterdir())
    with pytest.raises(FileExistsError, match="to already holds something"):
        prepare(Config.of(dataset="tiny"), "to")
    with pytest.raises(FileExistsError, match=r"data.yaml already holds something"):
        prepare(Config.of(dataset="tiny"), "to/data.yaml")
    assert sorted(Path("to").iterdir()) == before


def test_what_is_prepared_is_not_filtered_again() -> None:
    prepare(Config.of(dataset="tiny"), "to.v2")
    for field, value in {"k_core": (2, 2), "min_rating": 3, "user_column": "user"}.items():
        with pytest.raises(ConfigError, match=f"'{field}' must be left out"):
            loaded(dataset="to.v2", **{field: value})
    with pytest.raises(ConfigError, match="'split' must be 'predefined'"):
        loaded(dataset="to.v2", split="random")
    loaded(dataset="to.v2")


def test_categories_are_kept(tmp_path: Path) -> None:
    table().to_csv("log.csv", index=False)
    pd.DataFrame({"what": ["00", "01", "x"], "kind": ["b", "a", "b"]}).to_csv("items.csv")
    fields = {"dataset": "log.csv", **COLUMNS, "items_file": "items.csv", "category_column": "kind"}
    config, dataset = loaded(**fields)
    prepare(config, "kept")
    again = loaded(dataset="kept")[1]
    assert_same(dataset, again)
    assert torch.equal(again[2]["item"].category, dataset[2]["item"].category)
    assert len(again[2]["item"].category.unique()) == 3


def test_a_folder_that_lost_a_file_is_refused() -> None:
    table().to_csv("links.csv", index=False)
    prepare(Config.of(dataset="links.csv", **COLUMNS), "to")
    names = [*yaml.safe_load(Path("to/data.yaml").read_text())["files"]]
    assert {"train.parquet", "val.parquet", "test.parquet"} <= {*names}
    for name in names:
        file = Path("to") / name
        content = file.read_bytes()
        file.unlink()
        if name != "train.parquet":  # without which it is no such folder
            with pytest.raises(ValueError, match=rf"{name} had [\d,]+ rows .*no such file"):
                load_data(Config.of(dataset="to"))
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=f"{name}' must be a readable parquet table"):
            load_data(Config.of(dataset="to"))
        pd.DataFrame({"user": ["a"], "item": ["b"]}).to_parquet(file)
        with pytest.raises(ValueError, match=rf"{name} had [\d,]+ rows .*got '?1"):
            load_data(Config.of(dataset="to"))
        file.write_bytes(content)
    load_data(Config.of(dataset="to"))
    Path("to/data.yaml").write_text("[]")
    with pytest.raises(ValueError, match=r"a folder with the data\.yaml of"):
        load_data(Config.of(dataset="to"))


def test_more_than_ten_categories_keep_their_numbers() -> None:
    frame = table()
    frame.to_csv("links.csv", index=False)
    items = sorted(frame["what"].unique())
    kinds = [f"k{n % 13:02}" for n in range(len(items))]
    pd.DataFrame({"what": items, "kind": kinds}).to_csv("items.csv", index=False)
    config, dataset = loaded(
        dataset="links.csv", **COLUMNS, items_file="items.csv", category_column="kind"
    )
    assert dataset[0]["item"].category.max() > 10
    prepare(config, "to")
    assert torch.equal(loaded(dataset="to")[1][0]["item"].category, dataset[0]["item"].category)
