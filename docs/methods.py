"""Writes what the documentation says of samplers and losses, out of their classes.

    python docs/methods.py

The README's tables, `samplers.md`, `losses.md` and `combinations.md` are made of the registries:
docstrings, constructors, declarations, and one step of training for what only a step shows.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from docstring_parser.google import parse

from docstrings import body, markdown, sources, summary, table
from pyg_negsamp.experiments.arguments import PREFIXES, arguments_of
from pyg_negsamp.experiments.config import Config
from pyg_negsamp.experiments.methods import make_encoder, make_loss, make_sampler, small_graph
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import LOSSES, BPRLoss, RankingLoss
from pyg_negsamp.nn import Encoder
from pyg_negsamp.space import Choice, Range
from pyg_negsamp.training.combinations import clash, waste
from pyg_negsamp.transforms import SAMPLERS, Negatives, NegativeSampling

ROOT = Path(__file__).parent.parent
SITE = "https://github.com/pyg-negsamp/pyg_negsamp/blob/main/docs"
BEGIN, END = "<!-- made by: python docs/methods.py -->", "<!-- end -->"
#: What stands in the place of a default that the run supplies.
SUPPLIED = {"dim": "the encoder's width"}
#: Losses whose needs depend on an argument, besides what they are by default.
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in LOSSES),
    ("in-batch-softmax", {"loss_correction": "corrected"}),
)


# Tables and sections ----------------------------------------------------------------------------


def space_of(cls: type[NegativeSampling] | type[RankingLoss], name: str) -> str:
    """What a search tries for an argument."""
    space = cls.search_space.get(name)
    if isinstance(space, Choice):
        return ", ".join(map(str, space.values))
    if isinstance(space, Range):
        return f"{space.low} to {space.high}{', by its logarithm' if space.log else ''}"
    return ""


def arguments(part: str, name: str, cls: type[NegativeSampling] | type[RankingLoss]) -> str:
    """A table of the arguments that a method has of its own; nothing if there are none."""
    defaults: dict[str, Any] = {a.name: a.default for a in arguments_of(part, name)}
    said = {a.name: a.meaning for a in arguments_of(part, name)}
    said |= {
        x.arg_name: " ".join((x.description or "").split()) for x in parse(cls.__doc__ or "").params
    }
    if part == "neg":
        assert issubclass(cls, NegativeSampling)
        least, most = cls.default_num_negatives, cls.default_num_candidates
        if cls.takes_candidates:
            defaults |= {"num_candidates": max(least, most), "num_negatives": least}
        else:
            defaults["num_negatives"] = "all"
            said.pop("num_candidates", None)
        said.setdefault("num_negatives", "Negatives per positive, `K`.")
    for each in inspect.signature(cls).parameters:
        if each in said and each not in defaults and each not in ("candidates", "edge_type"):
            defaults[each] = None
    own = set(arguments_of(part, name))
    flags = {a.name for a in own} | {"num_candidates", "num_negatives"}
    rows = []
    for each, default in defaults.items():
        flag = f"--{PREFIXES[part]}{each}".replace("_", "-")
        supplied = SUPPLIED.get(each, "of the training graph")
        shown = f"`{default}`" if each in flags else supplied
        typed = f"`{flag}`" if each in flags else f"`{each}=`"
        rows.append([typed, shown, space_of(cls, each), markdown(said[each])])
    return table(("argument", "default", "search", "meaning"), rows) if rows else ""


def sections(part: str, registry: dict[str, Any], page: str) -> Iterator[str]:
    """A section per method."""
    for name, cls in registry.items():
        yield f"## {cls.__name__}"
        flag = f"`--{part} {name}`"
        yield f"{flag}, `{cls.__module__.rpartition('.')[0]}.{cls.__name__}`."
        yield markdown(body(cls), page)
        if told := arguments(part, name, cls):
            yield told


def registry_table(part: str, registry: dict[str, Any], page: str, head: Sequence[str]) -> str:
    """The README's table of a registry."""
    facts = facts_of_sampler if part == "neg" else facts_of_loss
    return table(
        head,
        [
            [
                f"`{name}`",
                f"[`{cls.__name__}`]({SITE}/{page}#{cls.__name__.lower()})",
                markdown(summary(cls)),
                ", ".join(facts(name)),
                sources(cls),
            ]
            for name, cls in registry.items()
        ],
    )


# What a step shows ------------------------------------------------------------------------------


@cache
def encoder() -> Encoder:
    """LightGCN, whose layers samplers may choose from one by one."""
    return make_encoder(Config.of(encoder="lightgcn", dim=4), small_graph())


@cache
def sampler(name: str) -> NegativeSampling:
    """A sampler by its name, as the command makes it."""
    return make_sampler(Config.of(neg=name), small_graph(), encoder())


@cache
def loss(name: str, **own: Any) -> RankingLoss:
    """A loss by its name, as the command makes it."""
    return make_loss(Config.of(loss=name, **own), small_graph(), encoder())


@cache
def negatives(name: str) -> Negatives:
    """What a sampler makes of a few links."""
    user, pos = small_graph()[EDGE_TYPE].edge_index[:, :8]
    made, tables = sampler(name), encoder().settled_tables()
    made.start_epoch(0, 1, tables)
    if (warmup := getattr(made, "warmup", None)) is not None:  # what comes after it shows, too
        made.set_epoch(warmup, warmup + 1)
    generator = torch.Generator().manual_seed(0)
    return made.sample(user, pos, tables["user"], tables["item"], generator=generator)


def facts_of_sampler(name: str) -> list[str]:
    """What is to be known of a sampler beside what it does."""
    made, given = sampler(name), negatives(name)
    makes = type(made).synthesize is not NegativeSampling.synthesize or not made.finds_items
    told = {
        "an item per layer": given.index is not None and given.index.dim() == 3,
        "makes vectors": makes,
        "no ids": "neg_item" not in made.gives,
        "log Q": "log_q" in made.gives,
        "weights": given.weight is not None,
        "a loss of its own": given.loss is not None,
        "no embeddings": not made.reads_embeddings and not made.needs_whole_table,
        "per user": made.keeps_users,
        "whole table": made.needs_whole_table,
        "epochs": made.needs_epochs and not made.needs_whole_table,
    }
    return [what for what, is_so in told.items() if is_so]


def facts_of_loss(name: str) -> list[str]:
    """What is to be known of a loss beside what it asks for."""
    made = loss(name)
    told = {
        "cosines": made.similarity == "cosine",
        "ids": any(each in made.needs for each in ("user", "item", "neg_item")),
        "log Q": "log_q" in made.needs,
        "rows": "user_rows" in made.needs,
        "whole table": made.needs_whole_table,
        "no negatives": made.least_negatives == 0,
        f"{made.least_negatives} negatives or more": made.least_negatives > 1,
    }
    return [what for what, is_so in told.items() if is_so]


def pairs() -> Iterator[tuple[str, str, str]]:
    """Pairs that are refused, or are less than they cost: a sampler, a loss, and why."""
    for neg in SAMPLERS:
        for name, own in VARIANTS:
            made = loss(name, **own)
            flags = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in own.items())
            error = clash(encoder(), sampler(neg), made)
            said = waste(sampler(neg), made) if error is None else f"refused: {error.complaint}"
            if said is not None:
                yield neg, f"{name} {flags}".strip(), said


def grouped() -> Iterator[list[str]]:
    """The same, a row for each loss and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for neg, name, said in pairs():
        why = re.sub(re.escape(type(sampler(neg)).__name__) + r"\b", "the sampler", said)
        found.setdefault((name, why), []).append(neg)
    for (name, why), negs in found.items():
        others = [neg for neg in SAMPLERS if neg not in negs]
        which = f"all but {listed(others)}" if len(others) < len(negs) else listed(negs)
        yield [f"`--loss {name}`", which if others else "all", why]


def listed(names: Sequence[str]) -> str:
    """Names in code."""
    return ", ".join(f"`{name}`" for name in names)


# Pages ------------------------------------------------------------------------------------------

SAMPLER_HEAD = ("`--neg`", "class", "the negatives", "besides", "source")
LOSS_HEAD = ("`--loss`", "class", "what it asks of scores", "besides", "source")
NOTE = "<!-- Made by `python docs/methods.py` out of the classes: change their docstrings. -->"
SAMPLERS_INTRO = """# Samplers

What chooses, or makes, negatives. `B` are the positives of a batch, `M` the candidates of each, `K`
its negatives, `H` the layers, `D` the width, `U` users, `I` items, `E` links. All take what the
[base class](../pyg_negsamp/transforms/base.py) takes: `pool`, `layers`, `score`, `edge_type`,
`check_positives`, `as_links`. What goes with which loss: [combinations.md](combinations.md)."""
LOSSES_INTRO = """# Losses

From scores of the positives, `[B]`, and of their `K` negatives, `[B, K]`, to a number. A weight
says how often a negative counts: by default 1. What a search tries stands beside each argument.
What goes with which sampler: [combinations.md](combinations.md)."""
COMBINATIONS_INTRO = """# What goes with what

Any encoder, sampler and loss go together, but for what follows from their declarations
([training/combinations.py](../pyg_negsamp/training/combinations.py)). A `Recommender` refuses the
rest when it is made, and the command before it reads data.

- A sampler is made for the encoder's graph, pool and edge type, and for its width, if it learns.
  The command sees to that.
- A loss that `requires` ids or log-probabilities goes with samplers that give them.
- An encoder with a decoder ranks by it: losses of cosines do not go with it, nor those that read
  the whole table.
- An encoder that samples neighbourhoods (`FromModule(num_neighbors=...)`) knows a batch: samplers
  and losses of the whole graph do not go with it.

Where a sampler's work is in vain, or a loss needs more negatives to be itself, a warning says
so."""
LEGEND = """- `made`: vectors that are no item's, and so no links; `found`: items that exist.
- `by layer`: chooses an item at each layer of the encoder.
- `reads`: `scores` of candidates, the `table` of all nodes once per epoch, or `nothing`.
- `per user`: keeps or knows something of each user; rows then have no relations and no times.
- `gives`: what a loss may require; weights of its negatives; a loss of its own.
- `neighbourhoods`: goes with an encoder that samples them."""


LOSS_LEGEND = """- `needs`: is handed over; what it `requires` of that, a sampler has to give.
- `least K`: from how many negatives per positive on it is itself; 0: it looks at none.
- `decoder`, `neighbourhoods`: goes with an encoder that has one, or samples them, and a sampler."""


def yes(said: bool) -> str:
    """A cell."""
    return "yes" if said else ""


def combinations() -> list[str]:
    """Of the page of what goes with what, the tables."""
    sampling, deciding = (make_encoder(Config.of(dim=4), small_graph()) for _ in range(2))
    sampling.num_neighbors, deciding.decoder = [10], torch.nn.Identity()
    of_samplers, of_losses = [], []
    for name in SAMPLERS:
        made, facts = sampler(name), facts_of_sampler(name)
        reads = ["scores"] * made.reads_embeddings + ["table"] * made.needs_whole_table
        gives = [*made.gives, *(fact for fact in ("weights", "a loss of its own") if fact in facts)]
        of_samplers.append(
            [
                f"`{name}`",
                "made" if "makes vectors" in facts else "found",
                yes("an item per layer" in facts),
                ", ".join(reads) or "nothing",
                yes(made.keeps_users),
                yes(made.width is not None),
                ", ".join(gives),
                yes(clash(sampling, made, BPRLoss()) is None),
            ]
        )
    for name, own in VARIANTS:
        made_loss = loss(name, **own)
        of_losses.append(
            [
                f"`{' '.join([name, *own.values()])}`",
                made_loss.similarity,
                ", ".join(made_loss.needs),
                ", ".join(made_loss.requires),
                str(made_loss.least_negatives),
                *(
                    yes(any(clash(by, sampler(neg), made_loss) is None for neg in SAMPLERS))
                    for by in (deciding, sampling)
                ),
            ]
        )
    of = ("negatives", "by layer", "reads", "per user", "width", "gives", "neighbourhoods")
    of_loss = ("similarity", "needs", "requires", "least `K`", "decoder", "neighbourhoods")
    return [
        "## Pairs that are refused, or warned of",
        table(("loss", "samplers", "why"), list(grouped())),
        "## What samplers declare",
        LEGEND,
        table(("`--neg`", *of), of_samplers),
        "## What losses declare",
        LOSS_LEGEND,
        table(("`--loss`", *of_loss), of_losses),
    ]


def readme() -> str:
    """The README, with its tables anew."""
    text = (ROOT / "README.md").read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = [
        registry_table("neg", SAMPLERS, "samplers.md", SAMPLER_HEAD),
        registry_table("loss", LOSSES, "losses.md", LOSS_HEAD),
    ]
    return before + "\n\n".join([BEGIN, *tables, END]) + after


def pages() -> dict[Path, str]:
    """All that this script writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {
            "docs/samplers.md": [NOTE, SAMPLERS_INTRO, *sections("neg", SAMPLERS, "samplers.md")],
            "docs/losses.md": [NOTE, LOSSES_INTRO, *sections("loss", LOSSES, "losses.md")],
            "docs/combinations.md": [NOTE, COMBINATIONS_INTRO, *combinations()],
        }
        written = {ROOT / name: "\n\n".join(parts) + "\n" for name, parts in made.items()}
        return {ROOT / "README.md": readme(), **written}


def main() -> None:
    """Writes all pages."""
    for file, text in pages().items():
        file.write_text(text)


if __name__ == "__main__":
    main()
