"""Named benchmarks: what is published, what is cached, and what is refused."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pyg_negsamp.datasets import (
    BENCHMARKS,
    Benchmark,
    BenchmarkFile,
    DownloadError,
    InteractionDataset,
    content_digest,
)
from pyg_negsamp.datasets import benchmarks as registry
from pyg_negsamp.datasets import cache as cache_module
from pyg_negsamp.graph import EDGE_TYPE

TRAIN = "0 1 2 2\n1 0 1 3\n2 0\n"
TEST = "0 0 1\n1 2\n"
DIGEST = content_digest(torch.tensor([0, 0, 0, 1, 1, 1, 2]), torch.tensor([1, 2, 2, 0, 1, 3, 0]))
TINY = Benchmark(
    "tiny", 3, 4, 10, "http://127.0.0.1:9/none", ("nobody",),
    (
        BenchmarkFile("train.txt", 0, 7, DIGEST),
        BenchmarkFile("test.txt", 2, 3),
    ),
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with a tiny registered benchmark."""
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text(TRAIN)
    (folder / "test.txt").write_text(TEST)
    monkeypatch.setitem(BENCHMARKS, "tiny", TINY)
    return folder.parent


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were parsed so far."""
    parsed: list[Path] = []
    read = registry.read_adjacency

    def spy(path: Path) -> tuple[torch.Tensor, int]:
        parsed.append(path)
        return read(path)

    monkeypatch.setattr(registry, "read_adjacency", spy)
    return parsed


def links(dataset: InteractionDataset) -> list[list[list[int]]]:
    return [graph[EDGE_TYPE].edge_label_index.T.tolist() for graph in dataset]


def test_second_load_comes_from_the_cache(root: Path, cache: Path, reads: list[Path]) -> None:
    first = InteractionDataset(root, "tiny")
    assert len(reads) == 2
    second = InteractionDataset(root, "tiny")
    assert len(reads) == 2
    assert links(first) == links(second)
    assert first.summary() == second.summary()
    assert second.summary()["duplicates"] == second.summary()["train_test_overlap"] == 1
    assert len(list(cache.iterdir())) == 1
    InteractionDataset(root, "tiny", force_reload=True)
    assert len(reads) == 4


def test_cache_holds_plain_tensors(root: Path, cache: Path) -> None:
    InteractionDataset(root, "tiny")
    tensors = load_file(next(cache.iterdir()))
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())


def test_kept_duplicates_are_cached_apart(root: Path) -> None:
    for _ in range(2):
        dropped = InteractionDataset(root, "tiny")
        kept = InteractionDataset(root, "tiny", duplicates="keep")
        assert dropped.interactions[EDGE_TYPE].edge_index.size(1) == 8
        assert kept.interactions[EDGE_TYPE].edge_index.size(1) == 9


@pytest.mark.parametrize("change", ["size", "content", "folder"])
def test_changed_source_outdates_the_cache(
    root: Path, reads: list[Path], tmp_path: Path, change: str
) -> None:
    """Another size at the same time, the same size at another, or another file alike in both."""
    file = root / "tiny" / "test.txt"
    before = file.stat()
    earlier = links(InteractionDataset(root, "tiny"))
    if change == "folder":
        root = shutil.copytree(root, tmp_path / "copy")
        file = root / "tiny" / "test.txt"
    text = file.read_text()
    other = text + "\n" if change == "size" else text.replace("0 0", "0 3")
    assert (len(other) == len(text)) == (change != "size")
    file.write_text(other)
    later = before.st_mtime_ns + (10**7 if change == "content" else 0)
    os.utime(file, ns=(later, later))
    again = links(InteractionDataset(root, "tiny"))
    assert len(reads) == 4
    assert (again == earlier) == (change == "size")


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "list", "code"])
def test_damaged_cache_is_rebuilt_and_runs_no_code(
    root: Path, cache: Path, reads: list[Path], tmp_path: Path, damage: str
) -> None:
    expected = links(InteractionDataset(root, "tiny"))
    file = next(cache.iterdir())
    whole = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        file.write_text("not a tensor")
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "list":
        torch.save([1, 2], file)
    else:
        torch.save({"links": Touch(tmp_path / "hacked")}, file)
    assert links(InteractionDataset(root, "tiny")) == expected
    assert not (tmp_path / "hacked").exists()
    assert len(reads) == 4
    assert links(InteractionDataset(root, "tiny")) == expected
    assert len(reads) == 4  # whole again


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_damage_by_code_would_run_if_it_were_trusted(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Touch(tmp_path / "hacked")))
    assert (tmp_path / "hacked").exists()


def test_unwritable_cache_is_no_obstacle(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[Path]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PYG_NEGSAMP_CACHE", str(tmp_path / "file" / "cache"))
    expected = links(InteractionDataset(root, "tiny"))
    assert links(InteractionDataset(root, "tiny")) == expected
    assert len(reads) == 4


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYG_NEGSAMP_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert cache_module.cache_folder() == Path("/a")
    monkeypatch.delenv("PYG_NEGSAMP_CACHE")
    assert cache_module.cache_folder() == Path("/b/pyg_negsamp")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_module.cache_folder() == Path("/c/.cache/pyg_negsamp")


def test_sources_are_never_written_to(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    InteractionDataset(root, "tiny")
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before


def test_unknown_name_lists_all_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'name' must be one of .*gowalla.*got 'gowala'"):
        InteractionDataset(tmp_path, "gowala")


def test_missing_file_that_cannot_be_had_says_where_to_put_it(root: Path) -> None:
    (root / "tiny" / "test.txt").unlink()
    with pytest.raises(DownloadError, match=r"none/test\.txt.*tiny/test\.txt"):
        InteractionDataset(root, "tiny")
    assert [path.name for path in (root / "tiny").iterdir()] == ["train.txt"]


def test_missing_file_is_fetched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = links(InteractionDataset(root, "tiny"))
    elsewhere = root / "elsewhere"
    (root / "tiny").rename(elsewhere)
    monkeypatch.setitem(BENCHMARKS, "tiny", replace(TINY, url=elsewhere.as_uri()))
    assert links(InteractionDataset(root, "tiny")) == expected
    assert sorted(path.name for path in (root / "tiny").iterdir()) == ["test.txt", "train.txt"]


def test_download_of_other_content_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = root / "elsewhere"
    (root / "tiny").rename(elsewhere)
    (elsewhere / "train.txt").write_text(TRAIN.replace("3", "2"))
    monkeypatch.setitem(BENCHMARKS, "tiny", replace(TINY, url=elsewhere.as_uri()))
    with pytest.raises(DownloadError, match="content digest"):
        InteractionDataset(root, "tiny")
    assert list((root / "tiny").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.txt", TRAIN.replace("3", "2"), r"train\.txt.*content digest \w{16};.*from_files"),
        ("train.txt", TRAIN + "2 1\n", r"train\.txt.*7 links.*got 8 links"),
        ("test.txt", "0 0 1\n1 7\n", r"tiny'.*'items': 4.*'items': 8"),
    ],
)
def test_file_that_is_not_as_published_is_refused(
    root: Path, cache: Path, file: str, text: str, message: str
) -> None:
    (root / "tiny" / file).write_text(text)
    with pytest.raises(ValueError, match=f"as published, .*{message}|{message}"):
        InteractionDataset(root, "tiny")
    assert not cache.exists()


def test_item_ids_after_user_ids_and_a_validation_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("train", "0 2\n0 3\n1 4\n"), ("valid", "0 4\n"), ("test", "1 2\n")):
        (root / "tiny" / f"{name}.txt").write_text(text)
    files = tuple(
        BenchmarkFile(f"{n}.txt", p) for n, p in (("train", 0), ("valid", 1), ("test", 2))
    )
    pairs = Benchmark("tiny", 2, 3, 5, "", (), files, offset_items=True)
    monkeypatch.setitem(BENCHMARKS, "tiny", pairs)
    expected = [[[0, 0], [0, 1], [1, 2]], [[0, 2]], [[1, 0]]]
    assert links(InteractionDataset(root, "tiny")) == expected
    monkeypatch.setitem(BENCHMARKS, "tiny", replace(pairs, users=4, items=1))
    with pytest.raises(ValueError, match="'lowest item id': -2"):
        InteractionDataset(root, "tiny", force_reload=True)


def test_digest_ignores_order_but_counts_repeats() -> None:
    user, item = torch.tensor([3, 0, 0, 3, 3]), torch.tensor([1, 9, 2, 0, 1])
    order = torch.tensor([4, 2, 0, 3, 1])
    assert content_digest(user, item) == content_digest(user[order], item[order])
    assert content_digest(user, item) != content_digest(user[:-1], item[:-1])
    assert content_digest(user, item) != content_digest(item, user)


def test_registry_is_complete() -> None:
    assert len(BENCHMARKS) == 11
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        assert benchmark.used_by
        assert benchmark.url.startswith("https://")
        assert {file.part for file in benchmark.files} >= {0, 2}
        known = [file.links for file in benchmark.files if file.links is not None]
        assert not known or sum(known) == benchmark.links


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_published_files_are_what_the_registry_says(benchmarks: Path, name: str) -> None:
    if not (benchmarks / name / "train.txt").is_file():
        pytest.skip(f"no files of {name}")
    dataset = InteractionDataset(benchmarks, name)  # checks digests and counts itself
    summary = dataset.summary()
    benchmark = BENCHMARKS[name]
    assert (summary["users"], summary["items"]) == (benchmark.users, benchmark.items)
    if name == "lastfm":
        assert summary["duplicates"] == 77_097
        assert summary["train_test_overlap"] == 3_518
    else:
        assert summary["duplicates"] == summary["train_test_overlap"] == 0
        assert summary["links"] == benchmark.links
        assert summary["val_links"] / benchmark.files[0].links == pytest.approx(0.1, abs=0.005)


def test_duplicates_kept_in_lastfm(benchmarks: Path) -> None:
    if not (benchmarks / "lastfm" / "train.txt").is_file():
        pytest.skip("no files of lastfm")
    kept = InteractionDataset(benchmarks, "lastfm", duplicates="keep").summary()
    dropped = InteractionDataset(benchmarks, "lastfm").summary()
    assert kept["train_links"] > 5 * dropped["train_links"]
    assert (kept["val_links"], kept["test_links"]) == (dropped["val_links"], 6_014 - 3_518)


def test_k_core_comes_after_the_cache(root: Path, cache: Path, reads: list[Path]) -> None:
    whole = InteractionDataset(root, "tiny")
    core = InteractionDataset(root, "tiny", k_core=(2, 1))
    again = InteractionDataset(root, "tiny")
    assert len(reads) == 2
    assert len(list(cache.iterdir())) == 1
    assert links(again) == links(whole)
    assert core.user_ids.tolist() == [0, 1]
    summary = core.summary()
    assert summary["k_core_removed_users"] == 1
    assert summary["users"] == 2
