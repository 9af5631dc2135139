"""The synthetic world: the same every time, long-tailed, and liked by those who chose it."""

from __future__ import annotations

import contextlib
import warnings

import pytest
import torch

from pyg_negsamp.datasets import (
    BENCHMARKS,
    PRESETS,
    LatestSplit,
    RandomSplit,
    SyntheticInteractions,
    synthetic,
)
from pyg_negsamp.graph import EDGE_TYPE


@pytest.fixture(scope="module")
def small() -> SyntheticInteractions:
    return SyntheticInteractions("small")


def links(dataset: SyntheticInteractions) -> torch.Tensor:
    return dataset.interactions[EDGE_TYPE].edge_index


def test_seed_decides_everything() -> None:
    one, same, other = (SyntheticInteractions("tiny", seed=seed) for seed in (5, 5, 6))
    for a, b in zip(one, same, strict=True):
        assert torch.equal(a[EDGE_TYPE].edge_label_index, b[EDGE_TYPE].edge_label_index)
    assert torch.equal(one.user_factors, same.user_factors)
    assert torch.equal(one.item_factors, same.item_factors)
    assert not torch.equal(one.user_factors, other.user_factors)
    assert links(one).shape != links(other).shape or not torch.equal(links(one), links(other))


def test_global_seed_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    first, draw = SyntheticInteractions("tiny"), torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(draw, torch.rand(1))
    assert torch.equal(links(first), links(SyntheticInteractions("tiny")))


@pytest.mark.parametrize(("preset", "block"), [("tiny", 1 << 21), ("tiny", 1), ("small", 1 << 21)])
def test_sizes_are_as_announced(preset: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where users choose one by one. (Blocks draw from one stream: they do show.)"""
    monkeypatch.setattr(synthetic, "BLOCK", block)
    dataset, size = SyntheticInteractions(preset), PRESETS[preset]
    summary = dataset.summary()
    assert (summary["users"], summary["items"]) == (size.num_users, size.num_items)
    assert summary["links"] == pytest.approx(size.num_links, rel=0.05)
    assert summary["test_links"] / summary["links"] == pytest.approx(0.2, abs=0.02)
    assert links(dataset).unique(dim=1).shape == links(dataset).shape
    assert links(dataset)[0].bincount(minlength=size.num_users).min() >= 3
    assert summary["users_without_training_links"] == 0


def test_tails_are_long(small: SyntheticInteractions) -> None:
    for side, size, low, high in ((1, 4_000, 0.4, 0.6), (0, 3_000, 0.2, 0.6)):
        degree = links(small)[side].bincount(minlength=size).sort(descending=True).values
        assert low < degree[: size // 10].sum() / degree.sum() < high


def test_users_like_what_they_chose(small: SyntheticInteractions) -> None:
    user, item = links(small)
    generator = torch.Generator().manual_seed(0)
    anything = torch.randint(4_000, user.shape, generator=generator)
    popular = item[torch.randperm(item.numel(), generator=generator)]
    chosen = small.affinity(user, item).mean()
    assert chosen > small.affinity(user, anything).mean() + 0.8
    assert chosen > small.affinity(user, popular).mean() + 0.8  # more than popularity explains


def test_affinity_broadcasts_and_has_unit_scale(small: SyntheticInteractions) -> None:
    user = torch.arange(200)
    everything = small.affinity(user[:, None], torch.arange(4_000))
    assert everything.shape == (200, 4_000)
    assert everything[7, 9] == small.affinity(torch.tensor(7), torch.tensor(9))
    assert everything.std() == pytest.approx(1.0, abs=0.3)


def test_affinity_knows_more_than_popularity(small: SyntheticInteractions) -> None:
    train, _, test = small
    user, item = test[EDGE_TYPE].edge_label_index
    count = train[EDGE_TYPE].edge_index[1].bincount(minlength=4_000)
    generator = torch.Generator().manual_seed(0)
    other = item[torch.randperm(item.numel(), generator=generator)]
    # Against equally popular items, affinity finds the test item far more often than not.
    wins = small.affinity(user, item) > small.affinity(user, other)
    assert wins.float().mean() > 0.75
    anything = torch.randint(4_000, item.shape, generator=generator)
    assert (count[item] > count[anything]).float().mean() > 0.7  # and popularity helps too


def test_fields_of_the_preset_can_be_changed() -> None:
    dataset = SyntheticInteractions(
        "tiny", num_users=100, num_items=200, num_links=2_000, num_factors=3,
        split=RandomSplit(0.0, 0.5),
    )  # fmt: skip
    assert dataset.user_factors.shape == (100, 3)
    assert dataset.item_factors.shape == (200, 3)
    assert links(dataset).size(1) == pytest.approx(2_000, rel=0.05)
    assert dataset.summary()["val_links"] == 0


def test_noise_hides_preferences() -> None:
    clear, hidden = (SyntheticInteractions("tiny", noise=noise) for noise in (0.01, 100.0))
    assert clear.affinity(*links(clear)).mean() > hidden.affinity(*links(hidden)).mean() + 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, r"'preset' must be one of \['tiny'.*got 'huge'"),
        ({"colour": 1}, r"'colour' must be a field of SyntheticPreset: \['num_users'"),
        ({"num_users": 0}, "'num_users' must be positive"),
        ({"preset": "tiny", "num_links": 10}, r"'num_links' must be in \[180, 960\].*got 10"),
        ({"preset": "tiny", "num_links": 4_000}, r"'num_links' must be in \[180, 960\]"),
    ],
)
def test_arguments_are_checked(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"SyntheticInteractions: {message}"):
        SyntheticInteractions(**arguments)


def test_split_that_needs_times_is_refused() -> None:
    with pytest.raises(ValueError, match="LatestSplit: 'time'"):
        SyntheticInteractions("tiny", split=LatestSplit())


def test_no_preset_has_the_name_of_real_data() -> None:
    """The scripts take both as `--dataset`."""
    assert not set(PRESETS) & set(BENCHMARKS)


def test_reading_properties_of_the_dataset_leaves_it_whole() -> None:
    dataset = SyntheticInteractions("tiny")
    for name in ("num_features", "num_node_features", "num_edge_features", "num_classes", "data"):
        with contextlib.suppress(AttributeError, TypeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(dataset, name)
    train, _, test = dataset
    assert train[EDGE_TYPE].edge_index.size(1) > 0
    assert test[EDGE_TYPE].edge_label_index.size(1) > 0
