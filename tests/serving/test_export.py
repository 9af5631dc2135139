"""What another program reads is what was given: every format read back by its own library."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from pyg_negsamp.serving import export
from pyg_negsamp.serving.export import export_tables

U, I, D = 7, 11, 4  # noqa: E741

FILES = {
    "parquet": ["items.parquet", "users.parquet"],
    "npy": ["item_ids.parquet", "items.npy", "user_ids.parquet", "users.npy"],
    "onnx": ["items.parquet", "ranking.onnx", "users.parquet"],
    "faiss": ["items.faiss", "items.parquet", "users.parquet"],
}
NEEDS = {"onnx": ("onnx", "onnxruntime"), "faiss": ("faiss",)}


@pytest.fixture(params=list(FILES))
def format(request: pytest.FixtureRequest) -> str:
    for module in NEEDS.get(request.param, ()):
        pytest.importorskip(module)
    return str(request.param)


@pytest.fixture
def given() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "user_ids": pd.Index([f"customer {n}" for n in range(U)]),
        "item_ids": pd.Index(range(100, 100 + I)),
        "user": torch.randn(U, D, generator=generator),
        "item": torch.randn(I, D, generator=generator),
    }


def vectors(file: Path) -> Tensor:
    return torch.tensor(np.stack(pd.read_parquet(file)["vector"].to_list()))


def check_ids(folder: Path, given: dict[str, Any]) -> None:
    assert pd.read_parquet(folder / "users.parquet")["user"].tolist() == list(given["user_ids"])
    assert pd.read_parquet(folder / "items.parquet")["item"].tolist() == list(given["item_ids"])
    assert torch.equal(vectors(folder / "users.parquet"), given["user"])


def test_files_are_named_and_whole(given: dict[str, Any], tmp_path: Path, format: str) -> None:
    to = tmp_path / "deep" / "down"
    files = export_tables(**given, format=format, to=to)
    assert files == [to / name for name in FILES[format]]
    assert sorted(to.iterdir()) == files
    assert list(to.parent.iterdir()) == [to]  # nothing half-written is left


def test_parquet(given: dict[str, Any], tmp_path: Path) -> None:
    export_tables(**given, format="parquet", to=tmp_path / "out")
    check_ids(tmp_path / "out", given)
    assert torch.equal(vectors(tmp_path / "out" / "items.parquet"), given["item"])
    table = pq.read_table(tmp_path / "out" / "items.parquet")
    assert table.column_names == ["item", "vector"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[4]"
    assert str(table.schema.field("item").type) == "int64"


def test_npy(given: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_tables(**given, format="npy", to=out)
    for name in ("user", "item"):
        array = np.load(out / f"{name}s.npy")
        assert array.dtype == np.float32
        assert np.array_equal(array, given[name].numpy())
        ids = pd.read_parquet(out / f"{name}_ids.parquet")
        assert ids.columns.tolist() == [name]
        assert ids[name].tolist() == list(given[f"{name}_ids"])


@pytest.mark.parametrize("k", [1, 5, I])
def test_onnx_ranks_as_the_product_does(given: dict[str, Any], tmp_path: Path, k: int) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    export_tables(**given, format="onnx", to=tmp_path / "out")
    check_ids(tmp_path / "out", given)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "ranking.onnx")
    assert [(x.name, x.shape, x.type) for x in session.get_inputs()] == [
        ("user", ["b", D], "tensor(float)"),
        ("k", [1], "tensor(int64)"),
    ]
    for rows in (slice(0, 1), slice(0, U)):  # any number of users
        asked = {"user": given["user"][rows].numpy(), "k": np.array([k])}
        item, score = session.run(["item", "score"], asked)
        best = (given["user"][rows] @ given["item"].t()).topk(k)
        assert np.array_equal(item, best.indices.numpy())
        np.testing.assert_allclose(score, best.values.numpy(), rtol=1e-5, atol=1e-6)


def test_onnx_prefers_the_earlier_of_equals(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    ids = pd.Index(range(5))
    export_tables(ids, ids, torch.ones(5, 2), torch.ones(5, 2), "onnx", tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "ranking.onnx")
    item, _ = session.run(None, {"user": np.ones((1, 2), np.float32), "k": np.array([3])})
    assert item.tolist() == [[0, 1, 2]]


def test_a_table_too_large_for_onnx_is_refused(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr(export, "ONNX_BYTES", 4 * I * D - 1)
    with pytest.raises(ValueError, match=r"^export: 'item' must be less than 2 GiB"):
        export_tables(**given, format="onnx", to=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_faiss_finds_what_the_product_finds(given: dict[str, Any], tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    export_tables(**given, format="faiss", to=tmp_path / "out")
    check_ids(tmp_path / "out", given)
    index = faiss.read_index(str(tmp_path / "out" / "items.faiss"))
    assert isinstance(index, faiss.IndexFlatIP)
    score, item = index.search(given["user"].numpy(), 5)
    best = (given["user"] @ given["item"].t()).topk(5)
    assert np.array_equal(item, best.indices.numpy())
    np.testing.assert_allclose(score, best.values.numpy(), rtol=1e-5, atol=1e-6)


def test_any_float_and_layout_becomes_the_same_file(
    given: dict[str, Any], tmp_path: Path, format: str
) -> None:
    export_tables(**given, format=format, to=tmp_path / "plain")
    twisted = {
        "user": given["user"].double().requires_grad_(),
        "item": given["item"].t().contiguous().t(),
    }
    export_tables(**(given | twisted), format=format, to=tmp_path / "twisted")
    for name in FILES[format]:
        plain, other = (tmp_path / out / name for out in ("plain", "twisted"))
        assert plain.read_bytes() == other.read_bytes()


def test_an_error_while_writing_leaves_nothing(
    given: dict[str, Any], tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="no space left"):
        export_tables(**given, format=format, to=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.undo()
    assert export_tables(**given, format=format, to=tmp_path / "out")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_stays(given: dict[str, Any], tmp_path: Path, kind: str) -> None:
    to = tmp_path / "out"
    there = to / "thesis.tex" if kind == "folder" else to
    there.parent.mkdir(exist_ok=True)
    there.write_text("years of work")
    with pytest.raises(ValueError, match=r"^export: 'to' must be a new or an empty folder"):
        export_tables(**given, format="npy", to=to)
    assert there.read_text() == "years of work"


@pytest.mark.parametrize("name", ["onnx", "faiss"])
def test_a_missing_extra_is_one_line_that_names_it(
    given: dict[str, Any], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"^export: the format \w+ needs") as raised:
        export_tables(**given, format=name, to=tmp_path / "out")
    assert f'pip install "pyg_negsamp[{name}]"' in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "csv"}, r"'format' must be one of .*parquet.*'csv'"),
        ({"user": torch.zeros(U - 1, D)}, r"'user' must be \[7, D\].*\[6, 4\]"),
        ({"item": torch.zeros(I)}, r"'item' must be \[11, D\].*\[11\]"),
        ({"item": torch.zeros(I, D + 1)}, r"'item' must be of the users' width, 4 .*\[11, 5\]"),
        ({"user": torch.full((U, D), torch.nan)}, "'user' must be finite"),
    ],
)
def test_refusals(
    given: dict[str, Any], tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^export: {message}"):
        export_tables(**{**given, "format": "npy", "to": tmp_path / "out", **wrong})
    assert not list(tmp_path.iterdir())


def test_ids_may_say_how_many_links_they_were_trained_on(
    given: dict[str, Any], tmp_path: Path
) -> None:
    links = {"user_links": torch.arange(U), "item_links": torch.arange(I) % 2}
    for format, suffix in (("parquet", "s"), ("npy", "_ids")):
        export_tables(**given, format=format, to=tmp_path / format, **links)
        for name in ("user", "item"):
            found = pd.read_parquet(tmp_path / format / f"{name}{suffix}.parquet")
            assert found["links"].tolist() == links[f"{name}_links"].tolist()
