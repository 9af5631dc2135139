"""Whatever goes wrong on the way through a sampler, one line says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.training import LinkLoader
from pyg_negsamp.transforms import AHNS, DENS, DINS, DNS, IRGAN, RNS, SAMPLERS

DATA = SyntheticInteractions("tiny")[0]
USER, POS = DATA[EDGE_TYPE].edge_index[:, :10]
X = {"user": torch.randn(60, 4), "item": torch.randn(80, 4)}


def batch(links: bool = False, name: str = "item", amount: int = 0) -> HeteroData:
    """One in triplet form, or in the form of links."""
    data = HeteroData()
    if links:
        data["user", "interacts", name].edge_label_index = torch.stack([USER, POS])
        return data
    data["user"].src_index, data[name].dst_pos_index = USER, POS
    if amount:
        data[name].dst_neg_index = UniformCandidates(DATA)(USER, amount)
    return data


def renumbered() -> HeteroData:
    data = batch(amount=3)
    for name, size in (("user", 60), ("item", 80)):
        data[name].n_id = torch.arange(size)
    return data


def sample(**said: Any) -> None:
    given = {"user": USER, "pos": POS, "user_xs": X["user"], "item_xs": X["item"]}
    DNS(DATA).sample(**{**given, **said})


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a transform that reads embeddings": (
        lambda: next(iter(LinkLoader(DATA, transform=DNS(DATA)))),
        r"'x_dict' must be .* call it in the loop, after the encoder, sampler\(batch, x_dict\)",
    ),
    "nothing to draw from": (
        lambda: DNS().sample(USER, POS, X["user"], X["item"]),
        r"'candidates' must be .*such as the training graph: DNS\(train_data\)",
    ),
    "other names": (
        lambda: RNS()(batch(name="book")),
        r"'batch' must be .*of edge type \('user', 'interacts', 'item'\), unless .*edge_type=",
    ),
    "no batch": (
        lambda: DNS(DATA)(USER, X),  # type: ignore[arg-type]
        r"'batch' must be a HeteroData or Data mini-batch; for tensors .*sampler\.sample",
    ),
    "more negatives than the loader drew": (
        lambda: DNS(DATA, num_negatives=4)(batch(amount=3), X),
        r"'candidates' must be .*M >= num_negatives = 4.*amount=M",
    ),
    "a generator in a sampled subgraph": (
        lambda: IRGAN(DATA, dim=4)(renumbered(), X),
        r"'batch' must be in the numbering of the whole graph.*LinkLoader.*take DNS",
    ),
    "mixtures as links": (
        lambda: DINS(DATA)(batch(links=True), X),
        r"'batch' must be in the triplet form, 'src_index'.*'dst_neg_xs'.*such as DNS",
    ),
    "mixtures as links besides": (
        lambda: DINS(DATA, as_links=True)(batch(), X),
        r"'as_links' must be False.*'dst_neg_xs'.*such as DNS",
    ),
    "another width": (
        lambda: DENS(DATA, dim=8)(batch(), X),
        r"'user_xs, item_xs' must be of width 8, or the sampler made with dim=4",
    ),
    "NaN": (
        lambda: sample(user_xs=X["user"] * torch.nan),
        r"'user_xs' must be finite .*learning rate",
    ),
    "two precisions": (
        lambda: sample(user_xs=X["user"].double()),
        r"'user_xs, item_xs' must be of one floating-point type \(x\.float\(\)",
    ),
    "ids for embeddings": (
        lambda: sample(user_xs=X["user"].long(), item_xs=X["item"].long()),
        r"'user_xs, item_xs' must be of one floating-point type .*torch\.int64",
    ),
    "arrays": (
        lambda: sample(user=USER.numpy()),
        r"'user' must be a tensor \[B\] of ids \(got a ndarray \[10\] int64",
    ),
    "lists": (
        lambda: sample(candidates=[[1]] * 10),
        r"'candidates' must be a tensor of integers, int64 or int32 \(got \[\[1\]",
    ),
    "bytes for ids": (
        lambda: sample(pos=USER.to(torch.uint8)),
        r"'pos' must be integers, int64 or int32 \(got torch.uint8",
    ),
    "a decoder of another shape": (
        lambda: DNS(DATA, score=lambda u, i: u.unsqueeze(1) * i)(batch(), X),
        r"'score' must be a function of rows \[10, 4\] and \[10, 16, 4\] that gives \[10, 16\]",
    ),
    "a decoder that gives lists": (
        lambda: AHNS(DATA, score=lambda u, i: [0.0])(batch(), X),  # type: ignore[arg-type,return-value]
        r"'score' must be a function of rows .*\(got \[0\.0\]\)",
    ),
}


@pytest.mark.filterwarnings("ignore:.*was not told of epochs")
@pytest.mark.parametrize("name", REFUSED)
def test_says_what_to_do(name: str) -> None:
    call, said = REFUSED[name]
    with pytest.raises(ValueError, match=rf"^[A-Za-z]+: {said}") as error:
        call()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["dens", "ans"])
def test_what_is_learned_is_of_the_type_of_the_tables(name: str) -> None:
    sampler = SAMPLERS[name](DATA, dim=4)
    half = {key: x.bfloat16() for key, x in X.items()}
    with pytest.raises(ValueError, match=r"of torch.float32, .*sampler.to\(torch.bfloat16\)"):
        sampler.sample(USER, POS, half["user"], half["item"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sampler.sample(USER, POS, half["user"], half["item"])
    sampler.to(torch.bfloat16).sample(USER, POS, half["user"], half["item"])


def test_one_table_is_both_in_a_homogeneous_graph() -> None:
    """So that nobody has to name it twice."""
    x = torch.randn(80, 4)
    sampler = DNS(check_positives=False)
    candidates = torch.randint(80, (10, 5))
    once = sampler.sample(USER, POS, x, candidates=candidates)
    assert torch.equal(once.xs, sampler.sample(USER, POS, x, x, candidates).xs)


@pytest.mark.parametrize(
    "call",
    [
        lambda generator: RNS(DATA).sample(USER, POS, X["user"], X["item"], generator=generator),
        lambda generator: RNS(DATA)(batch(), X, generator),
        lambda generator: UniformCandidates(DATA)(USER, 3, generator),
    ],
)
@pytest.mark.parametrize("generator", [3, "seed", lambda: None])
def test_what_is_no_generator(call: Callable[[Any], Any], generator: Any) -> None:
    with pytest.raises(ValueError, match=r"'generator' must be a torch\.Generator, such as"):
        call(generator)
