"""A configuration as one types it."""

from __future__ import annotations

from pyg_negsamp.experiments.config import Config


def flag(field: str) -> str:
    """How a field is typed."""
    return f"--{field.replace('_', '-')}"


def as_flags(config: Config) -> list[str]:
    """The flags of `pyg-negsamp train` that give a configuration, without those of defaults."""
    parts = config.data.dataset, config.encoder.encoder, config.sampler.neg, config.loss.loss
    plain = dict(zip(("dataset", "encoder", "neg", "loss"), parts, strict=True))
    if config.is_reference:
        del plain["neg"], plain["loss"]
    default = Config.of(**plain).flat()
    words = [word for name, value in plain.items() for word in (flag(name), str(value))]
    for name, value in config.flat().items():
        if value == default.get(name):
            continue
        if isinstance(value, bool):
            words.append(flag(name) if value else flag(f"no_{name}"))
        elif isinstance(value, list):
            words += [flag(name), *map(str, value)]
        elif str(value).startswith("-"):  # in one word, or it would look like a flag
            words.append(f"{flag(name)}={value}")
        else:
            words += [flag(name), str(value)]
    return words
