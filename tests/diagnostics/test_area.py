"""The sampled area, by hand and of samplers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pyg_negsamp.diagnostics import in_plane, log_volume, sampled_area
from pyg_negsamp.layers import POOLS, gather_rows, pool_layers, pool_rows
from pyg_negsamp.testing import toy
from pyg_negsamp.transforms import DINS, DNS, SDNS, Negatives


def test_volume_by_hand() -> None:
    positive = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    boundary = torch.tensor([[[2.0, 1.0], [-0.5, 4.0]], [[1.0, 3.0], [2.0, 2.0]]])
    # 2 * 1, 0.5 * 4; 0 * 2, 1 * 1.
    expected = torch.tensor([[math.log(2), math.log(2)], [-torch.inf, 0.0]])
    torch.testing.assert_close(log_volume(positive, boundary), expected)
    assert log_volume(positive, boundary[:, :0]).shape == (2, 0)
    # So many dimensions that the volume itself is 0 in any floating point.
    many = log_volume(torch.zeros(1, 1000), torch.full((1, 1, 1000), 0.1))
    assert many.item() == pytest.approx(1000 * math.log(0.1), rel=1e-5)


@pytest.mark.parametrize(("num_layers", "pool"), [(0, "mean"), *((2, pool) for pool in POOLS)])
@pytest.mark.parametrize("sampler", [DNS, SDNS, DINS])
def test_of_samplers(sampler: Any, num_layers: int, pool: str) -> None:
    problem = toy(num_layers)
    made = sampler(problem.data, pool=pool, num_candidates=4, num_negatives=2)
    negatives = made.sample(problem.user, problem.pos, problem.user_xs, problem.item_xs)
    area = sampled_area(negatives, problem.pos, problem.item_xs, pool)
    assert area.boundary.shape == area.negative.shape
    expected = pool_layers(problem.item_xs, pool)[problem.pos]
    torch.testing.assert_close(area.positive, expected)
    for row, index in zip(area.boundary, negatives.index, strict=True):
        for vector, of_layers in zip(row, index, strict=True):
            ids = of_layers.reshape(1, -1) if index.dim() == 2 else of_layers.reshape(1)
            torch.testing.assert_close(
                vector, pool_rows(gather_rows(problem.item_xs, ids), pool)[0]
            )
    assert (sampler is DNS) == torch.allclose(area.negative, area.boundary)
    points = in_plane(area.groups, centre="positive")
    assert {name: len(x) for name, x in points.items()} == {
        "positive": 9,
        "boundary": 18,
        "negative": 18,
    }


@pytest.mark.parametrize("num_layers", [0, 2])
@pytest.mark.parametrize(("sampler", "area_wise"), [(DNS, False), (SDNS, False), (DINS, True)])
def test_a_point_a_line_an_area(sampler: Any, area_wise: bool, num_layers: int) -> None:
    """With all layers side by side, each with the box of its own."""
    problem = toy(num_layers)
    negatives = sampler(problem.data, num_candidates=4).sample(
        problem.user, problem.pos, problem.user_xs, problem.item_xs
    )
    area = sampled_area(negatives, problem.pos, problem.item_xs, pool="concat")
    between, whole = (x - area.positive.unsqueeze(1) for x in (area.negative, area.boundary))
    share = between / whole  # 0 is the positive, 1 the boundary item
    assert (share > -1e-9).all()
    assert (share < 1 + 1e-9).all()
    width = share.amax(dim=2) - share.amin(dim=2)
    assert (width > 0.01).all() if area_wise else (width < 1e-6).all()
    torch.testing.assert_close(area.log_volume, whole.abs().prod(dim=2).log())


def test_refuses_what_is_wrong() -> None:
    xs, items = torch.zeros(2, 3, 1, 4), torch.zeros(9, 4)
    index, pos = torch.zeros(2, 3).long(), torch.tensor([1, 2])
    for negatives, got in ((Negatives(None, xs), "index=None"), (None, "None")):
        with pytest.raises(ValueError, match=rf"^sampled_area: 'negatives' must .* \(got {got}\)"):
            sampled_area(negatives, pos, items)  # type: ignore[arg-type]
    for given, said in (
        ((pos[:1], items), r"'index' must be ids \[1, K\]"),
        ((pos, torch.zeros(9, 5)), "'item_xs' must be 1 layers of width 4"),
        ((pos, [items, items]), "'item_xs' must be 1 layers of width 4"),
        ((pos, items, "max"), "'pool' must be one of"),
    ):
        with pytest.raises(ValueError, match=f"^sampled_area: {said}"):
            sampled_area(Negatives(index, xs), *given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^log_volume: 'boundary' must be numbers \[9, K, 4\]"):
        log_volume(items, items)
