"""One truth for flags, files and Python: fields are typed, documented, and read as written."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.diagnostics import DIAGNOSTICS
from pyg_negsamp.experiments import Config, ConfigError
from pyg_negsamp.experiments.arguments import METHODS, arguments_of, choices_of
from pyg_negsamp.experiments.config import merged, read_config
from pyg_negsamp.experiments.methods import (
    check_memory,
    fit_options,
    make_encoder,
    make_recommender,
    small_graph,
)
from pyg_negsamp.experiments.parts import FIELDS
from pyg_negsamp.training.trainer import PRECISIONS

EVERY_METHOD = [(part, method) for part in METHODS for method in METHODS[part]]


def test_every_field_says_what_it_is() -> None:
    assert [each.name for each in FIELDS.values() if not each.meaning] == []


@pytest.mark.parametrize(("part", "method"), EVERY_METHOD)
def test_every_argument_says_what_it_is(part: str, method: str) -> None:
    for argument in arguments_of(part, method):
        assert argument.meaning, argument.name


@pytest.mark.parametrize(("part", "method"), EVERY_METHOD)
def test_no_field_has_the_name_of_an_argument(part: str, method: str) -> None:
    assert not {argument.field for argument in arguments_of(part, method)} & {*FIELDS}


@pytest.mark.parametrize("method", list(METHODS["neg"]))
@pytest.mark.parametrize("text", [False, True])
def test_what_is_written_is_read_as_it_was(method: str, text: bool, tmp_path: Path) -> None:
    config = Config.of(dataset="tiny", neg=method, encoder="lightgcn", loss="ssm", k_core=(2, 3))
    flat = config.flat()
    assert {argument.field for argument in arguments_of("neg", method)} <= {*flat}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(flat))
    fields = read_config(file)
    if text:  # as flags are typed
        fields = {
            k: [str(x) for x in v] if isinstance(v, list) else str(v) for k, v in fields.items()
        }
    again = Config.of(**fields)
    assert again.flat() == flat
    assert type(again.training.lr) is float


def test_defaults_are_those_of_the_classes() -> None:
    flat = Config.of(neg="ahns", encoder="ngcf", loss="ssm").flat()
    for part, method in (("neg", "ahns"), ("encoder", "ngcf"), ("loss", "ssm")):
        cls = METHODS[part][method]
        for argument in arguments_of(part, method):
            if argument.target is cls:
                assert (
                    flat[argument.field] == inspect.signature(cls).parameters[argument.name].default
                )


def test_the_learning_rate_is_that_of_the_data() -> None:
    assert Config.of(dataset="tiny").lr == 0.005
    assert Config.of(dataset="gowalla").lr == 0.001
    assert Config.of(dataset="tiny", lr=1).lr == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"betta": 1}, "'betta' must be a field of a configuration; did you mean 'beta'?"),
        ({"epoch": 1}, "did you mean 'epochs'?"),
        ({"neg": "rns", "beta": 1}, "'beta' must be left out: it is for ahns, dins (got 'rns')"),
        ({"neg": "dinns"}, "did you mean 'dins'?"),
        ({"dim": "wide"}, "'dim' must be a valid integer"),
        ({"dim": 8.5}, "'dim' must be a valid integer"),
        ({"dim": True}, "'dim' must be a whole number (got True)"),
        ({"dim": [8, 9]}, "'dim' must be"),
        ({"top_k": []}, "'top_k' must be one or more whole numbers (got [])"),
        ({"top_k": 5}, "'top_k' must be one or more whole numbers (got 5)"),
        ({"k_core": [-1, 2]}, "'k_core' must be greater than or equal to 0"),
        ({"beta": [1]}, "'beta' must be a valid number (got [1])"),
        ({"beta": "inf"}, "'beta' must be finite"),
        ({"min_rating": float("nan")}, "'min_rating' must be finite"),
        (
            {"precision": "16"},
            "'precision' must be '32-true', '64-true', 'bf16-mixed' or 'bf16-true'",
        ),
        ({"max_time": "2 hours"}, "'max_time' must be more than 0, a time like 90s, 20m, 1.5h"),
        ({"max_time": "0s"}, "'max_time' must be more than 0"),
        ({"max_time": "00:00:00:00"}, "'max_time' must be more than 0"),
        ({"diagnostics": "hardnes"}, "did you mean 'hardness'? (got 'hardnes')"),
        ({"diagnostics": ["cost", "none"]}, "'diagnostics' must be 'none' alone, or names without"),
        ({"diagnostics": 3}, "'diagnostics' must be"),
        ({"encoder": "ease", "diagnostics": "all"}, "must be left out: ease is not trained"),
        ({"user": "c"}, "did you mean 'user_column'?"),
        ({"encoder": "mf", "layers": 2}, "'layers' must be left out: mf has none (got 2)"),
        ({"protocol": "dirty"}, "'protocol' must be 'clean', 'refit' or 'paper' (got 'dirty')"),
        ({"val_share": 1.0}, "'val_share' must be less than 1"),
        ({"k_core": [5]}, "'k_core' must be two whole numbers (got [5])"),
        ({"neg": "ans", "gain": "perhaps"}, "'gain' must be a valid boolean"),
        ({"encoder": "ease", "neg": "dns"}, "'neg' must be left out: ease is not trained"),
        ({"encoder": "ease", "rank_by": "dot"}, "'rank_by' must be left out: ease is not trained"),
        ({"rank_by": "cos"}, "'rank_by' must be"),
        (
            {"encoder": "ease", "epochs": 3},
            "'epochs' must be left out: ease is not trained (got 3)",
        ),
        ({"encoder": "mf", "encoder_k": 3}, "it is for item-knn (got 'mf')"),
        ({"eval": "with-known"}, "'eval' must be 'full' or 'sampled'"),
    ],
)
def test_wrong_fields_are_refused_by_name(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config.of(**fields)
    assert message in str(refused.value)


def test_arguments_without_a_default_value_can_be_given() -> None:
    data, _, _ = SyntheticInteractions("tiny")
    one = make_encoder(Config.of(encoder="lightgcn", layers=2, encoder_alpha="0.5"), data)
    several = make_encoder(
        Config.of(encoder="lightgcn", layers=2, encoder_alpha=["0.2", "0.3", "0.5"]), data
    )
    assert one.alpha == [0.5, 0.5, 0.5]
    assert several.alpha == pytest.approx([0.2, 0.3, 0.5])


def test_a_reference_has_its_own_fields_only() -> None:
    flat = Config.of(encoder="item-knn", encoder_k=7, dataset="tiny").flat()
    assert flat["encoder_k"] == 7
    assert not {"neg", "loss", "lr", "epochs", "dim", "num_candidates"} & {*flat}
    assert Config.of(**flat).flat() == flat


def test_flags_win_and_take_the_arguments_of_what_they_replace_along() -> None:
    file = Config.of(dataset="tiny", neg="dins", beta=2.0, encoder="sgl").flat()
    config = Config.of(**merged(file, {"neg": "rns", "epochs": 3}))
    assert config.sampler.neg == "rns"
    assert config.training.epochs == 3
    assert config.encoder.arguments["view"] == "edge"
    other = Config.of(**merged(file, {"neg": "ahns"}))  # has a beta, too, which is another thing
    assert not other.sampler.arguments
    both = merged(file, {"neg": ["dins", "ahns"]})
    assert both["beta"] == 2.0


@pytest.mark.parametrize("part", list(METHODS))
def test_any_method_can_take_the_place_of_any_other(part: str) -> None:
    """A run's own file has every field; those that the other method has not go with the old one."""
    data, _, _ = SyntheticInteractions("tiny")
    alone = {method: Config.of(**{"dataset": "tiny", part: method}) for method in METHODS[part]}
    for config in alone.values():
        assert config.is_reference or make_recommender(config, data)
    for old in alone.values():
        for new, config in alone.items():
            assert Config.of(**merged(old.flat(), {part: new})).flat() == config.flat()


def test_precisions_are_those_of_training() -> None:
    assert choices_of(FIELDS["precision"].kind) == PRECISIONS


def test_names_become_objects() -> None:
    data, _, _ = SyntheticInteractions("tiny")
    fields = {"neg": "pns", "power": 0.25, "loss": "ssm", "loss_temperature": 0.3, "pool": "sum"}
    model = make_recommender(Config.of(encoder="lightgcn", num_candidates=3, **fields), data)
    assert model.sampler.candidates.power == 0.25
    assert model.loss.temperature == 0.3
    assert model.encoder.pool == model.sampler.pool == "sum"


def test_a_file_holds_fields_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("- a\n- b\n")
    with pytest.raises(ValueError, match="must hold 'field: value' lines"):
        read_config(file)
    file.write_text("dim: 8\nnum-candidates: 3\nnum_candidates: 4\n")
    with pytest.raises(yaml.YAMLError, match=r"'num_candidates' stands there twice(?s:.*)line 3"):
        read_config(file)


@pytest.mark.parametrize(
    ("said", "protocol", "names"),
    [
        ("all", "clean", tuple(DIAGNOSTICS)),
        (["none"], "refit", ()),
        (["false-negatives", "cost"], "clean", ("cost", "false-negatives")),
        # Validation links are those of test then.
        (["false-negatives", "cost"], "paper", ("cost",)),
    ],
)
def test_diagnostics_look_at_no_test_links(
    said: object, protocol: str, names: tuple[str, ...]
) -> None:
    config = Config.of(diagnostics=said, protocol=protocol)
    assert fit_options(config)["diagnostics"] == names
    assert config.flat()["diagnostics"] == (["all"] if said == "all" else said)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dim", {"dim": 10_000}),
        ("layers", {"layers": 1000}),
        ("num_candidates", {"neg": "dns", "num_candidates": 10_000}),
        ("num_negatives", {"neg": "rns", "num_negatives": 100}),
        ("num_uniform", {"neg": "mns", "num_uniform": 10_000}),
        ("num_cached", {"neg": "cbns", "num_cached": 10_000}),
        ("batch_size", {"neg": "dns", "num_candidates": 1000, "num_negatives": 50}),
    ],
)
def test_what_does_not_fit_into_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, given: dict[str, Any]
) -> None:
    """With 10 MB; a tenth of each is fine."""
    memory = psutil.virtual_memory()._replace(available=10**7)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(ConfigError, match=f"'{name}' must be less: it needs .* GiB of memory"):
        check_memory(Config.of(**given), small_graph())
    check_memory(
        Config.of(**{n: x // 10 if isinstance(x, int) else x for n, x in given.items()}),
        small_graph(),
    )
