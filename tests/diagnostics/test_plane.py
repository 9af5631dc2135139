"""Projections into a plane: what PCA keeps, and how t-SNE is called."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pyg_negsamp.diagnostics import in_plane

#: In the plane of the second and the third of four dimensions, away from the origin.
FLAT = {
    "a": torch.tensor([[9.0, 1.0, 0.0, 5.0], [9.0, 7.0, 0.0, 5.0]]),
    "b": torch.tensor([[9.0, 4.0, 2.0, 5.0], [9.0, 4.0, -2.0, 5.0]]),
}


def test_pca_by_hand() -> None:
    # The mean is (9, 4, 0, 5); most of the spread is along the second dimension.
    points = in_plane(FLAT)
    expected = {"a": [[-3.0, 0.0], [3.0, 0.0]], "b": [[0.0, 2.0], [0.0, -2.0]]}
    for name, rows in expected.items():
        torch.testing.assert_close(points[name], torch.tensor(rows).double())
    centred = in_plane({**FLAT, "c": FLAT["a"][1:]}, centre="c")
    torch.testing.assert_close(centred["c"], torch.zeros(1, 2).double())


def test_pca_keeps_what_is_flat() -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(12, 2, generator=generator) @ torch.randn(2, 6, generator=generator)
    points = in_plane({"x": flat[:5], "y": flat[5:]})
    together = torch.cat([points["x"], points["y"]])
    torch.testing.assert_close(torch.cdist(together, together).float(), torch.cdist(flat, flat))
    # The same points, whatever the directions' signs.
    again = in_plane({"x": flat[:5], "y": flat[5:]})
    assert all(torch.equal(points[name], again[name]) for name in points)


@pytest.mark.parametrize("by", ["pca", "t-sne"])
def test_limits(by: str, request: pytest.FixtureRequest) -> None:
    if by == "t-sne":
        request.getfixturevalue("t_sne")
    for x in (torch.ones(1, 3), torch.ones(4, 3)):  # one point; all equal
        assert in_plane({"x": x}, by)["x"].abs().max() == 0
    points = in_plane({"x": torch.tensor([[1.0], [3.0]]), "none": torch.empty(0, 1)}, by)
    assert points["x"].shape == (2, 2)
    assert points["none"].shape == (0, 2)
    half = torch.ones(2, 3, requires_grad=True).half()
    assert not in_plane({"x": half}, by)["x"].requires_grad


class TSNE:
    """Stands for scikit-learn's: gives what it begins at, and keeps what it was told."""

    told: dict[str, Any]

    def __init__(self, **told: Any) -> None:
        TSNE.told = told

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        assert TSNE.told["perplexity"] < len(x)
        start: np.ndarray = TSNE.told["init"]
        return start


@pytest.fixture
def t_sne(monkeypatch: pytest.MonkeyPatch) -> None:
    manifold = ModuleType("sklearn.manifold")
    manifold.TSNE = TSNE  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sklearn", ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.manifold", manifold)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)


@pytest.mark.usefixtures("t_sne")
def test_t_sne_begins_at_pca() -> None:
    points = in_plane(FLAT, by="t-sne", centre="a", seed=3)
    assert TSNE.told["random_state"] == 3
    assert TSNE.told["perplexity"] == 1  # a third of the other three
    # The first axis of PCA is -3, 3, 0, 0, whose deviation is sqrt(18 / 3).
    expected = 1e-4 / 6**0.5 * in_plane(FLAT, centre="a")["b"]
    torch.testing.assert_close(points["b"], expected, rtol=1e-5, atol=1e-9)


def test_t_sne_itself() -> None:
    pytest.importorskip("sklearn")
    generator = torch.Generator().manual_seed(0)
    near, far = torch.randn(2, 20, 8, generator=generator)
    points = in_plane({"near": near, "far": far + 50}, by="t-sne")
    assert torch.cdist(points["near"], points["far"]).min() > 0
    again = in_plane({"near": near, "far": far + 50}, by="t-sne")
    torch.testing.assert_close(points["near"], again["near"])


def test_t_sne_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'^t-SNE needs .*: pip install "pyg_negsamp\[tsne\]"$'):
        in_plane(FLAT, by="t-sne")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"groups": {}}, r"'groups' must be vectors \[n, D\] by name"),
        ({"groups": FLAT["a"]}, r"'groups' must be vectors \[n, D\] by name"),
        ({"groups": {"a": FLAT["a"][:0]}}, "'groups' must be of finite vectors, at least one"),
        ({"groups": {"a": FLAT["a"] / 0}}, "'groups' must be of finite vectors"),
        ({"groups": {**FLAT, "owner": torch.ones(2, 3)}}, r"'owner' must be numbers \[2, 4\]"),
        ({"groups": FLAT, "centre": "c"}, "'centre' must be a group with vectors: a, b"),
        ({"groups": FLAT, "by": "umap"}, "'by' must be one of 'pca', 't-sne'"),
        ({"groups": FLAT, "seed": 0.5}, "'seed' must be a whole number"),
    ],
)
def test_refuses_what_is_wrong(arguments: dict[str, Tensor], said: str) -> None:
    with pytest.raises(ValueError, match=f"^in_plane: {said}"):
        in_plane(**arguments)  # type: ignore[arg-type]
