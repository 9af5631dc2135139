"""Where something was computed, and how much memory that took."""

from __future__ import annotations

import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch


def machine() -> dict[str, Any]:
    """What numbers depend on besides configuration, data and code; `gpu` where one was used."""
    found = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }
    return {**found, "gpu": torch.cuda.get_device_name()} if torch.cuda.is_initialized() else found


def allocations() -> int:
    """How often torch has allocated memory of a GPU; 0 without one."""
    return int(torch.cuda.memory_stats().get("allocation.all.allocated", 0))


class Peak:
    """The most memory held since this was made.

    Of a GPU, if one is used: what torch had allocated there. Else what of the process was in
    memory, data and libraries included. Linux and CUDA can begin anew; elsewhere it is the most
    since the process began.
    """

    def __init__(self) -> None:
        self.before = allocations()
        if torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats()
        with suppress(OSError):  # of Linux, if it lets us
            Path("/proc/self/clear_refs").write_text("5")

    def mb(self) -> float:
        """The peak in megabytes, of 10^6 bytes."""
        if allocations() > self.before:
            return torch.cuda.max_memory_allocated() / 1e6
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
        if sys.platform == "win32":
            return float(psutil.Process().memory_info().peak_wset) / 1e6
        import resource  # which Windows has not

        unit = 1 if sys.platform == "darwin" else 1024  # bytes, elsewhere KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
