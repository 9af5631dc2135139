"""What the cache gives back is what was put in, or is built anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyg_negsamp.datasets import cache
from pyg_negsamp.datasets.cache import cache_file, load_or_build

Tensors = dict[str, Tensor]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYG_NEGSAMP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "source.txt").write_text("0 1")
    return tmp_path / "source.txt"


def tensors() -> Tensors:
    generator = torch.Generator().manual_seed(0)
    return {
        "links": torch.randint(100, (2, 300), generator=generator),
        "sizes": torch.tensor([100, 100]),
    }


class Builder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Tensors:
        self.count += 1
        return tensors()


def same(found: Tensors) -> bool:
    return found.keys() == tensors().keys() and all(
        torch.equal(found[name], x) for name, x in tensors().items()
    )


def test_builds_once(source: Path) -> None:
    build = Builder()
    for _ in range(3):
        assert same(load_or_build("x", [source], build))
    assert build.count == 1
    load_or_build("x", [source], build, rebuild=True)
    source.write_text("0 2")
    load_or_build("x", [source], build)
    assert build.count == 3


def test_no_flipped_bit_goes_unseen(source: Path) -> None:
    build, dice = Builder(), random.Random(0)
    load_or_build("x", [source], build)
    file = cache_file("x", [source])
    whole = file.read_bytes()
    spots = [dice.randrange(8 * len(whole)) for _ in range(200)]
    header = [dice.randrange(8 * 300) for _ in range(200)]
    for spot in [*spots, *header]:
        damaged = bytearray(whole)
        damaged[spot // 8] ^= 1 << spot % 8
        file.write_bytes(damaged)
        assert same(load_or_build("x", [source], build)), spot


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "wrong", [cut, lambda data: b"", lambda data: b"x" * 90, lambda data: data + b"0"]
)
def test_whatever_else_lies_there_is_built_anew(
    source: Path, wrong: Callable[[bytes], bytes]
) -> None:
    build = Builder()
    load_or_build("x", [source], build)
    file = cache_file("x", [source])
    file.write_bytes(wrong(file.read_bytes()))
    assert same(load_or_build("x", [source], build))
    assert build.count == 2


def test_another_file_of_ours_is_not_taken(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_build("x", [source], lambda: {"other": torch.ones(3)})
    file = cache_file("x", [source])
    monkeypatch.setattr(cache, "digest", lambda tensors: "elsewhere")
    build = Builder()
    assert same(load_or_build("x", [source], build))
    assert build.count == 1
    assert file.exists()
