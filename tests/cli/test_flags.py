"""Whatever stands behind a flag: it is taken, or one line names the flag. Real work is left out."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import model

from pyg_negsamp.cli import main
from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.experiments import filling, protocols
from pyg_negsamp.experiments.arguments import owners
from pyg_negsamp.experiments.comparison import Comparison

ROLES = ("user", "item", "time", "rating", "weight")
LOG = ["--dataset", "log.tsv", *(word for role in ROLES for word in (f"--{role}-column", role))]
TINY = ["--dataset", "tiny", "--device", "cpu"]
#: A call that works, of every sub-command, and how many others to try.
CALLS: dict[str, tuple[list[str], int]] = {
    "train": (["train", *TINY], 90),
    "train on a file": (["train", *LOG, "--device", "cpu"], 40),
    "describe": (["data", "describe", *LOG], 25),
    "prepare": (["data", "prepare", *LOG, "--to", "prepared"], 25),
    "compare": (["compare", *TINY], 25),
    "tune": (["tune", *TINY, "--neg", "dns", "--storage", "sqlite:///:memory:"], 20),
    "reproduce": (["reproduce", "ahns/amazon-phones"], 30),
    "recommend": (["recommend", "RUN"], 25),
    "similar": (["similar", "RUN", "--items", "i001"], 25),
    "evaluate": (["evaluate", "RUN"], 25),
    "export": (["export", "RUN", "--to", "exported"], 25),
}
#: Where a file or a folder is named, its own name will do.
FILES = {"--config", "--dataset", "--test-file", "--val-file", "--items-file", "--users-file",
         "--warm-start", "--table", "--out", "--to", "--root", "RUN", "TABLE"}  # fmt: skip
#: What may be wrong instead, by what was given: the table decides which of these it is.
OTHERS = {
    **dict.fromkeys((f"--{role}-column" for role in ROLES), "-column"),
    **dict.fromkeys(("--sep", "--encoding"), "log.tsv"),
    "--cuda-graph": "'cuda_graph'",  # of a row
    "--date-format": "--time-column",
    "--split": "time",
    "--test-share": "test link",
}

WORDS = ["", " ", "nan", "-inf", "None", "true", "é☃", "١", "1,2", "[1, 2]", "a\nb", "1_000", "%s",
         "no/such.csv", "none.yaml", ".", "log.tsv", "RUN", "x" * 300, "tiny", "rns", "ease",
         "random", "u001", "i001", "10s", "00:00:00:00", "http:x", "user", "*"]  # fmt: skip
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
VALUES = st.one_of(
    st.integers(-3, 3).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.text(LETTERS, max_size=4),
    st.sampled_from(WORDS),
)


class Reached(Exception):  # noqa: N818  (no error: the flags were taken)
    """Work would begin here."""


def reached(*args: object, **options: object) -> None:
    raise Reached


def load_all(comparison: Comparison, load: Callable[..., Any] = filling.load_all) -> Any:
    """The data of a comparison; of a paper's nobody has them here."""
    if comparison.paper:
        raise Reached
    return load(comparison)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a saved model and a table, where nothing is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("flags"))
        patch.setattr(protocols, "fit", reached)
        patch.setattr(filling, "load_all", load_all)
        patch.setattr(filling, "plan", reached)
        if find_spec("optuna"):
            patch.setattr("pyg_negsamp.experiments.trials.Trials.run", reached)
        model().save("RUN")
        rows = [(n % 12, n * 5 % 17, n, 1 + n % 5, 1.5) for n in range(96)]
        lines = [ROLES, *rows]
        Path("log.tsv").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
        yield


def parser_of(argv: list[str]) -> Parser:
    """The parser of a sub-command, or of its verb."""
    parser = Parser(allow_abbrev=False)
    import_module(f"pyg_negsamp.cli.{argv[0]}").add_arguments(parser, argv[1:])
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices[argv[1]]
    return parser


def flags_of(name: str) -> list[argparse.Action]:
    """What a call may be given. Fields of a run are for `train`, where others treat them alike."""
    found = [a for a in parser_of(CALLS[name][0])._actions if a.dest != "help"]
    if name in ("compare", "tune"):
        same = {(a.dest, a.nargs) for a in parser_of(["train"])._actions}
        found = [a for a in found if (a.dest, a.nargs) not in same]
    return found


def call(argv: list[str]) -> tuple[int, str]:
    """The exit code of a command, 0 where work would begin, and what it says on stderr."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        try:
            main(argv)
        except Reached:
            return 0, ""
        except SystemExit as stopped:
            return int(stopped.code or 0), said.getvalue()
    return 0, ""


def changed(argv: list[str], action: argparse.Action, values: list[str]) -> list[str]:
    """The call with another value of a flag, and with a method that has the flag."""
    if not action.option_strings:
        return [argv[0], *values, *argv[2:]]
    argv, flag = list(argv), action.option_strings[0]
    if flag in argv:
        del argv[argv.index(flag) : argv.index(flag) + 2]
    if argv[0] == "train" and (found := owners(action.dest)):
        argv += [f"--{found[0].part}", found[0].method]
    return [*argv, flag, *values]


def is_named(flag: str, values: list[str], said: str) -> bool:
    """Whether a line says which flag is meant."""
    if flag in said or OTHERS.get(flag, flag) in said:
        return True
    # A value that looks like a flag is taken for one.
    words = values if flag in FILES else [value for value in values if value.startswith("-")]
    written = (form for word in words for form in (" ".join(word.split()), repr(word)[1:-1]))
    return any(form in said for form in written)


@pytest.mark.parametrize("name", list(CALLS))
@pytest.mark.usefixtures("place")
def test_a_flag_is_taken_or_named(name: str) -> None:
    if name == "tune":
        pytest.importorskip("optuna")
    argv, number = CALLS[name]
    assert call(argv)[0] == 0
    actions = flags_of(name)

    @settings(max_examples=number, deadline=None, derandomize=True, database=None)
    @given(st.data())
    def try_some(data: st.DataObject) -> None:
        action = data.draw(st.sampled_from(actions))
        counts = {None: (1, 1), "?": (1, 1), "+": (1, 3), 0: (0, 0), 2: (1, 2)}
        least, most = counts[action.nargs]
        values = data.draw(st.lists(VALUES, min_size=least, max_size=most))
        for made in ("prepared", "exported", "runs"):
            shutil.rmtree(made, ignore_errors=True)
        code, said = call(changed(argv, action, values))
        if code:
            assert code == 2, said
            assert said.count("\n") == 1, said
            flag = action.option_strings[0] if action.option_strings else str(action.metavar)
            assert is_named(flag, values, said), said

    try_some()
