"""A stopwatch, and how near a measurement comes to what the machine can do."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch


def stolen_seconds() -> float:
    """CPU time that the host of a virtual machine gave to others since it started, all cores."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    return int(stat.read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")


def run_parser(description: str | None) -> argparse.ArgumentParser:
    """The flags of a script that measures a run: which data, which encoder and sampler."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dataset", default="small")
    parser.add_argument("--root", default="datasets")
    parser.add_argument("--encoder", default="mf")
    parser.add_argument("--neg", default="dns")
    parser.add_argument("--num-candidates", type=int, default=32)
    return parser


class Cost(NamedTuple):
    """What something cannot do without.

    Attributes:
        bytes: Bytes to move.
        operations: Floating-point operations.
    """

    bytes: float = 0.0
    operations: float = 0.0

    def times(self, factor: float) -> Cost:
        """As often as that."""
        return Cost(self.bytes * factor, self.operations * factor)


@dataclass
class Row:
    """One measurement.

    Attributes:
        stage: Which of `STAGES`.
        name: What was run.
        ms: Median, in milliseconds; 0 where only memory was read.
        cost: What it cannot do without.
        peer: Whether it is somebody else's code.
        peak_mb: Most memory held, in MB; 0 where it was not read.
    """

    stage: str
    name: str
    ms: float = 0.0
    cost: Cost = Cost()  # noqa: RUF009
    peer: bool = False
    peak_mb: float = 0.0


def median_seconds(run: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of `run`, after one that does not count."""

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    times = []
    for _ in range(repeats + 1):
        wait()
        started = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


class Bench:
    """Times things on one device, and keeps the rows."""

    def __init__(self, device: str, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.rows: list[Row] = []

    @cached_property
    def bandwidth(self) -> float:
        """Bytes per second of a copy."""
        copied = torch.randn(2**25, device=self.device)
        target = torch.empty_like(copied)
        return 2 * copied.nbytes / self.time(lambda: target.copy_(copied))

    @cached_property
    def rate(self) -> float:
        """Operations per second of a matrix product."""
        size = 2048
        square = torch.randn(size, size, device=self.device)
        return 2 * size**3 / self.time(lambda: square @ square)

    def time(self, run: Callable[[], object], repeats: int = 0) -> float:
        """Median seconds of `run`, after one that does not count."""
        return median_seconds(run, self.device, repeats or self.repeats)

    def add(
        self,
        stage: str,
        name: str,
        run: Callable[[], object],
        cost: Cost = Cost(),  # noqa: B008
        peer: bool = False,
        repeats: int = 0,
    ) -> Row:
        """Times `run` and prints its row."""
        row = Row(stage, name, self.time(run, repeats) * 1e3, cost, peer)
        self.keep(row)
        return row

    def keep(self, row: Row) -> None:
        """Notes a row, and prints it."""
        self.rows.append(row)
        self.show(row)

    def limit(self, row: Row) -> float:
        """The least milliseconds that this machine needs for a row; 0 if not counted."""
        return 1e3 * max(row.cost.bytes / self.bandwidth, row.cost.operations / self.rate)

    def show(self, row: Row) -> None:
        """Prints a row, its traffic and its share of the limit."""
        line = f"{row.stage:<10} {row.name:<44}"
        if row.ms:
            line += f" {row.ms:>10.2f} ms"
        if row.peak_mb:
            line += f" {row.peak_mb:>10.0f} MB at most"
        if limit := self.limit(row):
            line += (
                f" {row.cost.bytes / 1e6:>8.0f} MB {row.cost.operations / 1e6:>9.0f} MFLOP"
                f" {limit / row.ms:>6.0%} of the limit"
            )
        print(line, flush=True)

    def ms(self, name: str) -> float | None:
        """The time of a row, if it was measured."""
        return next((row.ms for row in self.rows if row.name == name), None)
