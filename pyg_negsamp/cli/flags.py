"""Flags of a configuration: every field with its docstring, every argument of every method."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from typing import Any

from pyg_negsamp.cli.parser import Parser
from pyg_negsamp.diagnostics import DIAGNOSTICS
from pyg_negsamp.evaluation import METRICS
from pyg_negsamp.experiments.arguments import (
    METHODS,
    Argument,
    ConfigError,
    arguments_of,
    choices_of,
    is_list,
    plain_types,
)
from pyg_negsamp.experiments.config import (
    NAMES,
    ONE_PROCESS,
    RANKS,
    Config,
    merged,
    read_config,
)
from pyg_negsamp.experiments.flags import flag
from pyg_negsamp.experiments.parts import (
    FIELDS,
    METHOD_OF,
    OTHER_EVALUATIONS,
    PARTS,
    PROTOCOLS,
    SYNTHETIC,
    FieldOf,
)

TITLES = {"sampler": "negative sampling"}
#: What stands for a value in the help.
METAVARS: dict[str, str | tuple[str, ...]] = {
    "dataset": "NAME|FILE", "dim": "D", "layers": "L", "num_candidates": "M", "top_k": "K",
    "num_negatives": "K", "batch_size": "B", "k_core": ("U", "I"), "warm_start": "RUN",
    "diagnostics": "NAME",
    "metrics": "NAME",
}  # fmt: skip
#: What the docstring of a field does not say, because a table does.
MORE = {
    "dataset": f" Synthetic names: {', '.join(SYNTHETIC)}.",
    "protocol": " " + "; ".join(f"{name}: {what}" for name, what in PROTOCOLS.items()) + ".",
    "diagnostics": f" Out of {', '.join(DIAGNOSTICS)}.",
    "metrics": f" Out of {', '.join(METRICS)}.",
    "eval": " " + "; ".join(f"{name}: {what}" for name, what in OTHER_EVALUATIONS.items()) + ".",
}


def add_config_flags(
    parser: Parser,
    argv: Sequence[str],
    several: Collection[str] = (),
    but: Collection[str] = (),
    parts: Collection[str] = tuple(PARTS),
) -> None:
    """Adds a flag for every field, in groups by part.

    None has a default, so that one sees what was given. Arguments of methods that `argv` does not
    name are understood, but not shown in the help.

    Args:
        parser: Where to add them.
        argv: What was typed, for the help.
        several: Fields that take several values, out of `neg`, `loss`, `encoder`.
        but: Fields that this command has no use for.
        parts: Parts whose fields it takes. Default: all.
    """
    parser.add_argument("--config", metavar="FILE", help="YAML with any of these fields; flags win")
    for part, kind in PARTS.items():
        if part not in parts:
            continue
        group = parser.add_argument_group(TITLES.get(part, part), description=kind.__doc__)
        for each in FIELDS.values():
            if each.part == part and each.name not in but:
                add_field(group, each, each.name in several)
        method = METHOD_OF.get(part)
        if method is not None and method not in but:
            add_arguments_of(group, method, named(argv, method, several))


def add_field(group: argparse._ArgumentGroup, each: FieldOf, several: bool) -> None:
    """Adds the flag of one field."""
    said = each.meaning + MORE.get(each.name, "")
    choices = NAMES.get(each.name) or choices_of(each.kind)
    if choices:
        said += f" One of: {', '.join(map(str, choices))}."
    if each.default is not None:
        values = each.default if isinstance(each.default, tuple) else (each.default,)
        shown = " ".join(map(str, values))
        said += f" Default: {shown}." if shown[-1].isalnum() else f" Default: '{shown}'."
    default_metavar = {"neg": "NAME", "loss": "NAME", "encoder": "NAME"}.get(each.name, "VALUE")
    metavar = METAVARS.get(each.name, default_metavar)
    many = several or is_list(each.kind)
    kind: dict[str, Any] = {"metavar": metavar}
    if bool in plain_types(each.kind):
        kind = {"action": argparse.BooleanOptionalAction}
    elif many:
        kind["nargs"] = len(metavar) if isinstance(metavar, tuple) else "+"
    group.add_argument(
        flag(each.name), default=argparse.SUPPRESS, help=said.replace("%", "%%"), **kind
    )


def add_arguments_of(group: argparse._ArgumentGroup, part: str, shown: Collection[str]) -> None:
    """Adds a flag for every name among the arguments of all methods of a part."""
    by_name: dict[str, list[Argument]] = {}
    for method in METHODS[part]:
        for argument in arguments_of(part, method):
            by_name.setdefault(argument.field, []).append(argument)
    for name, found in by_name.items():
        mine = [argument for argument in found if argument.method in shown]
        said = " ".join(f"{a.method}: {a.meaning}" for a in mine).replace("%", "%%")
        kind: dict[str, Any] = {"metavar": "VALUE"}
        if bool in plain_types(found[0].kind):
            kind = {"action": argparse.BooleanOptionalAction}
        elif any(is_list(a.kind) for a in found):
            kind["nargs"] = "+"
        group.add_argument(
            flag(name), default=argparse.SUPPRESS, help=said if mine else argparse.SUPPRESS, **kind
        )


def add_worker_flags(group: argparse._ArgumentGroup) -> None:
    """Who runs what there is to run, several at a time; several for one run are refused."""
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="trainings at a time. Default: 1."
    )
    either.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="have the workers of a dask cluster train, one each, by the address of its scheduler, "
        "such as tcp://127.0.0.1:8786. They see the same folders. Needs the extra 'cluster'.",
    )
    for name in RANKS:
        group.add_argument(
            flag(name), action=Refused, default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )


class Refused(argparse.Action):
    """A flag of `train` that those look for who want several runs at a time."""

    def __call__(self, parser: object, namespace: object, values: object, *_: object) -> None:
        """Says which flag they want."""
        raise ConfigError(self.dest, ONE_PROCESS, values)


def named(argv: Sequence[str], part: str, several: Collection[str]) -> list[str]:
    """The methods of a part that were typed, or its default."""
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    peek.add_argument(flag(part), nargs="+" if part in several else None, dest="found")
    words = [word for word in argv if word not in ("-h", "--help")]
    try:
        found = peek.parse_known_args(words)[0].found
    except argparse.ArgumentError:  # a flag without its value, which the parser will speak of
        found = None
    return [found] if isinstance(found, str) else found or [FIELDS[part].default]


def given_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a configuration that were given: by flag, or in the file of `--config`."""
    known = {*FIELDS, *(a.field for p in METHODS for m in METHODS[p] for a in arguments_of(p, m))}
    typed = {name: value for name, value in vars(args).items() if name in known}
    for name, value in typed.items():  # a flag that several methods have may take a list
        if name not in FIELDS and isinstance(value, list) and len(value) == 1:
            typed[name] = value[0]
    if getattr(args, "config", None) is None:
        return typed
    config = read_config(args.config)
    config.pop("links", None)  # of a run's own config.yaml
    return merged(config, typed)


def config_from(args: argparse.Namespace) -> Config:
    """The configuration that was given."""
    return Config.of(**given_fields(args))
