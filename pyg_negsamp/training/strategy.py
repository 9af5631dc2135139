"""How ranks come about and end: lightning's DDP, whose gradients are exchanged by the step itself.

Lightning starts the other ranks of a machine by running the whole command again. If one dies, all
end: who waits for it hears of it at once, and a thread sees to those who are busy.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from pyg_negsamp.training.ranks import RankLostError, Ranks

LOST = "another rank has ended, and the run needs all of them"
#: Seconds between looks at the other ranks, and those in which one may still say what was wrong.
LOOK, GRACE = 0.5, 4.0
#: Where a rank that was started by the first one finds the number of that process.
STARTED_BY = "PYG_NEGSAMP_STARTED_BY"
#: What torch says, in its own words only, of a connection that broke.
BROKEN = re.compile("gloo|nccl|connection (closed|reset)|broken pipe|tcpstore", re.IGNORECASE)

#: The ranks that this process has started, which take part in all its runs.
started: list[subprocess.Popen[bytes]] = []


class RanksStrategy(DDPStrategy):
    """DDP without a wrapper around the model: :class:`Ranks` keeps parameters the same."""

    def configure_ddp(self) -> None:
        """Wraps nothing."""

    def on_train_start(self) -> None:
        """Has SIGTERM end a rank at once: lightning's handler waits for the others in mid-step."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = Launcher(self.cluster_environment, self.num_processes, self.num_nodes)


class Launcher(_SubprocessScriptLauncher):
    """Lightning's, but ranks that die end the others, and the first one says so."""

    def launch(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Starts the other ranks of this machine, unless somebody has, and calls `function`."""
        kwargs.pop("trainer", None)
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not environment.creates_processes_externally:
            os.environ[STARTED_BY] = str(os.getpid())
            self._call_children_scripts()
            started.extend(self.procs)
            if (more := self.num_nodes - 1) and environment.node_rank() == 0:
                where = f"{environment.main_address}:{environment.main_port}"
                say(f"waits for {more} more machine{'s' * (more > 1)} at {where}")
        _set_num_threads_if_needed(num_processes=self.num_processes)
        with watching_others():
            return function(*args, **kwargs)


def say(text: str) -> None:
    """Prints a line on standard error."""
    print(f"pyg-negsamp: {text}", file=sys.stderr, flush=True)


@contextmanager
def watching_others() -> Iterator[None]:
    """Ends this process, if another rank of this machine ends meanwhile and nobody notices."""
    over, parent = threading.Event(), int(os.environ.get(STARTED_BY, 0))

    def look() -> None:
        while not over.wait(LOOK):
            if parent not in (0, os.getpid()) and os.getppid() != parent:
                os._exit(1)
            if any(process.poll() for process in started) and not over.wait(GRACE):
                say(f"{LOST}; resume it from its last checkpoint")
                for process in started:
                    process.kill()
                os._exit(1)

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def lost_ranks_named(ranks: Ranks) -> Iterator[None]:
    """Says in one line what libraries say of connections.

    Raises:
        RankLostError: Where another rank has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks.size > 1 and BROKEN.search(str(error)):
            raise RankLostError(LOST) from error
        raise
