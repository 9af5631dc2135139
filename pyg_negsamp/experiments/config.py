"""What a run is, as typed fields: one truth for flags, `config.yaml`, `--help` and Python.

    config = Config.of(dataset="gowalla", encoder="mf", neg="dins", beta=2.0)
    config.training.epochs      # 100, the default
    config.flat()               # every field and every argument of the chosen methods, by name

A field `num_candidates` is the flag `--num-candidates`. Arguments of methods come from their
constructors: those of samplers under their own names, those of losses and encoders with a prefix
(`loss_temperature`, `encoder_edge_dropout`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from pyg_negsamp.datasets import BENCHMARKS
from pyg_negsamp.experiments.arguments import (
    METHODS,
    PREFIXES,
    Argument,
    ConfigError,
    arguments_of,
    checked,
    nearest,
    owners,
)
from pyg_negsamp.experiments.parts import (
    FIELDS,
    PARTS,
    SYNTHETIC,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    LossConfig,
    SamplerConfig,
    TrainingConfig,
)
from pyg_negsamp.references import REFERENCES

#: Fields that go without saying what a run learns: where things lie, and where it computes.
PLACES = ("root", "device")
#: What may change when a run goes on.
MAY_CHANGE = (*PLACES, "epochs", "patience", "eval", "max_time")
#: Fields that a reference has no use for, besides those of samplers and losses.
ONLY_TRAINED = ("dim", "layers", "pool", "epochs", "batch_size", "lr", "l2", "patience",
                "eval_every", "precision", "max_time", "warm_start")  # fmt: skip
#: Names that a field may have.
NAMES = {part: tuple(methods) for part, methods in METHODS.items()}


@dataclass(frozen=True)
class Config:
    """All parts of a run. Make one with :meth:`of`, which checks every field.

    Attributes:
        data: What to learn from.
        encoder: The model.
        sampler: The negatives.
        loss: What is minimised.
        training: How.
        evaluation: How the model is selected and tested.
    """

    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @classmethod
    def of(cls, **given: Any) -> Config:
        """A configuration of flat fields, typed or as text.

        Args:
            **given: Fields of the parts, and arguments of the chosen methods. Those left out, or
                `None`, have their defaults.

        Raises:
            ConfigError: If a name is unknown, is for another method, or has a wrong value.
        """
        given = {name: value for name, value in given.items() if value is not None}
        own = {name: given.pop(name) for name in list(given) if name not in FIELDS}
        typed_fields = {
            name: checked(name, FIELDS[name].kind, value) for name, value in given.items()
        }
        methods = {part: typed_fields.get(part, FIELDS[part].default) for part in METHODS}
        for part, names in NAMES.items():
            if methods[part] not in names:
                expected = f"one of {', '.join(names)}{nearest(methods[part], names)}"
                raise ConfigError(part, expected, methods[part])
        arguments: dict[str, dict[str, Any]] = {"sampler": {}, "loss": {}, "encoder": {}}
        for name, value in own.items():
            argument = argument_of(name, methods)
            part = {"neg": "sampler"}.get(argument.part, argument.part)
            arguments[part][argument.name] = argument.checked(value)
        parts = {}
        for name, kind in PARTS.items():
            mine = {f.name: typed_fields[f.name] for f in fields(kind) if f.name in typed_fields}
            mine |= {"arguments": arguments[name]} if name in arguments else {}
            parts[name] = kind(**mine)
        config = cls(**parts)
        config._check({*given, *own})
        return config

    def _check(self, given: set[str]) -> None:
        """Refuses fields that do not go together."""
        if self.is_reference:
            of_others = {*ONLY_TRAINED, "neg", "loss", "num_candidates", "num_negatives"}
            for name in sorted(given):
                if name in of_others:
                    raise ConfigError(
                        name, f"left out: {self.encoder.encoder} is not trained", "a value"
                    )
        if self.evaluation.eval == "with-known" and self.data.dataset not in BENCHMARKS:
            raise ConfigError(
                "eval", "'full' or 'sampled', but for a benchmark by name", "with-known"
            )

    @property
    def is_reference(self) -> bool:
        """Whether the model is a ranking without training."""
        return self.encoder.encoder in REFERENCES

    @property
    def lr(self) -> float:
        """The learning rate, its default resolved."""
        if self.training.lr is not None:
            return self.training.lr
        return 5e-3 if self.data.dataset in SYNTHETIC else 1e-3

    def flat(self) -> dict[str, Any]:
        """Every field and argument by its flat name, defaults included, in plain values.

        Fields that are `None` are left out; so are those that a reference has no use for.
        `Config.of(**config.flat())` runs the same: what was left to a default is said in it.
        """
        found: dict[str, Any] = {}
        for name in PARTS:
            part = getattr(self, name)
            if self.is_reference and name in ("sampler", "loss"):
                continue
            for each in fields(part):
                value = getattr(part, each.name)
                if each.name == "arguments":
                    found |= self._arguments(name, value)
                elif value is not None and not (self.is_reference and each.name in ONLY_TRAINED):
                    found[each.name] = list(value) if isinstance(value, tuple) else value
        if not self.is_reference:
            found["lr"] = self.lr
        return found

    def _arguments(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        part = {"sampler": "neg"}.get(name, name)
        method = getattr(getattr(self, name), part)
        values = {a.name: given.get(a.name, a.default) for a in arguments_of(part, method)}
        return {PREFIXES[part] + key: value for key, value in values.items() if value is not None}

    def but(self, **changes: Any) -> Config:
        """The same with other fields of its parts, such as `protocol='refit'`."""
        parts = {}
        for name, kind in PARTS.items():
            mine = {f.name: changes.pop(f.name) for f in fields(kind) if f.name in changes}
            parts[name] = replace(getattr(self, name), **mine)
        if changes:
            raise ConfigError(min(changes), "a field of a part", "an unknown name")
        return Config(**parts)


def argument_of(name: str, methods: Mapping[str, str]) -> Argument:
    """The argument that a flat name is.

    Args:
        name: The flat name.
        methods: The chosen methods, by `neg`, `loss` and `encoder`.

    Raises:
        ConfigError: If the name is unknown, or for another method.
    """
    found = owners(name)
    if not found:
        known = {
            *FIELDS,
            *(a.field for p in METHODS for m in METHODS[p] for a in arguments_of(p, m)),
        }
        expected = f"a field of a configuration{nearest(name, known)}"
        raise ConfigError(name, expected, "an unknown name")
    mine = [a for a in found if methods[a.part] == a.method]
    if not mine:
        others = ", ".join(dict.fromkeys(a.method for a in found))
        raise ConfigError(name, f"left out: it is for {others}", methods[found[0].part])
    return mine[0]


def read_config(file: str | Path) -> dict[str, Any]:
    """The flat fields that a YAML file holds, with either spelling of their names.

    Raises:
        ValueError: If it holds anything else.
    """
    with Path(file).open() as lines:  # not its text, so that errors of syntax name it
        said = yaml.safe_load(lines)
    if not isinstance(said, dict):
        raise ValueError(f"{file} must hold 'field: value' lines")
    return {str(name).replace("-", "_"): value for name, value in said.items()}


def merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a file with others on top; arguments of a method that was replaced go with it.

    Where a command takes several methods of a part, they are a list.
    """
    found = dict(config)
    for part in METHODS:
        if over.get(part, config.get(part)) != config.get(part):
            chosen = over[part] if isinstance(over[part], list) else [over[part]]
            of_old = {a.field for m in METHODS[part] for a in arguments_of(part, m)}
            of_new = {a.field for m in chosen if m in METHODS[part] for a in arguments_of(part, m)}
            found = {name: value for name, value in found.items() if name not in of_old - of_new}
    return {**found, **over}
