"""A parser whose errors are one line, and what the command's exit codes mean.

0   done
1   training diverged, or another of its processes has ended
2   wrong input: one line says what, and nothing was begun
130 Ctrl-C, and 143 SIGTERM in training: one line says how to go on
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from pyg_negsamp.errors import ArgumentError, TerminatedError, nearest


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and leaves with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Prints `message` alone, without the usage; names what an unknown word is like."""
        if flag := re.match(r"unrecognized arguments: (-\S+)", message):
            message += nearest(flag[1], self.flags()).replace("'", "")
        elif choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message):
            message += nearest(choice[1], re.findall(r"[\w-]+", choice[2]))
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse; `--flag=~/x` names the home folder, as `--flag ~/x` does in a shell."""
        for arg in args:
            if re.fullmatch(r"(--[\w-]+)=--", arg):  # of which argparse makes an empty list
                self.error(f"argument {arg[:-3]}: expected one argument")
        home = [re.sub(r"^(--[\w-]+=)(~.*)$", _at_home, arg, flags=re.DOTALL) for arg in args]
        return super().parse_args(home, namespace)

    def flags(self) -> list[str]:
        """All that can be typed, those of its verbs too."""
        verbs = [a.choices for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        parsers = [self, *(parser for choices in verbs for parser in choices.values())]
        return [flag for parser in parsers for flag in parser._option_string_actions]


def _at_home(found: re.Match[str]) -> str:
    return found[1] + os.path.expanduser(found[2])


@contextmanager
def one_line_errors(parser: Parser) -> Iterator[None]:
    """Ends a command in one line, with its exit code.

    A `KeyboardInterrupt`, or a `TerminatedError`, may say how to go on.
    """
    try:
        yield
    except (KeyboardInterrupt, TerminatedError) as stop:
        ended = isinstance(stop, TerminatedError)
        said = "; ".join(["terminated" if ended else "interrupted", *map(str, stop.args)])
        parser.exit(143 if ended else 130, f"\n{parser.prog}: {said}\n")
    except BrokenPipeError:  # whoever read our output has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        parser.exit(141)
    except Exception as error:
        code, said = judged(error, parser.flags())
        if code is None:
            raise
        if code == 2:
            parser.error(said)
        parser.exit(code, f"{parser.prog}: {' '.join(said.split())}\n")


@contextmanager
def one_line_warnings(parser: Parser) -> Iterator[None]:
    """Has a command say warnings in a line each, on standard error, without a place in the code."""

    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        said = " ".join(str(message).split())
        print(f"{parser.prog}: warning: {said}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def judged(error: Exception, flags: Collection[str]) -> tuple[int | None, str]:
    """The exit code of an error and what to say; `None` for one of ours to mend.

    Args:
        error: What was raised.
        flags: Those of the command: an argument that has one goes by its name.
    """
    import yaml

    if isinstance(error, ArgumentError) and (flag := flag_of(error, flags)):
        return 2, f"{flag} {error.complaint}"
    if isinstance(error, OSError) and error.strerror:  # and not its number
        return 2, f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ValueError | OSError | yaml.YAMLError):
        return 2, str(error)
    # Of torch, on the CPU and on a GPU, it is a RuntimeError.
    if isinstance(error, MemoryError) or re.search("can't allocate|out of memory", str(error)):
        return 2, f"out of memory: {str(error).splitlines()[0] if str(error) else 'on the CPU'}"
    # Not above: who asks a saved model does not wait for lightning.
    from pyg_negsamp.datasets import DownloadError
    from pyg_negsamp.training import NonFiniteLossError, RankLostError

    if isinstance(error, DownloadError):
        return 2, str(error)
    ended = isinstance(error, NonFiniteLossError | RankLostError)
    return (1, str(error)) if ended else (None, "")


def flag_of(error: ArgumentError, flags: Collection[str]) -> str | None:
    """The flag of an argument that a deeper room refuses; `None` where that is not certain."""
    flag = f"--{error.argument.replace('_', '-')}"
    if error.owner == "Config":
        return flag
    if error.owner == "Recommender" and error.argument == "sampler":
        return "--neg"
    if error.owner == "InteractionDataset" and f"{flag}-column" in flags:
        return f"{flag}-column"
    if "--neg" in flags:  # several methods may have it: --alpha is a sampler's, --loss-alpha not
        from pyg_negsamp.experiments.arguments import METHODS, PREFIXES

        for part, methods in METHODS.items():
            mine = f"--{PREFIXES[part]}{error.argument}".replace("_", "-")
            if mine in flags and error.owner in {method.__name__ for method in methods.values()}:
                return mine
    if error.argument == "k" and "--top-k" in flags:
        return "--top-k"
    alike = {other for other in flags if other.endswith(flag[1:])} - {f"--no{flag[1:]}"}
    return flag if alike == {flag} else None
