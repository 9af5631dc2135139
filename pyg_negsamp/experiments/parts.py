"""The fields of a run, in six typed parts: what each is, in which unit, and its default.

A docstring below a field is its help on the command line, too.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as typed
from pydantic_core import PydanticCustomError

from pyg_negsamp.datasets import PRESETS
from pyg_negsamp.diagnostics import DEFAULT, diagnostics_named
from pyg_negsamp.durations import WRITTEN, seconds_of
from pyg_negsamp.errors import ArgumentError
from pyg_negsamp.evaluation import check_metrics
from pyg_negsamp.layers import Pool
from pyg_negsamp.scoring import Similarity

#: How a model is selected, and on what it is trained.
PROTOCOLS = {
    "clean": "selected on validation links carved from train, test read once",
    "refit": "selected as clean, then trained anew on all of train, test read once",
    "paper": "trained on all of train and selected on test, as some released codes do",
}
#: What `eval` may ask for beside full ranking, as some papers do.
OTHER_EVALUATIONS = {
    "sampled": "held-out items among 100 others only, mean of 10 test sets",
    "with-known": "test links that train has too count as well, though no list can hold them",
}
SYNTHETIC = tuple(PRESETS)
DOCUMENTED = ConfigDict(use_attribute_docstrings=True)
Positive = Annotated[int, Field(ge=1, lt=2**63)]
Natural = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _duration(text: str) -> str:
    """Refuses what is no time, before anything is loaded."""
    with suppress(ValueError):
        if seconds_of(text) > 0:
            return text
    raise PydanticCustomError("duration", f"Input should be more than 0, {WRITTEN}")


def _named(check: Callable[[Any], object], names: Any) -> Any:
    """What a check of names gives back; its refusal as pydantic says it, before data are read."""
    try:
        return check(names)
    except ArgumentError as error:
        expected = error.complaint.removeprefix("must be ").rpartition(" (got ")[0]
        said = f"Input should be {expected}"
        raise PydanticCustomError("names", "{said}", {"said": said}) from None


def _diagnostics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuses names of nothing; leaves `'all'` as it is."""
    _named(diagnostics_named, names)
    return names


def _several(names: object) -> object:
    """A single word is a list of one."""
    return (names,) if isinstance(names, str) else names


def _metrics(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Refuses names that are no metric's; each once."""
    return None if names is None else _named(check_metrics, names)


@typed(config=DOCUMENTED, frozen=True)
class DataConfig:
    """What to learn from and to rank on."""

    dataset: str = "small"
    """Synthetic (tiny, small, medium, ...), a benchmark by name, a file of interactions (.txt
    adjacency lists, .csv, .tsv, .parquet), or a folder that `data prepare` wrote."""
    root: str = "datasets"
    """Folder that holds benchmarks by name."""
    test_file: str | None = None
    """Held-out links for a file."""
    val_file: str | None = None
    """Validation links for a file; needs a test file."""
    user_column: str | int | None = None
    """Column of users in a file, by name, or by position from 0. Default: 'user'."""
    item_column: str | int | None = None
    """Column of items in a file. Default: 'item'."""
    time_column: str | int | None = None
    """Column of times: numbers or dates. Splits by time need it."""
    rating_column: str | int | None = None
    """Column of ratings."""
    min_rating: float | None = None
    """Links rated lower are no interactions; needs a rating column. Of several ratings of a pair,
    one that is high enough will do."""
    weight_column: str | int | None = None
    """Column of weights above 0."""
    sep: str | None = None
    """Separator of a text file. Default: by format and first line."""
    decimal: str = "."
    """Decimal mark of a text file."""
    encoding: str | None = None
    """Encoding of a text file. Default: UTF-8."""
    date_format: str | None = None
    """How dates are written, such as '%d/%m/%Y'. Default: read off the column."""
    items_file: str | None = None
    """A catalogue: its items can be drawn and ranked although nobody took them yet."""
    category_column: str | int | None = None
    """Column of categories in --items-file, for the metric Diversity. Items without category count
    as one of their own together."""
    k_core: tuple[Natural, Natural] | None = None
    """Least links of every user and of every item; the rest is left out, repeatedly."""
    duplicates: Literal["drop", "keep"] = "drop"
    """Repeated training links, such as listens: keep the first only, or all."""
    split: Literal["random", "temporal", "latest", "leave-one-out", "predefined"] | None = None
    """How links are divided. Default: as the source is divided, else at random per user."""
    val_share: Share = 0.1
    """Share of validation links; of a divided source, share of its training links."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of test links, where the source is not divided."""
    val_time: str | None = None
    """First moment of validation for a temporal split: a number or a date."""
    test_time: str | None = None
    """First moment of test for a temporal split."""
    split_seed: Natural = 0
    """Seed of the split, apart from the seed of training."""


@typed(config=DOCUMENTED, frozen=True)
class EncoderConfig:
    """What turns the graph into embeddings; or a reference, which needs no training."""

    encoder: str = "lightgcn"
    """The model."""
    dim: Positive = 64
    """Width of the embeddings, D."""
    layers: Positive | None = None
    """Propagations, L. Default: the encoder's own, 3 for all that propagate."""
    pool: Pool | None = None
    """How layers become a score. Default: the encoder's own."""
    rank_by: Similarity | None = None
    """What vectors are ranked by, for selecting, testing and in the saved model. Default: what the
    loss is of. A graph encoder trained by cosines may rank better by dot."""
    arguments: dict[str, Any] = field(default_factory=dict)


@typed(config=DOCUMENTED, frozen=True)
class SamplerConfig:
    """Which unobserved items a model is shown as negatives."""

    neg: str = "dins"
    """The negative sampler."""
    num_candidates: Positive | None = None
    """Candidates per positive, M. Default: the method's own."""
    num_negatives: Positive | None = None
    """Negatives per positive, K. Default: the method's own, usually 1."""
    arguments: dict[str, Any] = field(default_factory=dict)


@typed(config=DOCUMENTED, frozen=True)
class LossConfig:
    """What is minimised."""

    loss: str = "bpr"
    """The ranking loss."""
    arguments: dict[str, Any] = field(default_factory=dict)


@typed(config=DOCUMENTED, frozen=True)
class TrainingConfig:
    """How the parameters are found."""

    epochs: Positive = 100
    """Most epochs to train."""
    batch_size: Positive = 2048
    """Positive links per step, B."""
    lr: float | None = None
    """Learning rate of Adam. Default: 0.001, as in the papers; 0.005 on synthetic data."""
    l2: float = 1e-4
    """Weight of the L2 penalty."""
    patience: Positive = 20
    """Validations without improvement before training stops."""
    eval_every: Positive = 1
    """Epochs between validations."""
    seed: Natural = 0
    """Seed of everything drawn but the split."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    devices: Positive = 1
    """Processes of this machine that train one model together, one per GPU if there are such. They
    find what one finds, see docs/scale.md; the others are started by itself, or by torchrun or
    Slurm. Not for tables and searches, whose runs go side by side."""
    num_nodes: Positive = 1
    """Machines, each with as many processes."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How devices work together, by lightning's names; auto is ddp for several."""
    precision: Literal["32-true", "64-true", "bf16-mixed", "bf16-true"] = "32-true"
    """Floating point of training, by lightning's names."""
    cuda_graph: bool = False
    """Record a training step once per epoch as a CUDA graph and replay it: the same steps, faster
    on a GPU that waits for Python, see docs/performance.md."""
    max_time: Annotated[str, AfterValidator(_duration)] | None = None
    """Most time to train, such as 90s, 20m, 1.5h or 01:12:00:00 (a day and a half): training ends
    after the first epoch that ends later. Default: no limit."""
    diagnostics: Annotated[
        tuple[str, ...], BeforeValidator(_several), AfterValidator(_diagnostics)
    ] = DEFAULT
    """What to notice of negatives and ranking in the course of training, which is the same with it;
    'all' or 'none'. Kept with every epoch in metrics.json and logs. A finished cell of a table is
    not trained anew for it. Under protocol paper, whose validation links are those of test,
    false-negatives is left out."""
    warm_start: str | None = None
    """A saved model or run, whose rows are copied by id before training."""


@typed(config=DOCUMENTED, frozen=True)
class EvaluationConfig:
    """How a model is selected and tested."""

    protocol: Literal["clean", "refit", "paper"] = "clean"
    """How a model is selected, and on what it is trained."""
    top_k: Annotated[tuple[Positive, ...], Field(min_length=1)] = (20, 50)
    """Lengths of the lists, K; the first one selects."""
    eval: Literal["full", "sampled", "with-known"] = "full"
    """How to test, beside full ranking."""
    metrics: Annotated[tuple[str, ...] | None, AfterValidator(_metrics)] = None
    """Metrics to show; those beyond the default are computed besides. Default: all of accuracy,
    Coverage and AveragePopularity; in tables Recall and NDCG. The first that users have values of
    is what tables are tested on."""


PARTS: dict[str, Any] = {
    "data": DataConfig,
    "encoder": EncoderConfig,
    "sampler": SamplerConfig,
    "loss": LossConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
}


#: The field of a part that names its method.
METHOD_OF = {"encoder": "encoder", "sampler": "neg", "loss": "loss"}


@dataclass(frozen=True)
class FieldOf:
    """A field of a part: what flags and help need to know of it.

    Attributes:
        part: Name of the part.
        name: Its own.
        kind: Its type.
        default: Its default.
        meaning: Its docstring.
    """

    part: str
    name: str
    kind: Any
    default: Any
    meaning: str


def _fields() -> dict[str, FieldOf]:
    found = {}
    for part, kind in PARTS.items():
        hints = typing.get_type_hints(kind, include_extras=True)
        for each in fields(kind):
            if each.name != "arguments":
                default = kind.__pydantic_fields__[each.name].default
                said = " ".join((kind.__pydantic_fields__[each.name].description or "").split())
                found[each.name] = FieldOf(part, each.name, hints[each.name], default, said)
    return found


#: All fields of all parts, by name.
FIELDS: dict[str, FieldOf] = _fields()
