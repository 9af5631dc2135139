"""Public benchmarks: where the papers' published splits are, and how to know that they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pyg_negsamp.datasets.adjacency import read_adjacency
from pyg_negsamp.datasets.download import download
from pyg_negsamp.datasets.log import (
    TEST,
    TRAIN,
    VAL,
    InteractionLog,
    pair_key,
    sorted_order,
    split_column,
)
from pyg_negsamp.errors import invalid

_RAW = "https://raw.githubusercontent.com"
AHNS = f"{_RAW}/Riwei-HEU/AHNS/HEAD/data"
DENS = f"{_RAW}/Riwei-HEU/DENS/HEAD/DENS/data"
LIGHTGCN = f"{_RAW}/gusye1234/LightGCN-PyTorch/HEAD/data"
MIXGCF = f"{_RAW}/huangtinglin/MixGCF/HEAD/data"


@dataclass(frozen=True)
class BenchmarkFile:
    """One part of a benchmark, as published.

    Attributes:
        name: File name.
        part: 0 train, 1 validation, 2 test.
        links: Links in the file, repeats included; `None` if not known.
        digest: `content_digest` of the file; `None` if not known.
    """

    name: str
    part: int
    links: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as published.

    Attributes:
        name: What to ask for.
        users: Number of users.
        items: Number of items.
        links: Links of all parts together, repeats included.
        url: Folder that the files are downloaded from.
        used_by: Papers that report numbers on this very split.
        files: The parts.
        offset_items: Whether item ids in the files start at `users` instead of zero.
    """

    name: str
    users: int
    items: int
    links: int
    url: str
    used_by: tuple[str, ...]
    files: tuple[BenchmarkFile, ...]
    offset_items: bool = False


def _adjacency(
    name: str, users: int, items: int, train: tuple[int, str], test: tuple[int, str],
    url: str, *used_by: str,
) -> Benchmark:  # fmt: skip
    files = (BenchmarkFile("train.txt", TRAIN, *train), BenchmarkFile("test.txt", TEST, *test))
    return Benchmark(name, users, items, train[0] + test[0], url, used_by, files)


def _pairs(name: str, users: int, items: int, links: int, url: str, *used_by: str) -> Benchmark:
    parts = (("train.txt", TRAIN), ("valid.txt", VAL), ("test.txt", TEST))
    files = tuple(BenchmarkFile(file, part) for file, part in parts)
    return Benchmark(name, users, items, links, url, used_by, files, offset_items=True)


_ALL = (
    _adjacency("gowalla", 29_858, 40_981, (810_128, "d453bfc18e5613d6"),
               (217_242, "dac9527045e35230"), f"{LIGHTGCN}/gowalla", "LightGCN"),
    _adjacency("yelp2018", 31_668, 38_048, (1_237_259, "57dc5c4771924bc2"),
               (324_147, "1cab41ea195cf475"), f"{LIGHTGCN}/yelp2018", "LightGCN", "DINS"),
    _adjacency("ml-1m", 6_040, 3_706, (800_005, "75fec3689423805f"),
               (200_204, "12996286e5312c55"), f"{AHNS}/ml", "AHNS"),
    _adjacency("amazon-phones", 27_879, 10_429, (155_163, "d642974473ff8b21"),
               (39_276, "24e7221a3b254b3b"), f"{AHNS}/phone", "AHNS"),
    _adjacency("amazon-tools", 16_638, 10_217, (107_772, "31832bf9838a16c5"),
               (26_704, "690656b8edaa6380"), f"{AHNS}/tool", "AHNS"),
    _adjacency("amazon-sports", 35_598, 18_357, (236_918, "32b4f8e872f8cb16"),
               (59_419, "eccf7066654deefc"), f"{AHNS}/sport", "AHNS"),
    _adjacency("amazon-baby", 4_314, 5_854, (31_567, "cefced3acdbe5801"),
               (11_090, "c785fd95bb2df1d2"), f"{DENS}/baby", "ANS"),
    _adjacency("amazon-beauty", 7_670, 10_887, (63_601, "c599fa2b8c653645"),
               (18_696, "574f86a2a8635efa"), f"{DENS}/beauty", "ANS"),
    _adjacency("lastfm", 640, 4_165, (90_136, "32fb3f5b4a962844"),
               (30_839, "41ddcc80766695e0"), f"{DENS}/lastfm", "ANS"),
    _pairs("alibaba", 106_042, 53_591, 907_407, f"{MIXGCF}/ali", "DINS", "MixGCF"),
    _pairs("amazon-electronics", 192_403, 63_001, 1_689_188, f"{MIXGCF}/amazon", "DINS", "MixGCF"),
)  # fmt: skip

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`; `ValueError` that lists all names if there is none."""
    if name not in BENCHMARKS:
        raise invalid("InteractionDataset", "name", f"one of {list(BENCHMARKS)}", repr(name))
    return BENCHMARKS[name]


def content_digest(users: Tensor, items: Tensor) -> str:
    """Fingerprint of a file's links that knows neither line order nor text layout.

    The first 16 hex digits of SHA-256 over all (user, item) pairs as little-endian int64,
    sorted by user, then item, repeats kept, row-major.

    Args:
        users: `[E]` int64.
        items: `[E]` int64.
    """
    pairs = torch.stack([users, items], dim=1)[sorted_order(pair_key(users, items))]
    return hashlib.sha256(pairs.numpy().astype("<i8").tobytes()).hexdigest()[:16]


def fetch_benchmark(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Paths of the benchmark's files in `folder`; only those missing are downloaded.

    Raises:
        DownloadError: If a file is neither there nor to be had.
    """
    paths = []
    for file in benchmark.files:
        path = folder / file.name
        if not path.is_file():
            download(f"{benchmark.url}/{file.name}", path, partial(_read, file))
        paths.append(path)
    return paths


def read_benchmark(benchmark: Benchmark, folder: Path) -> InteractionLog:
    """Reads and checks the files of a benchmark.

    Raises:
        ValueError: If a file or the whole is not what was published.
    """
    links = {file.part: _read(file, folder / file.name) for file in benchmark.files}
    user, item = torch.cat(list(links.values()), dim=1)
    if benchmark.offset_items:
        item = item - benchmark.users
    found = {
        "users": int(user.max()) + 1, "items": int(item.max()) + 1,
        "lowest item id": int(item.min()), "links": user.numel(),
    }  # fmt: skip
    expected = {
        "users": benchmark.users, "items": benchmark.items,
        "lowest item id": 0, "links": benchmark.links,
    }  # fmt: skip
    if found != expected:
        raise _not_as_published(folder, expected, found)
    split = split_column({part: part_links.size(1) for part, part_links in links.items()})
    return InteractionLog(user, item, benchmark.users, benchmark.items, split=split)


def _read(file: BenchmarkFile, path: Path) -> Tensor:
    """The links `[2, E]` of a file. A line `user item` is adjacency text as well."""
    links, _ = read_adjacency(path)
    if file.links not in (None, links.size(1)):
        raise _not_as_published(path, f"{file.links} links", f"{links.size(1)} links")
    if file.digest is not None and (digest := content_digest(*links)) != file.digest:
        raise _not_as_published(path, f"content digest {file.digest}", digest)
    return links


def _not_as_published(path: Path, expected: object, got: object) -> ValueError:
    return invalid(
        "InteractionDataset", str(path),
        f"as published, {expected}; move it away to have it downloaded again, or load your own "
        "version with InteractionDataset.from_files", got,
    )  # fmt: skip
