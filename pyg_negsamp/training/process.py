"""What a run changes in the whole process, and how that is put back."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import SIGTERMException

from pyg_negsamp.errors import TerminatedError
from pyg_negsamp.training.memory import freed_memory_kept


@contextmanager
def process_left_as_found() -> Iterator[None]:
    """Around a run: what it needs of the process, and afterwards the process as it was.

    Inside, lightning says nothing below a warning, some of its warnings are not shown, and freed
    memory stays at hand (:func:`freed_memory_kept`). At the end, after an error too, log level,
    warning filters and signal handlers are what they were. Warning filters belong to all threads
    of the process: two runs at once in two threads may put back each other's.

    Raises:
        KeyboardInterrupt: On Ctrl-C, where lightning makes an exit of it.
        TerminatedError: On SIGTERM, where lightning makes an exit without a code of it.
    """
    with _lightning_quiet(), freed_memory_kept(), _signals_as_ever():
        yield


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Leaves the talking to :class:`Progress`."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The loaders have no workers because they have nothing to do; a folder is not empty
            # because a run resumes.
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not")
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # lightning's
            warnings.filterwarnings("ignore", message="The number of training batches .* smaller")
            # Nothing is to be put together: all ranks log the same numbers.
            warnings.filterwarnings("ignore", message="It is recommended to use .*sync_dist=True")
            warnings.filterwarnings("ignore", message=".*defined a `validation_step` but have no")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _signals_as_ever() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, of which lightning makes an exit, and a handler.

    SIGTERM ends the process with its code, where lightning says that all went well.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise TerminatedError from None
    except SystemExit as exit:
        if not isinstance(exit.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
