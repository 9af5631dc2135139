"""From a configuration to three graphs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pyg_negsamp.datasets import InteractionDataset, SyntheticInteractions
from pyg_negsamp.experiments import Config
from pyg_negsamp.experiments.data import digest, load_data

LOG = pd.DataFrame(
    [(user, (7 * user + n) % 30, 10 * n + user % 3) for user in range(20) for n in range(10)],
    columns=["user", "item", "time"],
)


def links(dataset: InteractionDataset) -> list[set[tuple[int, int]]]:
    """Those of training, validation and test."""
    return [
        {(u, i) for u, i in graph["user", "interacts", "item"].edge_label_index.t().tolist()}
        for graph in dataset
    ]


@pytest.mark.parametrize(
    "split",
    [
        {},
        {"split": "latest"},
        {"split": "temporal"},
        {"split": "temporal", "val_time": "60", "test_time": "80"},
        {"split": "leave-one-out"},
        {"test_file": "test.csv"},
        {"test_file": "test.csv", "val_file": "val.csv"},
    ],
)
def test_under_the_papers_protocol_all_of_train_is_trained_on(
    tmp_path: Path, split: dict[str, str]
) -> None:
    for name, part in (("log", LOG), ("val", LOG[2:9:3]), ("test", LOG[4:9:3])):
        rest = part.drop(LOG.index[2:9]) if name == "log" and "test_file" in split else part
        rest.to_csv(tmp_path / f"{name}.csv", index=False)
    given = {name: str(tmp_path / x) if name.endswith("_file") else x for name, x in split.items()}
    given |= {"dataset": str(tmp_path / "log.csv"), "time_column": "time"}
    train, val, test = links(load_data(Config.of(**given)))
    assert val
    assert links(load_data(Config.of(**given, protocol="paper"))) == [train | val, set(), test]


def test_the_digest_covers_every_link_of_three_graphs() -> None:
    dataset = list(SyntheticInteractions("tiny"))
    base = digest(dataset)
    assert digest(SyntheticInteractions("tiny")) == base
    for graph in dataset:
        edges = graph["user", "interacts", "item"]
        for name in ("edge_index", "edge_label_index"):
            if name in edges:
                whole = edges[name]
                edges[name] = whole[:, 1:]
                assert digest(dataset) != base
                edges[name] = whole
        graph["item"].num_nodes += 1
        assert digest(dataset) != base
        graph["item"].num_nodes -= 1
    assert digest(dataset) == base


def test_validation_links_of_which_none_is_left_are_refused(tmp_path: Path) -> None:
    """Links that training has, too, are no validation; others would be held out in their place."""
    rows = [f"u{n % 12},i{n * 5 % 17}" for n in range(120)]
    parts = {"train": rows[:90], "val": rows[:20], "test": rows[90:]}
    for name, lines in parts.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,item", *lines]))
    files = {f"{name}_file": str(tmp_path / f"{name}.csv") for name in ("val", "test")}
    config = Config.of(dataset=str(tmp_path / "train.csv"), **files)
    with pytest.raises(ValueError, match="'val_file' must be a file with links that are not in"):
        load_data(config)


def test_known_test_links_are_those_of_the_whole_benchmark() -> None:
    with pytest.raises(ValueError, match="'k_core' must be left out beside --eval with-known"):
        Config.of(dataset="gowalla", eval="with-known", k_core=(5, 5))
