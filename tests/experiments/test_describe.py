"""What `data describe` says of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("pyg_negsamp.datasets.k_core", reason="of branch datasets")

from pyg_negsamp.experiments import Config
from pyg_negsamp.experiments.describe import describe

# Users a, b, c take items x, y, z; d takes w alone; (a, x) twice.
LINKS = [*((u, i) for u in "abc" for i in "xyz"), ("d", "w"), ("a", "x")]


@pytest.fixture(autouse=True)
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(LINKS, columns=["user", "item"])
    frame["stars"] = [5, 4, 3, 5, 4, 3, 5, 4, 3, 1, 5]
    frame["day"] = [f"2024-01-{day:02}" for day in range(1, 12)]
    frame["second"] = range(100, 111)
    frame.to_csv("links.csv", index=False)


def described(**fields: Any) -> Any:
    return describe(
        Config.of(**{"dataset": "links.csv", "val_share": 0, "test_share": 0.4, **fields})
    )


def test_counts_and_degrees() -> None:
    found = described()
    assert found.summary["users"] == 4
    assert found.summary["links"] == 10
    assert found.summary["duplicates"] == 1
    assert not [name for name in found.summary if name.startswith("links_per")]
    for role in ("user", "item"):
        assert found.degrees.loc[role].to_dict() == {
            "min": 1, "median": 3, "mean": 2.5, "max": 3, "few": 1.0,
        }  # fmt: skip
    assert found.times is None
    assert found.ratings is None
    assert found.leakage == []


def test_filters_are_tried_but_not_applied() -> None:
    tried = described().filters
    assert list(tried.index) == ["none", "k-core 5 5", "k-core 10 10"]
    assert tried.loc["none"].to_dict() == {"users": 4, "items": 4, "links": 10}
    assert tried.loc["k-core 5 5"].to_dict() == {"users": 0, "items": 0, "links": 0}


def test_given_filters_are_applied_and_told_against_the_whole() -> None:
    found = described(k_core=(2, 2), rating_column="stars", min_rating=4)
    assert found.summary["links"] == 6
    assert found.filters.T.to_dict() == {
        "none": {"users": 4, "items": 4, "links": 10},
        "rated at least 4": {"users": 3, "items": 2, "links": 6},
        "k-core 2 2": {"users": 3, "items": 2, "links": 6},
    }
    assert found.ratings["links"].to_dict() == {1: 10, 3: 9, 4: 6, 5: 3}
    assert found.ratings["share"].to_dict() == {1: 1.0, 3: 0.9, 4: 0.6, 5: 0.3}


def test_a_minimum_between_ratings_has_its_line() -> None:
    found = described(rating_column="stars", min_rating=3.5)
    assert found.ratings["links"].to_dict() == {1: 10, 3: 9, 3.5: 6, 4: 6, 5: 3}


def test_many_ratings_are_told_by_tenths() -> None:
    frame = pd.read_csv("links.csv")
    big = pd.concat([frame.assign(user=f"u{n}") for n in range(9)])
    big.assign(stars=range(len(big))).to_csv("many.csv", index=False)
    found = described(dataset="many.csv", rating_column="stars")
    assert len(found.ratings) == 10
    assert found.ratings["share"].iloc[0] == 1.0
    assert found.ratings["share"].iloc[-1] == pytest.approx(0.1, abs=0.05)


def test_times_are_dates_where_the_source_has_dates() -> None:
    assert described(time_column="day").times[0].startswith("2024-01-01")
    assert described(time_column="day").times[1].startswith("2024-01-10"), "(a, x) was there before"
    assert described(time_column="second").times == ("100", "109")


def test_leakage_between_files() -> None:
    held_out = "user,item\na,x\nb,w\n"
    Path("test.csv").write_text(held_out)
    Path("val.csv").write_text("user,item\nc,w\n")
    found = describe(Config.of(dataset="links.csv", test_file="test.csv"))
    assert found.leakage == ["1 pair of test.csv is in the training file too: removed from test"]
    found = describe(Config.of(dataset="links.csv", test_file="test.csv", val_file="val.csv"))
    assert found.leakage == [
        "no pair of val.csv is in the training file",
        "1 pair of test.csv is in an earlier file too: removed from test",
    ]


@pytest.mark.parametrize("stars", [(1, 5), (5, 1)])
def test_of_several_ratings_of_a_pair_the_best_counts(stars: tuple[int, int]) -> None:
    """In the table of ratings as in the filter, whichever came first."""
    frame = pd.read_csv("links.csv").drop_duplicates(["user", "item"])
    twice = pd.concat([frame.assign(stars=n, second=at) for at, n in enumerate(stars)])
    twice.to_csv("twice.csv", index=False)
    found = described(
        dataset="twice.csv", rating_column="stars", time_column="second", min_rating=4
    )
    assert found.filters.loc["rated at least 4", "links"] == found.ratings["links"].loc[4] == 10
    assert found.torn == 10
    assert described(rating_column="stars", min_rating=4).torn == 0


def test_a_core_keeps_what_a_catalogue_lists() -> None:
    """As loading does."""
    Path("items.csv").write_text("item\nx\ny\nz\nw\nnew\n")
    found = described(k_core=(2, 2), items_file="items.csv")
    assert found.filters.loc["k-core 2 2", "items"] == found.summary["items"] == 5
