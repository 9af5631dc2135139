"""Parts as tables, and what the report says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.datasets import (
    InteractionDataset,
    LatestSplit,
    LeaveOneOut,
    RandomSplit,
    SyntheticInteractions,
)
from pyg_negsamp.graph import EDGE_TYPE

Square = Callable[..., pd.DataFrame]
LAST = LeaveOneOut(num_val=0)
GRAPHS = ("train", "val", "test")


def test_parts_can_be_written_and_read_again(tmp_path: Path, square: Square) -> None:
    frame = square(6, 10)
    options = {"time": "at", "rating": "stars", "weight": "w"}
    dataset = InteractionDataset.from_frame(frame, **options, split=LatestSplit(0.2, 0.3))
    for part in GRAPHS:
        written = dataset.to_frame(part)
        assert list(written) == ["user", "item", "time", "rating", "weight"]
        written.to_csv(tmp_path / f"{part}.csv", index=False)
        source = frame.rename(columns={"at": "time", "stars": "rating", "w": "weight"})
        merged = written.merge(source, on=["user", "item", "time", "rating", "weight"])
        assert len(merged) == len(written) > 0
    again = InteractionDataset.from_files(
        tmp_path / "train.csv",
        test=tmp_path / "test.csv",
        valid=tmp_path / "val.csv",
        time="time",
        rating="rating",
        weight="weight",
    )
    for one, other in zip(again, dataset, strict=True):
        for name, value in other[EDGE_TYPE].items():
            assert torch.equal(one[EDGE_TYPE][name], value)


def test_parts_without_ids_have_positions() -> None:
    dataset = SyntheticInteractions("tiny")
    frame = dataset.to_frame("val")
    assert list(frame) == ["user", "item"]
    assert frame.to_numpy().T.tolist() == dataset[1][EDGE_TYPE].edge_label_index.tolist()
    with pytest.raises(ValueError, match=r"'part' must be 'train', 'val' or 'test' \(got 'valid'"):
        dataset.to_frame("valid")


def test_parts_of_any_split_that_uses_the_interactions(square: Square) -> None:
    def reverse(data: HeteroData) -> tuple[HeteroData, ...]:
        graphs = RandomSplit(0.2, 0.3)(data)
        for graph in graphs:
            store = graph[EDGE_TYPE]
            store.edge_label_index = store.edge_label_index.flip(1)
        return graphs

    dataset = InteractionDataset.from_frame(square(), weight="w", split=reverse)
    frame = dataset.to_frame("train")
    u, i = frame.user.str[1:].astype(int), frame.item / 10
    assert (frame.weight == 1 + u + i / 8).all()

    def invent(data: HeteroData) -> tuple[HeteroData, ...]:
        graphs = RandomSplit(0.2, 0.3)(data)
        graphs[2][EDGE_TYPE].edge_label_index = torch.tensor([[0], [0]])
        data[EDGE_TYPE].edge_index = data[EDGE_TYPE].edge_index[:, 1:]
        return graphs

    dataset = InteractionDataset.from_frame(square(), weight="w", split=invent)
    with pytest.raises(ValueError, match="'split' must be a split whose links are among"):
        dataset.to_frame("test")


def test_report_of_degrees_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"user": [0, 0, 0, 1, 2, 2], "item": [0, 1, 2, 0, 0, 3]})
    days = pd.to_datetime("2020-01-01") + pd.to_timedelta(range(6), unit="D")
    dataset = InteractionDataset.from_frame(frame.assign(at=days), time="at", split=LAST)
    report = dataset.report()
    degrees = {k: v for k, v in report.items() if k.startswith("links_per")}
    assert degrees == {
        "links_per_user_min": 1,
        "links_per_user_median": 2.0,
        "links_per_user_max": 3,
        "links_per_item_min": 1,
        "links_per_item_median": 1.0,
        "links_per_item_max": 3,
    }
    assert (report["time_first"], report["time_last"]) == (
        "2020-01-01T00:00:00",
        "2020-01-06T00:00:00",
    )
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    numbers = InteractionDataset.from_frame(frame.assign(at=range(6)), time="at", split=LAST)
    assert numbers.summary()["time_last"] == 5
