"""Diagnostics of a look, on cases computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from looks import reads_nothing_back
from torch import Tensor

from pyg_negsamp.diagnostics import (
    DIAGNOSTICS,
    Look,
    by_positive,
    deciles,
    diagnostics_named,
    epoch_costs,
    gradient_magnitude,
    look_at_cost,
    look_at_hardness,
    look_at_over_fitting,
    look_at_popularity,
    mean_popularity,
    training_ndcg,
)
from pyg_negsamp.pairs import Pairs


@pytest.fixture
def look() -> Look:
    """Two links of two users among four items; the second one's second negative does not count."""
    return Look(
        user=torch.tensor([0, 1]),
        pos=torch.tensor([0, 1]),
        candidates=torch.tensor([[2, 3], [3, 2]]),
        chosen=torch.tensor([[2, 3], [3, 2]]),
        weight=torch.tensor([[1.0, 2.0], [1.0, 0.0]]),
        pos_score=torch.tensor([4.0, 2.0]),
        neg_score=torch.tensor([[1.0, 2.0], [0.0, 9.0]]),
        chosen_score=torch.tensor([[1.0, 2.0], [0.0, 9.0]]),
        candidate_score=torch.tensor([[1.0, 2.0], [0.0, 9.0]]),
        unseen=torch.tensor([[2], [3]]),
        unseen_score=torch.tensor([[1.0], [0.0]]),
        users=torch.zeros(2, 3),
        items=torch.zeros(4, 3),
        count=torch.tensor([5.0, 1.0, 2.0, 0.0]),
        known=Pairs(torch.tensor([[0, 1], [0, 1]]), 2, 4),
        liked=Pairs(torch.tensor([[0], [2]]), 2, 4),
        train=0.8,
        validated={"val/Recall@20": 0.3, "val/NDCG@20": 0.2, "val/NDCG@50": 0.4},
        seconds={"draw": 1.5},
    )


def numbers(found: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


# Hardness -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("counting", [0.0, 0.5, 1.0])
def test_deciles_are_numpys_of_what_counts(size: int, counting: float) -> None:
    generator = torch.Generator().manual_seed(size)
    score = torch.randn(size, 3, generator=generator)
    weight = (torch.rand(size, 3, generator=generator) < counting).float()
    weight[0, 0] = 0.25
    counted = score[weight > 0].numpy()
    expected = np.quantile(counted, np.arange(1, 10) / 10)
    np.testing.assert_allclose(deciles(score, weight), expected, atol=1e-6)
    if counting == 1:
        assert torch.equal(deciles(score, weight), deciles(score))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: deciles(torch.ones(3)), "deciles: 'score' must be numbers"),
        (lambda: by_positive(torch.ones(3), torch.ones(2, 2)), "'neg_score' must be numbers"),
        (lambda: gradient_magnitude(torch.ones(2), torch.ones(2)), "'neg_score' must be numbers"),
        (lambda: mean_popularity(torch.ones(2), torch.ones(2, 2)), "'item' must be ids"),
    ],
)
def test_wrong_shapes_are_refused(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize("size", [(2, 2), (0, 2), (2, 0)])
def test_nothing_that_counts_has_no_deciles(size: tuple[int, int]) -> None:
    assert not deciles(torch.ones(size), torch.zeros(size)).isfinite().any()
    assert deciles(torch.ones(size)).isfinite().all() == (size == (2, 2))


def test_negatives_by_tenth_of_their_positive() -> None:
    """Twenty links in any order, so two in a tenth; of the first tenth one negative counts."""
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    pos_score, neg_score = torch.arange(20.0), torch.arange(40.0).view(20, 2) * 10
    weight = torch.ones(20, 2)
    weight[0, 1] = weight[1, 0] = weight[1, 1] = 0
    positive, negative = by_positive(pos_score[order], neg_score[order], weight[order])
    assert positive.tolist() == [0.5 + 2 * tenth for tenth in range(10)]
    assert negative.tolist() == [0.0] + [15.0 + 40 * tenth for tenth in range(1, 10)]


def test_hardness_of_a_look(look: Look) -> None:
    found = numbers(look_at_hardness(look))
    assert found["hardness/positive"] == 3
    assert found["hardness/negative"] == 1
    assert found["hardness/unseen"] == 0.5
    assert found["hardness/relative"] == pytest.approx(1 / 3)
    assert [found[f"hardness/positive/p{p}"] for p in (10, 50, 90)] == pytest.approx([2.2, 3, 3.8])
    assert [found[f"hardness/negative/p{p}"] for p in (10, 50, 90)] == pytest.approx([0.2, 1, 1.8])
    # Two links: one is in the first tenth, one in the middle.
    assert (found["hardness/positive/1"], found["hardness/by-positive/1"]) == (2, 0)
    assert (found["hardness/positive/6"], found["hardness/by-positive/6"]) == (4, 1.5)


# The others ---------------------------------------------------------------------------------------


def test_gradient_is_that_of_bpr() -> None:
    pos_score = torch.tensor([1.0, 0.0])
    neg_score = torch.tensor([[1.0, 1.0 + np.log(3)], [5.0, -np.log(3)]])
    weight = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    found = gradient_magnitude(pos_score, neg_score, weight)
    assert float(found) == pytest.approx((0.5 + 0.75 + 0.25) / 3)


def test_popularity_of_what_is_chosen(look: Look) -> None:
    found = numbers(look_at_popularity(look))
    assert found == {
        "popularity/positive": 3.0,
        "popularity/catalogue": 2.0,
        "popularity/chosen": pytest.approx(2 / 3),
    }
    assert look_at_popularity(replace(look, chosen=None)).keys() == found.keys() - {
        "popularity/chosen"
    }
    per_layer = torch.tensor([[[0, 1], [2, 2]]])
    assert mean_popularity(look.count, per_layer, torch.tensor([[1.0, 0.0]])) == 3


def test_training_links_are_found_again() -> None:
    """User 0 took items 0 and 1, which rank first and third: (1 + 1/2) / (1 + 1/log2(3))."""
    tables = {"user": torch.eye(2), "item": torch.tensor([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])}
    links = torch.tensor([[0, 0], [0, 1]])
    found = training_ndcg(tables, links, 2, 3, k=3)
    assert found == pytest.approx(1.5 / (1 + 1 / np.log2(3)), abs=1e-6)


def test_the_gap_is_at_the_first_k(look: Look) -> None:
    found = numbers(look_at_over_fitting(look))
    assert found == {"over-fitting/train": 0.8, "over-fitting/gap": pytest.approx(0.6)}
    unseen = replace(look, validated={})
    assert look_at_over_fitting(unseen).keys() == {"over-fitting/train"}
    assert look_at_over_fitting(replace(look, train=None)) == {}


def test_costs_of_some_steps_are_scaled_to_all() -> None:
    found = epoch_costs({"draw": 1.0, "backward": 2.0}, 0.25, training=20.0, evaluation=5.0)
    assert found == {"draw": 4.0, "backward": 8.0, "evaluation": 5.0, "rest": 8.0}
    assert sum(found.values()) == 25
    assert epoch_costs({"draw": 1.0}, 0.25, training=3.0)["rest"] == 0


def test_costs_of_a_look(look: Look) -> None:
    assert numbers(look_at_cost(look)) == {"cost/draw": 1.5}


# All ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(DIAGNOSTICS))
def test_names_begin_with_that_of_their_diagnostic(look: Look, name: str) -> None:
    found = DIAGNOSTICS[name](look)
    assert found
    for key, value in found.items():
        assert key.split("/")[0] in (name, "alignment" if name == "uniformity" else name)
        assert value.dim() == 0


@pytest.mark.parametrize("name", list(DIAGNOSTICS))
@pytest.mark.parametrize("bare", [False, True])
def test_no_diagnostic_waits_for_the_device(look: Look, name: str, bare: bool) -> None:
    """The `meta` device has shapes and no numbers: what reads one raises."""
    if bare:  # nothing that some samplers or runs do not have
        absent = ("candidates", "chosen", "weight", "chosen_score", "candidate_score", "liked")
        none: dict[str, Any] = dict.fromkeys((*absent, "train"))
        look = replace(look, **none, validated={}, seconds={})
    assert reads_nothing_back(DIAGNOSTICS[name], look)


def test_names_are_put_in_order() -> None:
    assert diagnostics_named("all") == tuple(DIAGNOSTICS)
    assert diagnostics_named("none") == diagnostics_named(()) == ()
    assert diagnostics_named(["gradient", "hardness"]) == ("hardness", "gradient")
    assert diagnostics_named("cost") == ("cost",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("hardnes", "did you mean 'hardness'"),
        (["all", "hardness,cost"], "names out of hardness"),
        ([3], r"got 3"),
        (["none", "cost"], "'none' alone"),
    ],
)
def test_wrong_names_are_refused_in_one_line(names: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        diagnostics_named(names)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
