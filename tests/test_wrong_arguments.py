"""Whatever is given to a public constructor: it works, or one line of ours says what is wrong."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_negsamp.candidates import PoolCandidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import (
    LatestSplit,
    LeaveOneOut,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
    TemporalSplit,
)
from pyg_negsamp.evaluation import evaluate, evaluate_sampled, evaluate_users
from pyg_negsamp.losses import LOSSES, graph_arguments
from pyg_negsamp.nn import ENCODERS, MF
from pyg_negsamp.references import REFERENCES
from pyg_negsamp.training import LinkLoader, Recommender
from pyg_negsamp.transforms import RNS, SAMPLERS

TRAIN, VAL, _ = SyntheticInteractions("tiny")
SAMPLER = RNS(UniformCandidates(TRAIN))
TABLES = {"user": torch.zeros(60, 2), "item": torch.zeros(80, 2)}

#: What to call, and arguments that work.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    **{
        cls.__name__: (cls, {"candidates": cls.proposal(TRAIN)})  # type: ignore[attr-defined]
        for cls in SAMPLERS.values()
    },
    **{cls.__name__: (cls, graph_arguments(cls, TRAIN, 2)) for cls in LOSSES.values()},
    **{cls.__name__: (cls, {"data": TRAIN}) for cls in (*ENCODERS.values(), *REFERENCES.values())},
    "UniformCandidates": (UniformCandidates, {"data": TRAIN}),
    "PopularityCandidates": (PopularityCandidates, {"data": TRAIN}),
    "PoolCandidates": (PoolCandidates, {"data": TRAIN, "pool": torch.ones(60, 80).to_sparse()}),
    "LinkLoader": (LinkLoader, {"data": TRAIN}),
    "Recommender": (Recommender, {"encoder": MF(TRAIN, dim=2), "sampler": SAMPLER}),
    "RandomSplit": (RandomSplit, {}),
    "LatestSplit": (LatestSplit, {}),
    "LeaveOneOut": (LeaveOneOut, {}),
    "PredefinedSplit": (PredefinedSplit, {}),
    "TemporalSplit": (TemporalSplit, {"val_time": 1, "test_time": 2}),
    "evaluate": (evaluate, {"x_dict": TABLES, "data": VAL}),
    "evaluate_users": (evaluate_users, {"x_dict": TABLES, "data": VAL}),
    "evaluate_sampled": (evaluate_sampled, {"x_dict": TABLES, "data": VAL}),
}
#: Who, which argument, what was expected, what came.
OURS = re.compile(r"[A-Za-z_]+: '[^']+' must be .+ \(got .+\)", re.DOTALL)

NUMBERS = st.one_of(st.integers(-5, 5), st.floats(), st.just(2**63), st.booleans(), st.just(1 + 2j))
TENSORS = st.sampled_from(
    [
        torch.zeros(0),
        torch.tensor(3),
        torch.tensor([1.5, float("nan")]),
        torch.ones(2, 3, dtype=torch.long),
        torch.ones(80, dtype=torch.bool),
        torch.tensor([[0], [80]]),
    ]
)
SIMPLE = st.one_of(st.none(), NUMBERS, st.text(max_size=4), st.binary(max_size=2), TENSORS)
ANYTHING = st.one_of(
    SIMPLE,
    st.lists(SIMPLE, max_size=3),
    st.tuples(SIMPLE, SIMPLE),
    st.tuples(SIMPLE, SIMPLE, SIMPLE),
    st.dictionaries(st.text(max_size=3), SIMPLE, max_size=2),
    st.sampled_from([object(), print, TRAIN, RNS, SAMPLER, range(3), slice(2)]),
)


def arguments_of(call: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(call).parameters.values()
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@pytest.mark.parametrize("name", [name for name, (call, _) in CALLS.items() if arguments_of(call)])
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_works_or_says_what_is_wrong(name: str, data: st.DataObject) -> None:
    call, good = CALLS[name]
    argument = data.draw(st.sampled_from(arguments_of(call)))
    value = data.draw(ANYTHING)
    if argument == "x_dict" and callable(value):
        return  # somebody else's function, and its own errors
    try:
        call(**{**good, argument: value})
    except ValueError as error:
        said = str(error)
        assert OURS.fullmatch(said), said
        assert len(said) < 1000, said
