"""What a run is, as typed fields: one truth for flags, `config.yaml`, `--help` and Python.

    config = Config.of(dataset="gowalla", encoder="mf", neg="dins", beta=2.0)
    config.training.epochs      # 100, the default
    config.flat()               # every field and every argument of the chosen methods, by name

A field `num_candidates` is the flag `--num-candidates`. Arguments of methods come from their
constructors: those of samplers under their own names, those of losses and encoders with a prefix
(`loss_temperature`, `encoder_edge_dropout`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from pyg_negsamp.datasets import BENCHMARKS
from pyg_negsamp.errors import nearest
from pyg_negsamp.evaluation import METRICS
from pyg_negsamp.experiments.arguments import (
    METHODS,
    PREFIXES,
    Argument,
    ConfigError,
    arguments_of,
    checked,
    has_layers,
    owners,
)
from pyg_negsamp.experiments.parts import (
    FIELDS,
    METHOD_OF,
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

#: Fields that say on which processes a run computes.
RANKS = ("devices", "num_nodes", "strategy")
#: Why a table or a search has no use for them.
SIDE_BY_SIDE = "side by side, by --jobs N or --cluster ADDRESS"
ONE_PROCESS = f"left out: the runs of a table or a search go {SIDE_BY_SIDE}"
#: Fields that go without saying what a run learns: where things lie, where it computes, and what is
#: noticed meanwhile.
PLACES = ("root", "device", *RANKS, "cuda_graph", "diagnostics")
#: What may change when a run goes on.
MAY_CHANGE = (*PLACES, "epochs", "patience", "eval", "metrics", "max_time")
#: Fields that a reference has no use for.
ONLY_TRAINED = {"dim", "layers", "pool", "rank_by"} | {
    each.name
    for each in FIELDS.values()
    if each.part in ("sampler", "loss", "training") and each.name not in ("seed", "device")
}
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
            part = FIELDS[argument.part].part
            arguments[part][argument.name] = argument.checked(value)
        parts = {}
        for name, kind in PARTS.items():
            mine = {f.name: typed_fields[f.name] for f in fields(kind) if f.name in typed_fields}
            mine |= {"arguments": arguments[name]} if name in arguments else {}
            parts[name] = kind(**mine)
        config = cls(**parts)
        config._check({**given, **own})
        return config

    def _check(self, given: Mapping[str, Any]) -> None:
        """Refuses fields that do not go together."""
        encoder = self.encoder.encoder
        for name in sorted(given):
            if not takes({part: [method] for part, method in self.methods.items()}, name):
                why = f"{encoder} is not trained" if self.is_reference else f"{encoder} has none"
                raise ConfigError(name, f"left out: {why}", given[name])
        if self.evaluation.eval == "with-known" and self.data.dataset not in BENCHMARKS:
            raise ConfigError(
                "eval", "'full' or 'sampled', but for a benchmark by name", "with-known"
            )
        if self.evaluation.eval == "with-known" and self.data.k_core is not None:
            expected = "left out beside --eval with-known, which reads the test file as it is"
            raise ConfigError("k_core", expected, self.data.k_core)
        for name in self.evaluation.metrics or ():
            if min(self.evaluation.top_k) < METRICS[name].least:
                expected = f"without {name}, or lists of at least {METRICS[name].least} (--top-k)"
                raise ConfigError("metrics", expected, name)

    @property
    def methods(self) -> dict[str, str]:
        """The chosen methods, such as `{"neg": "dins", ...}`."""
        return {name: getattr(getattr(self, part), name) for part, name in METHOD_OF.items()}

    @property
    def method(self) -> str:
        """What to call it in a table, such as `'lightgcn + dins'`; the usual loss is not named."""
        if self.is_reference:
            return self.encoder.encoder
        loss = [self.loss.loss] if self.loss.loss != FIELDS["loss"].default else []
        return " + ".join([self.encoder.encoder, self.sampler.neg, *loss])

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

    def for_one_process(self) -> Config:
        """The same; refused, if it asks for several processes.

        Raises:
            ConfigError: If it does.
        """
        for name in ("devices", "num_nodes"):
            if (number := getattr(self.training, name)) > 1:
                raise ConfigError(name, ONE_PROCESS, number)
        return self

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
        part = METHOD_OF[name]
        method = self.methods[part]
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


def takes(chosen: Mapping[str, Collection[str]], name: str) -> bool:
    """Whether a run has a field of that name.

    Args:
        chosen: The names of its methods, by `encoder`, `neg` and `loss`; where there are several
            of one, one that has the field is enough.
        name: A flat name.
    """
    trained = [encoder for encoder in chosen["encoder"] if encoder not in REFERENCES]
    if name == "layers":
        return any(has_layers(encoder) for encoder in trained if encoder in METHODS["encoder"])
    if name in FIELDS:
        return bool(trained) or name not in ONLY_TRAINED
    parts = tuple(METHODS) if trained else ("encoder",)
    return any(a.part in parts and a.method in chosen[a.part] for a in owners(name))


class _Loader(yaml.SafeLoader):
    """Refuses a field that stands there twice, of which YAML would keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys differ."""
        seen = set()
        for key, _ in node.value:
            name = str(key.value).replace("-", "_")
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value}' stands there twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_config(file: str | Path) -> dict[str, Any]:
    """The flat fields that a YAML file holds, with either spelling of their names.

    Raises:
        ValueError: If it holds anything else, or is not in UTF-8.
        yaml.YAMLError: If it is no YAML, or a field stands there twice.
    """
    try:
        with Path(file).open(encoding="utf-8") as lines:  # not its text, so that errors name it
            said = yaml.load(lines, _Loader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be text in UTF-8 ({error})") from None
    if not isinstance(said, dict):
        raise ValueError(f"{file} must hold 'field: value' lines")
    return {str(name).replace("-", "_"): value for name, value in said.items()}


def read_run(file: Path) -> dict[str, Any]:
    """The flat fields of a run's own file, and the hash of its data as `links`, which end it.

    Raises:
        ValueError: If it is damaged, or does not end so: the disk was full, say.
    """
    try:
        said = read_config(file)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not re.fullmatch("[0-9a-f]{16}", str(said.get("links"))):
        raise ValueError(f"{file} is damaged: it does not end with the hash of its 'links'")
    return said


def merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a file with others on top; arguments of a method that was replaced go with it.

    So do fields that only trained models have, where a reference takes the place of one. Where a
    command takes several methods of a part, they are a list.
    """
    was, now = _methods_in(config), _methods_in({**config, **over})

    def stays(name: str) -> bool:
        # The same name means another thing, and has another default, for another method.
        by = owners(name)
        both = not by or any(a.method in was[a.part] and a.method in now[a.part] for a in by)
        return (both and takes(now, name)) or not takes(was, name)

    return {**{name: value for name, value in config.items() if stays(name)}, **over}


def _methods_in(flat: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The methods that flat fields choose."""
    said = {part: flat.get(part, FIELDS[part].default) for part in METHODS}
    return {part: name if isinstance(name, list) else [name] for part, name in said.items()}


def refuse_torchrun() -> None:
    """Refuses processes that torchrun has started to train one model, where there are many.

    Raises:
        ValueError: If this is one.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        said = "compare, reproduce and tune are not started by torchrun"
        raise ValueError(f"{said}: their runs go {SIDE_BY_SIDE}")
