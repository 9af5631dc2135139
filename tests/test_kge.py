"""PyG's knowledge graph models as scores of samplers: the very numbers of their `forward`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import ComplEx, DistMult, RotatE, TransE
from torch_geometric.nn.kge import KGEModel

from pyg_negsamp.kge import KGEScore

MODELS = [TransE, DistMult, ComplEx, RotatE]
N, R, B, K = 20, 4, 5, 7


def triples() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heads, relations and tails `[B]`, and entities to score `[B, K]`."""
    g = torch.Generator().manual_seed(0)
    sizes = ((N, (B,)), (R, (B,)), (N, (B,)), (N, (B, K)))
    head, relation, tail, others = (torch.randint(n, size, generator=g) for n, size in sizes)
    return head, relation, tail, others


def naive(
    model: KGEModel, corrupt: str, head: Tensor, relation: Tensor, tail: Tensor, others: Tensor
) -> Tensor:
    """The model's `forward` with other ends, `[B, K]`."""
    head, relation, tail = (x.repeat_interleave(K) for x in (head, relation, tail))
    wanted = others.flatten()
    scores = model(wanted, relation, tail) if corrupt == "head" else model(head, relation, wanted)
    return scores.view(B, K)


@pytest.mark.parametrize("cls", MODELS)
@pytest.mark.parametrize("corrupt", ["tail", "head"])
def test_scores_and_gradients_are_the_models_own(cls: type[KGEModel], corrupt: str) -> None:
    torch.manual_seed(0)
    model = cls(N, R, 6)
    head, relation, tail, others = triples()
    score = KGEScore(model, corrupt)
    user, pos, rows, entities = score.inputs(head, relation, tail)
    known, wanted = (head, tail) if corrupt == "tail" else (tail, head)
    assert torch.equal(user, known * R + relation)
    assert torch.equal(pos, wanted)
    found = score(rows, entities[others])
    expected = naive(model, corrupt, head, relation, tail, others)
    assert torch.equal(found, expected)
    weight = torch.rand(B, K)
    gradients = [
        torch.autograd.grad((x * weight).sum(), list(model.parameters())) for x in (found, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cls", MODELS)
def test_models_with_sparse_gradients_score_as_others(cls: type[KGEModel]) -> None:
    model = cls(N, R, 6, sparse=True)
    *triple, others = triples()
    _, _, rows, entities = KGEScore(model).inputs(*triple)
    expected = naive(model, "tail", *triple, others)
    assert torch.equal(KGEScore(model)(rows, entities[others]), expected)
    empty = KGEScore(model)(rows[:0], entities[others[:0]])
    assert empty.shape == (0, K)


class Other(KGEModel):
    """With a table that nobody knows how to read."""

    def __init__(self) -> None:
        super().__init__(N, R, 6)
        self.bias = torch.nn.Embedding(N, 1)


@pytest.mark.parametrize(
    ("model", "expected"),
    [(torch.nn.Linear(2, 2), "a KGEModel of torch_geometric.nn"), (Other(), "bias.weight")],
)
def test_refuses_other_models(model: KGEModel, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^KGEScore: 'model' must be .*{expected}"):
        KGEScore(model)


@pytest.mark.parametrize(
    ("number", "value", "expected"),
    [
        (0, torch.tensor([1.0, 2.0]), r"'head' must be .*float32"),
        (0, torch.tensor([[1]]), r"'head' must be .*\[1, 1\]"),
        (1, torch.tensor([0, 4]), r"'relation' must be .*\[0, 4\).*0\.\.4"),
        (1, torch.tensor([0]), r"'relation' must be .*\[1\]"),
        (2, torch.tensor([-1, 3]), r"'tail' must be .*\[0, 20\).*-1\.\.3"),
    ],
)
def test_refuses_triples_that_are_none(number: int, value: Tensor, expected: str) -> None:
    triple = [torch.tensor([0, 1]) for _ in range(3)]
    triple[number] = value
    with pytest.raises(ValueError, match=f"^KGEScore: {expected}"):
        KGEScore(TransE(N, R, 6)).inputs(*triple)


def test_refuses_other_ends() -> None:
    with pytest.raises(ValueError, match="KGEScore: 'corrupt' must be one of 'tail', 'head'"):
        KGEScore(TransE(N, R, 6), "relation")
