"""NGCF against loops over links, and its convolution in every form of the graph."""

from __future__ import annotations

import pytest
import torch
from small_graph import (
    BATCH_ITEM,
    BATCH_USER,
    NUM_ITEMS,
    NUM_NODES,
    NUM_USERS,
    dense_adjacency,
    edges,
    gradients,
    graph,
    in_double,
    same,
    seeded,
    stacked,
    weighted,
)
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from oracles import ngcf
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.layers import gather_rows, pool_layers
from pyg_negsamp.nn import NGCF, NGCFConv


def weights(encoder: NGCF) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices as the oracle wants them."""
    return (
        [conv.lin_self.weight.detach() for conv in encoder.convs],
        [conv.lin_interaction.weight.detach() for conv in encoder.convs],
    )


def oracle(encoder: NGCF, masks: list[Tensor] | None = None) -> list[Tensor]:
    ego = encoder.embedding.weight.detach()
    users, items = ngcf.propagate(
        ego[:NUM_USERS],
        ego[NUM_USERS:],
        edges(graph()),
        *weights(encoder),
        encoder.negative_slope,
        masks,
    )
    return [torch.cat(pair) for pair in zip(users, items, strict=True)]


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("negative_slope", [0.2, 0.5])
def test_layers_equal_the_oracle(num_layers: int, negative_slope: float) -> None:
    encoder = in_double(
        NGCF, graph(), 5, num_layers, message_dropout=0.0, negative_slope=negative_slope
    )
    found = stacked(encoder())
    assert len(found) == num_layers + 1
    for x, y in zip(found, oracle(encoder), strict=True):
        same(x.detach(), y)


def test_layers_equal_the_oracle_with_the_same_entries_dropped() -> None:
    rate, width = 0.3, 5
    encoder = in_double(NGCF, graph(), width, 3, message_dropout=rate)
    encoder.start_epoch(seeded(4))
    replay = seeded(4)
    kept = [torch.rand(NUM_NODES, width, generator=replay) >= rate for _ in range(3)]
    assert all(0 < int(mask.sum()) < mask.numel() for mask in kept)
    expected = oracle(encoder, [mask / (1 - rate) for mask in kept])
    for x, y in zip(stacked(encoder()), expected, strict=True):
        same(x.detach(), y, 1e-6)  # the mask is single precision
    plain = oracle(encoder)
    assert not torch.allclose(stacked(encoder())[1], plain[1])
    for x, y in zip(stacked(encoder.eval()()), plain, strict=True):
        same(x.detach(), y)


def graphs() -> tuple[Tensor, Tensor]:
    """Both directions of the links, and the weight of each."""
    user, item = graph()[EDGE_TYPE].edge_index
    item = item + NUM_USERS
    both = torch.stack([torch.cat([user, item]), torch.cat([item, user])])
    degree = torch.bincount(both[0], minlength=NUM_NODES).double()
    return both, (degree[both[0]] * degree[both[1]]).rsqrt()


@pytest.mark.parametrize("form", ["edge_index", "weighted", "csr", "SparseTensor"])
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch-sparse's own
def test_convolution_equals_the_oracle_in_every_form_of_the_graph(form: str) -> None:
    """Of different widths, with repeated links and isolated nodes, in values and gradients."""
    conv = in_double(NGCFConv, 4, 6)
    x = torch.randn(NUM_NODES, 4, generator=seeded(1), dtype=torch.double, requires_grad=True)
    both, weight = graphs()
    arguments: tuple
    if form == "edge_index":
        arguments = (both,)
    elif form == "weighted":
        arguments = (both, weight)
    elif form == "csr":
        arguments = (dense_adjacency(edges(graph())).to_sparse_csr(),)
    else:
        sparse = pytest.importorskip("torch_sparse")
        size = (NUM_NODES, NUM_NODES)
        arguments = (
            sparse.SparseTensor(row=both[1], col=both[0], value=weight, sparse_sizes=size),
        )
    out = conv(x, *arguments)
    assert out.shape == (NUM_NODES, 6)

    w1, w2 = conv.lin_self.weight, conv.lin_interaction.weight
    users, items = ngcf.propagate(
        x[:NUM_USERS], x[NUM_USERS:], edges(graph()), [w1], [w2], negative_slope=0.2
    )
    expected = torch.cat([users[1], items[1]])
    activated = normalize(leaky_relu(out, 0.2), dim=-1)
    same(activated, expected)
    for ours, theirs in zip(
        gradients(weighted([activated]), [x, w1, w2]),
        gradients(weighted([expected]), [x, w1, w2]),
        strict=True,
    ):
        assert bool((theirs != 0).any())
        same(ours, theirs)


@pytest.mark.parametrize("training", [False, True])
def test_passes_gradcheck(training: bool) -> None:
    """Towards embeddings and matrices, also with entries dropped."""
    encoder = in_double(NGCF, graph(), 2, 2, message_dropout=0.25).train(training)
    names = [name for name, _ in encoder.named_parameters()]
    assert len(names) == 1 + 2 * 2

    def pooled(*values: Tensor) -> Tensor:
        encoder.start_epoch(seeded(3))
        x_dict = torch.func.functional_call(encoder, dict(zip(names, values, strict=True)), ())
        return torch.cat([pool_layers(xs, encoder.pool) for xs in x_dict.values()])

    values = [p.detach().clone().requires_grad_() for p in encoder.parameters()]
    assert torch.autograd.gradcheck(pooled, values)


@pytest.mark.parametrize("training", [False, True])
def test_rows_of_tables_equal_a_gather_from_forward(training: bool) -> None:
    """In values and gradients; in training, with the same entries dropped."""
    encoder = in_double(NGCF, graph(), 4, 2, message_dropout=0.25).train(training)
    item = torch.randint(NUM_ITEMS, (6, 3), generator=seeded(5))
    for index in (BATCH_ITEM, item):
        encoder.start_epoch(seeded(3))
        rows = encoder.rows(encoder.tables(), BATCH_USER, index)
        encoder.start_epoch(seeded(3))
        x_dict = encoder()
        expected = gather_rows(x_dict["user"], BATCH_USER), gather_rows(x_dict["item"], index)
        assert [x.shape for x in rows] == [(6, 3, 4)] * 2
        for x, y in zip(rows, expected, strict=True):
            same(x, y)
        for x, y in zip(
            gradients(weighted(rows), encoder.parameters()),
            gradients(weighted(expected), encoder.parameters()),
            strict=True,
        ):
            assert bool((y != 0).any())
            same(x, y)


def test_layers_are_concatenated_unless_told_otherwise() -> None:
    encoder = NGCF(graph(), dim=4, num_layers=2)
    assert encoder.pool == "concat"
    assert pool_layers(encoder()["user"], encoder.pool).shape == (NUM_USERS, 4 * 3)
    assert NGCF(graph(), pool="mean").pool == "mean"


def test_reset_draws_the_matrices_anew_as_well() -> None:
    encoder = NGCF(graph(), dim=4, num_layers=2)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    encoder.reset_parameters()
    for name, p in encoder.named_parameters():
        assert not torch.equal(p, before[name]), name


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_refuses_a_slope_that_is_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="NGCF: 'negative_slope'"):
        NGCF(graph(), negative_slope=value)
