"""Where a study of Optuna's is kept, and who is at work on it. Needs the extra 'tune'.

A storage holds any number of studies, each under its name, and any number of processes may share
it: one SQLite file on one machine, a database server or a journal file for several.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
from filelock import FileLock
from optuna.exceptions import (
    ExperimentalWarning,
    OptunaError,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from pyg_negsamp.experiments.arguments import ConfigError

JOURNAL = "journal:///"
#: States of a trial that need not be run again.
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
#: Seconds between two signs of life of a running trial, and how long one may give none.
BEAT, GRACE = 60.0, 180.0
#: Two processes that create the tables of a new database at once get in each other's way.
TRIES = 3


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna says nothing below an error inside; afterwards it is as it was found."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def open_study(
    url: str, name: str, question: Mapping[str, Any], least_epochs: int = 10
) -> optuna.Study:
    """The study of a name, new or to go on with.

    Args:
        url: Its storage, see :func:`make_storage`.
        name: Its name in the storage.
        question: What it answers, in plain values; a study answers one question only.
        least_epochs: Epochs before a trial may be given up.

    Raises:
        ValueError: If the storage cannot be used, or the study was begun with another question.
    """
    for left in reversed(range(TRIES)):
        try:
            study = optuna.create_study(
                storage=make_storage(url),
                pruner=optuna.pruners.MedianPruner(4, n_warmup_steps=least_epochs),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
            )
            break
        except (StorageInternalError, SQLAlchemyError, RuntimeError, ImportError) as error:
            if not left:
                why = str(error.__cause__ or error).splitlines()[0]
                expected = f"a database for studies of this version of Optuna's: {why}"
                raise ConfigError("storage", expected, shown(url)) from None
            time.sleep(0.3)
    asked, was = json.loads(json.dumps(question)), study.user_attrs.get("question", {})
    names = [field for field in {*was, *asked} if was.get(field) != asked.get(field)]
    if not study.get_trials(deepcopy=False, states=(*DONE, TrialState.RUNNING)):
        study.set_user_attr("question", asked)
    elif names:
        said = {"links": "the links", "searched": "values to search"}
        what = ", ".join(said.get(field, field) for field in sorted(names))
        raise ConfigError(
            "storage", f"another: its study {name} was begun with other {what}", shown(url)
        )
    return study


def make_storage(url: str) -> optuna.storages.BaseStorage:
    """The storage that a URL names.

    Args:
        url: `'sqlite:///studies/x.db'` or any other URL of SQLAlchemy's; or
            `'journal:///studies/x.log'`, a file that machines share over a network. Three slashes
            begin a relative path, four an absolute one. A missing folder is made, but not two.

    Raises:
        ConfigError: If it is no such URL, or the file holds something else.
        FileNotFoundError: If the folder cannot be made.
    """
    try:
        if url.startswith(JOURNAL):
            return _journal(Path(url.removeprefix(JOURNAL)))
        said = make_url(url)
    except (SQLAlchemyError, json.JSONDecodeError, UnicodeDecodeError):
        expected = "a URL such as sqlite:///FILE.db or journal:///FILE.log, of a study of Optuna's"
        raise ConfigError("storage", expected, shown(url)) from None
    options = {}
    if said.drivername.startswith("sqlite"):
        options = {"connect_args": {"timeout": 60}}
        _check_sqlite(Path(said.database or ""), url)
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def check_shared(url: str, jobs: int, cluster: str | None) -> Path:
    """The folder that all have to see who take part in a study.

    Args:
        url: Its storage.
        jobs: How many processes take part.
        cluster: Whose workers do; `None` for this machine.

    Raises:
        ConfigError: If they cannot share it.
    """
    if url.startswith(JOURNAL):
        return Path(url.removeprefix(JOURNAL)).parent
    if cluster is not None and url.startswith("sqlite"):
        expected = "journal:///FILE.log or a database server, no SQLite file, beside --cluster"
        raise ConfigError("storage", expected, url)
    if jobs > 1 and ":memory:" in url:
        raise ConfigError("storage", "a file or a database server beside --jobs", url)
    return Path()


def shown(url: str) -> str:
    """A URL without the password in it."""
    return re.sub(r"(://[^/:@]*):[^/@]*@", r"\1:***@", url)


def _journal(file: Path) -> optuna.storages.BaseStorage:
    if file.is_dir() or not file.name:
        raise ConfigError("storage", "a journal file", f"{JOURNAL}{file}")
    file.parent.mkdir(exist_ok=True)
    return optuna.storages.JournalStorage(JournalFileBackend(str(file), JournalLock(file)))


class JournalLock(JournalFileOpenLock):
    """Who writes to a journal; a process that is killed meanwhile keeps no lock.

    Optuna's own are files that stay: for half a minute, and for ever if the path is relative.

    Args:
        file: The journal.
    """

    def __init__(self, file: Path) -> None:
        self.lock = FileLock(file.with_name(f".{file.name}.lock"))

    def acquire(self) -> bool:
        """Waits until it is ours."""
        self.lock.acquire(poll_interval=0.01)
        return True

    def release(self) -> None:
        """Lets the next one write."""
        self.lock.release()


def _check_sqlite(file: Path, url: str) -> None:
    """Refuses what is no SQLite file: the reason is lost in Optuna's own error."""
    file.parent.mkdir(exist_ok=True)
    try:
        with closing(sqlite3.connect(file, timeout=60)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise ConfigError("storage", f"an SQLite file: {error}", url) from None


@contextmanager
def signs_of_life(trial: optuna.Trial) -> Iterator[None]:
    """Says every :data:`BEAT` seconds, in the trial's `alive`, that its process has not died."""
    over = Event()

    def beat() -> None:
        while True:
            # One that fails is not the last: a lock that was not to be had. Nor does it end the
            # trial if others have taken it for dead, as the machine was asleep.
            with suppress(OptunaError, OSError):
                trial.set_user_attr("alive", time.time())
            if over.wait(BEAT):
                return

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def end(
    study: optuna.Study, those: Callable[[FrozenTrial], bool], state: TrialState = TrialState.FAIL
) -> None:
    """Ends running trials that nobody runs any more."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if those(trial):
            with suppress(ValueError, UpdateFinishedTrialError):  # it, or another, was faster
                study.tell(trial.number, state=state)


def bury(study: optuna.Study) -> None:
    """Fails the trials that have given no sign of life for :data:`GRACE` seconds."""

    def silent(trial: FrozenTrial) -> bool:
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return bool(time.time() - trial.user_attrs.get("alive", began) > GRACE)

    end(study, silent)


def of(*tasks: str) -> Callable[[FrozenTrial], bool]:
    """Whether a trial is of one of these tasks; a task is one trial, with a name of its own."""
    return lambda trial: trial.user_attrs.get("task") in tasks
