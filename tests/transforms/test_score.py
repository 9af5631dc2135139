"""Samplers rank by the score of the model: dot products, cosines, or a decoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import SyntheticInteractions
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.losses import SampledSoftmaxLoss
from pyg_negsamp.nn import MF
from pyg_negsamp.scoring import Score
from pyg_negsamp.training import Recommender
from pyg_negsamp.transforms import DINS, DNS, SAMPLERS, Compose, MixGCF, NegativeSampling

DATA = SyntheticInteractions("tiny")[0]
USER, POS = DATA[EDGE_TYPE].edge_index[:, :50]
D = 4


class Decoder(torch.nn.Module):
    """An MLP over both vectors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.hidden, self.out = torch.nn.Linear(2 * D, 8), torch.nn.Linear(8, 1)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        both = torch.cat([user.unsqueeze(1).expand_as(item), item], dim=-1)
        return self.out(self.hidden(both).relu()).squeeze(-1)


def tables(layers: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return tuple(  # type: ignore[return-value]
        [torch.randn(n, D, generator=generator) for _ in range(layers)] for n in (60, 80)
    )


def naive(score: str | Decoder, user: Tensor, item: Tensor) -> Tensor:
    if isinstance(score, Decoder):
        return score(user, item)
    if score == "cosine":
        return cosine_similarity(user.unsqueeze(1), item, dim=-1)
    return (user.unsqueeze(1) * item).sum(-1)


@pytest.mark.parametrize("score", ["dot", "cosine", Decoder()])
def test_the_hardest_is_so_by_the_score(score: Score) -> None:
    users, items = tables()
    candidates = UniformCandidates(DATA)(USER, 12, torch.Generator().manual_seed(1))
    index = DNS(DATA, score=score).sample(USER, POS, users, items, candidates).index
    values = naive(score, users[0][USER], items[0][candidates])  # type: ignore[arg-type]
    expected = candidates.gather(1, values.argmax(1, keepdim=True))
    assert index is not None
    assert torch.equal(index, expected)


@pytest.mark.parametrize("score", ["dot", "cosine"])
def test_layers_are_ranked_one_by_one(score: Score) -> None:
    """With `concat`, by the user's vector of the same layer; a decoder reads all layers at once."""
    users, items = tables(3)
    candidates = UniformCandidates(DATA)(USER, 12, torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="which reads all at once"):
        DINS(DATA, score=Decoder(), pool="concat").sample(USER, POS, users, items, candidates)
    index = DINS(DATA, score=score, pool="concat").sample(USER, POS, users, items, candidates).index
    assert index is not None
    for layer in range(3):
        values = naive(score, users[layer][USER], items[layer][candidates])  # type: ignore[arg-type]
        expected = candidates.gather(1, values.argmax(1, keepdim=True))
        assert torch.equal(index[..., layer], expected)


def test_every_score_chooses_something_else() -> None:
    users, items = tables()
    candidates = UniformCandidates(DATA)(USER, 12, torch.Generator().manual_seed(1))
    found = [
        DNS(DATA, score=score).sample(USER, POS, users, items, candidates).index
        for score in ("dot", "cosine", Decoder())
    ]
    assert all(
        not torch.equal(a, b)  # type: ignore[arg-type]
        for k, a in enumerate(found)
        for b in found[k + 1 :]
    )


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("score", ["cosine", Decoder()])
def test_every_sampler_works_with_every_score(name: str, score: Score) -> None:
    cls = SAMPLERS[name]
    own = {"dim": D} if name in ("ans", "dens", "irgan", "advir") else {}
    sampler = cls(cls.proposal(DATA), score=score, **own)
    users, items = tables()
    negatives = sampler.sample(USER, POS, users, items)
    assert negatives.xs.isfinite().all()


def test_a_recommender_hands_its_score_on() -> None:
    composed = Compose(DNS(DATA), MixGCF())
    for sampler in (DNS(DATA), composed):
        assert sampler.score == "dot"
        Recommender(MF(DATA, dim=D), sampler, SampledSoftmaxLoss())
        assert sampler.score == "cosine"
    assert composed.selector.score == "cosine"
    Recommender(MF(DATA, dim=D), DNS(DATA, score="cosine"), SampledSoftmaxLoss())


@pytest.mark.parametrize("score", ["dot", Decoder()])
def test_refuses_another_score_than_the_models(score: Score) -> None:
    sampler: NegativeSampling = DNS(DATA, score=score)
    with pytest.raises(ValueError, match=r"^DNS: 'score' must be that of the model, 'cosine'"):
        Recommender(MF(DATA, dim=D), sampler, SampledSoftmaxLoss())


def test_refuses_a_score_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^DNS: 'score' must be one of 'dot', 'cosine'"):
        DNS(DATA, score="cos")  # type: ignore[arg-type]


# What samplers draw from -------------------------------------------------------------------------


def test_a_graph_or_its_links_are_enough() -> None:
    index, size = DATA[EDGE_TYPE].edge_index, (60, 80)
    from torch_geometric import EdgeIndex

    expected = UniformCandidates(DATA)(USER, 9, torch.Generator().manual_seed(1))
    for source in (DATA, (index, size), EdgeIndex(index, sparse_size=size)):
        sampler = DNS(source, num_candidates=9)
        assert sampler.candidates is not None
        assert torch.equal(sampler.draw(USER, POS, torch.Generator().manual_seed(1)), expected)


def test_edge_types_are_inherited() -> None:
    data = SyntheticInteractions("tiny")[0].clone()
    del data[EDGE_TYPE]
    data["customer"].num_nodes, data["film"].num_nodes = 60, 80
    data["customer", "rates", "film"].edge_index = LINKS = DATA[EDGE_TYPE].edge_index
    data["film", "rev_rates", "customer"].edge_index = LINKS.flip(0)
    del data["user"], data["item"]
    for said in (None, ("customer", "film"), ("customer", "rates", "film")):
        sampler = DNS(data, edge_type=said)
        assert sampler.edge_type == ("customer", "rates", "film")
    data["customer", "likes", "film"].edge_index = LINKS
    with pytest.raises(ValueError, match="'edge_type' must be one of"):
        DNS(data)
    batch = type(data)()
    batch["customer"].src_index, batch["film"].dst_pos_index = USER, POS
    sampler = DNS(UniformCandidates(data, edge_type=("customer", "rates", "film")))
    out = sampler(batch, {"customer": torch.randn(60, D), "film": torch.randn(80, D)})
    assert out["film"].dst_neg_index.shape == (50, 1)
    assert out.edge_types == []  # nothing was made by looking


@pytest.mark.parametrize("source", [3, "x", (1, 2), (DATA[EDGE_TYPE].edge_index, 60)])
def test_refuses_to_draw_from_anything_else(source: object) -> None:
    with pytest.raises(ValueError, match=r"^DNS: 'candidates' must be "):
        DNS(source)  # type: ignore[arg-type]
