"""Persons whom the model has not met, against naive oracles."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from given import made
from small_graph import NUM_ITEMS, NUM_USERS, edges, graph, in_double, same
from torch import Tensor

from oracles import folding
from pyg_negsamp.layers import POOLS, Pool, pool_layers
from pyg_negsamp.losses import (
    LOSSES,
    BPRLoss,
    SampledSoftmaxLoss,
    graph_arguments,
    l2_penalty,
)
from pyg_negsamp.nn import ENCODERS, MF, NGCF, SGL, Encoder, LightGCN, SimGCL
from pyg_negsamp.nn.folding import _negatives, fitted_rows
from pyg_negsamp.products import cosine, dot

#: Three persons; the third takes an item twice, and item 10, which has no link.
PERSONS = [[2, 0, 7], [4], [9, 9, 10]]
OWNER = torch.tensor([0, 2, 0, 1, 2, 0, 2])
ITEM = torch.tensor([2, 9, 0, 4, 9, 7, 10])
DEGREE = [sum(i == item for _, i in edges(graph())) for item in range(NUM_ITEMS)]


def item_layers(encoder: Encoder) -> list[Tensor]:
    """All layers `0..L` of the items, by dense products; for encoders that propagate only."""
    x = encoder.embedding.weight.detach()
    matrix = encoder.adjacency().to_dense()
    xs = [x]
    for _ in range(encoder.num_layers):
        xs.append(matrix @ xs[-1])
    return [x[NUM_USERS:] for x in xs]


CASES: list[tuple[type[LightGCN], dict[str, Any]]] = [
    (LightGCN, {}),
    (LightGCN, {"include_ego": False}),
    (LightGCN, {"num_layers": 0}),
    (LightGCN, {"edge_dropout": 0.3, "message_dropout": 0.3}),
    (SGL, {}),
    (SimGCL, {}),
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("cls", "options"), CASES)
def test_lightgcn_propagates_a_new_node(
    cls: type[LightGCN], options: dict[str, Any], pool: Pool
) -> None:
    encoder = in_double(cls, graph(), 4, pool=pool, **options)
    found = encoder.train().fold_in(OWNER, ITEM, 3, BPRLoss())
    for row, taken in zip(found, PERSONS, strict=True):
        xs = folding.lightgcn(item_layers(encoder), taken, DEGREE)
        same(row, pool_layers(xs[0 if encoder.include_ego else 1 :], pool))


def test_lightgcn_weighs_layers() -> None:
    alpha = [0.5, 0.2, 0.2, 0.1]
    encoder = in_double(LightGCN, graph(), 4, alpha=alpha)
    found = encoder.fold_in(OWNER, ITEM, 3, BPRLoss())
    for row, taken in zip(found, PERSONS, strict=True):
        xs = folding.lightgcn(item_layers(encoder), taken, DEGREE)
        same(row, sum(weight * x for weight, x in zip(alpha, xs, strict=True)))


@pytest.mark.parametrize(
    ("cls", "options"), [(LightGCN, {}), (LightGCN, {"normalize": False}), (NGCF, {})]
)
def test_a_training_users_items_give_the_layers_above_the_first(
    cls: type[Encoder], options: dict[str, Any]
) -> None:
    """Of LightGCN exactly; of NGCF where the ego embedding is zero."""
    encoder = in_double(cls, graph(), 4, pool="concat", **options).eval()
    with torch.no_grad():
        encoder.embedding.weight[:NUM_USERS] = 0
    user, item = torch.tensor(edges(graph())).t()
    found = encoder.fold_in(user, item, NUM_USERS, BPRLoss())
    expected = pool_layers(encoder()["user"], "concat")
    same(found, expected.detach())


@pytest.mark.parametrize("pool", POOLS)
def test_ngcf_propagates_a_new_node(pool: Pool) -> None:
    encoder = in_double(NGCF, graph(), 4, pool=pool)
    found = encoder.train().fold_in(OWNER, ITEM, 3, BPRLoss())
    W1 = [conv.lin_self.weight.detach() for conv in encoder.convs]
    W2 = [conv.lin_interaction.weight.detach() for conv in encoder.convs]
    item_xs = [x.detach()[NUM_USERS:] for x in encoder._layers(drop=False)]
    for row, taken in zip(found, PERSONS, strict=True):
        xs = folding.ngcf(item_xs, taken, DEGREE, W1, W2, encoder.negative_slope)
        same(row, pool_layers(xs, pool))


def loss_similarity(loss: torch.nn.Module) -> str:
    return getattr(loss, "similarity", "dot")


def penalised_loss(row: Tensor, items: Tensor, taken: list[int], neg: Tensor, loss, l2) -> Tensor:
    """What training would say of one person, link by link."""
    score = cosine if loss_similarity(loss) == "cosine" else dot
    total = row.new_zeros(())
    for item in taken:
        user, pos, negs = row[None], items[item][None], items[neg][None]
        total = total + loss(score(user, pos[None])[0], score(user, negs))
        total = total + l2 * l2_penalty(user, pos, negs)
    return total


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", list(LOSSES))
def test_mf_minimises_the_training_loss(bias: bool, name: str) -> None:
    """The gradient is gone, and no step from there is downwards.

    With weights that pass no gradient there is no function that the gradient is of: L-BFGS, which
    looks at both, stops near the end. Where the gradient jumps, it stops before a kink.
    """
    loss, l2 = made(name, graph()).of_new_users(), 0.05
    has_minimum = name != "self-adversarial" and loss.smooth
    encoder = in_double(MF, graph(), 4, bias=bias)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    items = encoder()["item"][0].detach()
    found = encoder.fold_in(OWNER, ITEM, 3, loss, l2)
    if loss_similarity(loss) == "cosine" and not bias:
        l2 = 0.0  # would only shorten the row
    owner, order = OWNER.sort(stable=True)
    negatives = _negatives(owner, ITEM[order], 3, NUM_ITEMS)
    for row, taken, neg in zip(found, PERSONS, negatives, strict=True):
        assert not set(taken) & set(neg.tolist())
        if bias:
            assert row[-1] == 1
        free = row[: 4 + bias].clone().requires_grad_()
        whole = torch.cat([free, row[4 + bias :]])
        least = penalised_loss(whole, items, taken, neg, loss, l2)
        (gradient,) = torch.autograd.grad(least, free)
        least = least.detach()
        if loss.smooth:
            assert float(gradient.abs().max()) < (1e-4 if has_minimum else 0.1)
        for seed in range(5 * has_minimum):
            step = torch.randn(len(row), generator=torch.Generator().manual_seed(seed)).double()
            step[4 + bias :] = 0
            there = penalised_loss(row + 0.01 * step, items, taken, neg, loss, l2)
            assert float(there) >= float(least) - 1e-9


def test_dot_products_leave_a_persons_own_bias_at_zero() -> None:
    encoder = in_double(MF, graph(), 4, bias=True)
    with torch.no_grad():
        encoder.biases.normal_(generator=torch.Generator().manual_seed(1))
    found = encoder.fold_in(OWNER, ITEM, 3, BPRLoss(), 0.01)
    same(found[:, 4:], torch.tensor([[0.0, 1.0]] * 3).double())


@pytest.mark.parametrize("loss", [BPRLoss(), SampledSoftmaxLoss()])
def test_a_loss_without_a_minimum_gives_a_finite_row(loss: torch.nn.Module) -> None:
    encoder = in_double(MF, graph(), 8)
    assert bool(encoder.fold_in(OWNER, ITEM, 3, loss, 0.0).isfinite().all())


def test_somebody_who_took_everything_has_no_negatives() -> None:
    with pytest.raises(ValueError, match="unobserved item"):
        MF(graph(), 4).fold_in(torch.zeros(NUM_ITEMS).long(), torch.arange(NUM_ITEMS), 1, BPRLoss())


def test_blocks_and_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    items = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).double()
    owner = torch.arange(7).repeat_interleave(3)
    item = torch.randint(40, (21,), generator=torch.Generator().manual_seed(1))
    whole = fitted_rows(items, owner, item, 7, BPRLoss(), 0.1)
    order = torch.randperm(21, generator=torch.Generator().manual_seed(2))
    same(fitted_rows(items, owner[order], item[order], 7, BPRLoss(), 0.1), whole, 1e-4)
    monkeypatch.setattr("pyg_negsamp.nn.folding.BLOCK", 2)
    same(fitted_rows(items, owner, item, 7, BPRLoss(), 0.1), whole, 1e-4)


@pytest.mark.parametrize("cls", list(ENCODERS.values()))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_encoder_folds_in_without_side_effects(
    cls: type[Encoder], dtype: torch.dtype
) -> None:
    """In the precision of its tables; nothing is drawn from torch's stream, nothing changes."""
    encoder = cls(graph(), 4).to(dtype).train()
    state, stream = encoder.state_dict(), torch.get_rng_state()
    before = {name: x.clone() for name, x in state.items()}
    first, again = (encoder.fold_in(OWNER, ITEM, 3, BPRLoss(), 0.1) for _ in range(2))
    assert first.dtype == dtype
    assert not first.requires_grad
    assert torch.equal(first, again)
    assert encoder.training
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(before[name], x) for name, x in state.items())
    assert all(parameter.grad is None for parameter in encoder.parameters())


class Plain(Encoder):
    """An encoder that says nothing of new persons."""

    def forward(self) -> dict:
        return self._as_x_dict([self.embedding.weight, 2 * self.embedding.weight])


def test_an_encoder_that_says_nothing_fits_the_scoring_row() -> None:
    encoder = in_double(Plain, graph(), 4, num_layers=1, pool="concat")
    items = pool_layers(encoder()["item"], "concat").detach()
    found = encoder.fold_in(OWNER, ITEM, 3, BPRLoss(), 0.1)
    same(found, fitted_rows(items, OWNER, ITEM, 3, BPRLoss(), 0.1))
    assert found.shape == (3, 8)


@pytest.mark.parametrize("cls", [*ENCODERS.values(), *LOSSES.values()])
def test_every_argument_can_be_read_off_the_object(cls: type) -> None:
    """So that a saved model can be built again."""
    parameters = inspect.signature(cls).parameters.values()
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    names = [name for name in named if name != "data"]
    given = {"data": graph()} if "data" in named else {}
    first = {**given, "dim": 4} if cls in ENCODERS.values() else graph_arguments(cls, graph(), 4)
    made = cls(**first)
    values = {name: getattr(made, name) for name in names}
    again = cls(**given, **values)
    assert {name: getattr(again, name) for name in names} == values


@pytest.mark.parametrize("cls", [MF, LightGCN, NGCF])
@pytest.mark.parametrize(
    ("owner", "item"),
    [([0], [1, 2]), ([0, 0], [1]), ([0], [NUM_ITEMS]), ([0], [-1]), ([1], [0]), ([0.5], [1.0])],
)
def test_what_is_no_taken_item_is_refused(cls: type, owner: list, item: list) -> None:
    encoder = cls(graph(), 4)
    with pytest.raises(ValueError, match=f"{cls.__name__}: 'owner, item' must be"):
        encoder.fold_in(torch.tensor(owner), torch.tensor(item), 1, BPRLoss())


def test_a_persons_row_does_not_depend_on_who_else_is_in_the_call() -> None:
    items, loss = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)), BPRLoss()
    taken = torch.tensor([3, 50, 120, 7])
    twice = fitted_rows(
        items, torch.tensor([0] * 4 + [1] * 4 + [2]), taken.repeat(3)[:9], 3, loss, 1e-2
    )
    alone = fitted_rows(items, torch.zeros(4, dtype=torch.long), taken, 1, loss, 1e-2)
    torch.testing.assert_close(twice[:2], alone.expand(2, -1))
