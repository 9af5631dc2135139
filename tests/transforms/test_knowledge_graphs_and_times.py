"""Rows that say more than who: a relation, or when; in every entrance of a sampler."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import ComplEx, DistMult, RotatE, TransE
from torch_geometric.nn.kge import KGEModel

from pyg_negsamp.candidates import BatchCandidates, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.kge import KGEScore
from pyg_negsamp.transforms import (
    DINS,
    DNS,
    RNS,
    SAMPLERS,
    Compose,
    ContrastiveDNS,
    MixGCF,
    NegativeSampling,
)

# A knowledge graph -------------------------------------------------------------------------------

N, R, D = 30, 4, 6
KEEPING = [name for name, cls in SAMPLERS.items() if cls.keeps_users]


def kg() -> Data:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(N, (2, 300), generator=generator)
    return Data(
        edge_index=index, edge_type=torch.randint(R, (300,), generator=generator), num_nodes=N
    )


DATA = kg()
HEAD, TAIL = DATA.edge_index[:, :40]
RELATION = DATA.edge_type[:40]


def known(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """Which triples are links, one by one."""
    links = {tuple(x) for x in torch.stack([*DATA.edge_index, DATA.edge_type]).t().tolist()}
    triples = torch.stack([head, tail, relation]).flatten(1).t().tolist()
    return torch.tensor([tuple(x) in links for x in triples]).view(head.shape)


@pytest.mark.parametrize("cls", [TransE, DistMult, ComplEx, RotatE])
def test_the_hardest_tail_and_the_hardest_head_by_the_models_own_score(cls: type[KGEModel]) -> None:
    model = cls(N, R, D)
    flipped = DATA.clone()
    flipped.edge_index = DATA.edge_index.flip(0)
    K = 2
    for corrupt, data in (("tail", DATA), ("head", flipped)):
        score = KGEScore(model, corrupt)
        source = UniformCandidates(data, relation=data.edge_type)
        sampler = DNS(source, score=score, num_candidates=9, num_negatives=K)
        inputs = score.inputs(HEAD, RELATION, TAIL)
        drawn = source(inputs[0], 9, torch.Generator().manual_seed(1))
        negatives = sampler.sample(*inputs, generator=torch.Generator().manual_seed(1))
        head, relation, tail = (x.unsqueeze(1).expand(-1, 9) for x in (HEAD, RELATION, TAIL))
        ends = (head, drawn) if corrupt == "tail" else (drawn, tail)
        assert not known(ends[0], relation, ends[1]).any()
        scores = model(ends[0].flatten(), relation.flatten(), ends[1].flatten()).view(-1, 9)
        assert negatives.index is not None
        assert torch.equal(negatives.index, drawn.gather(1, scores.topk(K).indices))
        assert torch.equal(negatives.xs[:, :, 0], inputs[3][negatives.index])


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in KEEPING])
def test_samplers_work_on_a_knowledge_graph_or_say_why_not(name: str) -> None:
    """Some calculate with users and items together: of one width, which DistMult's are not."""
    model, cls = DistMult(N, R, D), SAMPLERS[name]
    score = KGEScore(model)
    source = cls.proposal(DATA, relation=DATA.edge_type)  # type: ignore[call-arg]
    own = {"dim": D} if name in ("ans", "dens") else {}
    sampler = cls(source, score=score, **own)
    if own or sampler.one_width:
        with pytest.raises(ValueError, match=rf"^{cls.__name__}: 'user_xs, item_xs' must be "):
            sampler.sample(*score.inputs(HEAD, RELATION, TAIL))
        return
    negatives = sampler.sample(*score.inputs(HEAD, RELATION, TAIL))
    (gradient,) = torch.autograd.grad(negatives.xs.square().sum(), model.node_emb.weight)
    assert gradient.any()
    assert negatives.index is not None
    index = negatives.index.flatten(1)
    head, relation = (x.unsqueeze(1).expand_as(index) for x in (HEAD, RELATION))
    wrong = known(head, relation, index)
    if negatives.weight is not None:
        wrong &= negatives.weight > 0
    assert not wrong.any()


def test_compositions_too() -> None:
    score = KGEScore(ComplEx(N, R, D))
    source = UniformCandidates(DATA, relation=DATA.edge_type)
    sampler = Compose(DNS(source, score=score), MixGCF(score=score))
    assert sampler.sample(*score.inputs(HEAD, RELATION, TAIL)).xs.shape == (40, 1, 1, 2 * D)
    with pytest.raises(ValueError, match=r"^Compose: 'user_xs, item_xs' must be H tensors"):
        Compose(DNS(source, score=score), DINS()).sample(*score.inputs(HEAD, RELATION, TAIL))


def test_it_stands_in_for_the_models_own_random_sample() -> None:
    """The models' own losses then have the sampler's negatives."""
    model = DistMult(N, R, D)
    score = KGEScore(model)
    sampler = DNS(UniformCandidates(DATA, relation=DATA.edge_type), score=score)
    seen: list[Tensor] = []

    def random_sample(head: Tensor, relation: Tensor, tail: Tensor) -> tuple[Tensor, ...]:
        index = sampler.sample(*score.inputs(head, relation, tail)).index
        assert index is not None
        seen.append(index[:, 0])
        return head, relation, index[:, 0]

    model.random_sample = random_sample
    loss = model.loss(HEAD, RELATION, TAIL)
    pos, neg = model(HEAD, RELATION, TAIL), model(HEAD, RELATION, seen[0])
    torch.testing.assert_close(loss, (neg - pos + model.margin).relu().mean())


def test_as_a_transform() -> None:
    """Users of a batch are heads with relations, and their rows those of the batch."""
    score = KGEScore(TransE(N, R, D))
    user, pos, rows, entities = score.inputs(HEAD, RELATION, TAIL)
    source = UniformCandidates(DATA, relation=DATA.edge_type)
    batch = Data(src_index=user, dst_pos_index=pos, num_nodes=N)
    out = DNS(source, score=score)(batch, {"user": rows, "item": entities})
    assert not known(HEAD, RELATION, out.dst_neg_index[:, 0]).any()
    assert torch.equal(out.dst_neg_xs[:, 0, 0], entities[out.dst_neg_index[:, 0]])
    out = RNS(source, num_negatives=3)(batch)
    head, relation = (x.unsqueeze(1).expand(-1, 3) for x in (HEAD, RELATION))
    assert not known(head, relation, out.dst_neg_index).any()
    batch.n_id = torch.arange(N)
    with pytest.raises(ValueError, match=r"^RNS: 'batch' must be in the numbering of the whole"):
        RNS(source)(batch)


def test_refuses_rows_that_are_not_the_batchs() -> None:
    score = KGEScore(TransE(N, R, D))
    sampler = DNS(UniformCandidates(DATA, relation=DATA.edge_type), score=score)
    user, pos, rows, entities = score.inputs(HEAD, RELATION, TAIL)
    for wrong in ((rows[:-1], entities), (entities, entities), (rows, entities[1:])):
        with pytest.raises(ValueError, match=r"'user_xs, item_xs' must be \[40, D\] and \[30, D\]"):
            sampler.sample(user, pos, *wrong)
    with pytest.raises(ValueError, match=r"'pos' must be links that the candidates know"):
        sampler.sample(user, (pos + 1) % N, rows, entities)
    with pytest.raises(ValueError, match=r"'user_xs, item_xs' must be H tensors"):
        DNS(sampler.candidates).sample(user, pos, rows, entities)  # a dot product of other widths


# Items that begin to exist -----------------------------------------------------------------------

LINKS = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 3, 3, 3], [0, 3, 8, 1, 2, 8, 0, 2, 4, 5]])
SINCE = torch.tensor([4, 1, 1, 9, 3, 6, 2, 7, 5])
USER, POS = torch.tensor([[0, 0, 1, 3, 2], [3, 8, 1, 5, 8]])
TIME = torch.tensor([9, 5, 4, 7, 5])


def shop() -> HeteroData:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 4, 9
    data[EDGE_TYPE].edge_index = LINKS
    return data


def is_honest(index: Tensor, user: Tensor = USER, time: Tensor = TIME) -> bool:
    """Whether no item `[B, K]` is known, or from later on."""
    pairs = {tuple(pair) for pair in LINKS.t().tolist()}
    return all(
        (int(u), int(i)) not in pairs and SINCE[i] <= t
        for u, t, row in zip(user, time, index, strict=True)
        for i in row
    )


X = {"user": torch.randn(4, 3), "item": torch.randn(9, 3)}


@pytest.mark.parametrize("sampler", [DNS, RNS, DINS])
def test_no_negative_from_later_on_in_any_entrance(sampler: type[NegativeSampling]) -> None:
    made = sampler(UniformCandidates(shop(), time=SINCE), num_candidates=40)
    for _ in range(5):
        negatives = made.sample(USER, POS, X["user"], X["item"], time=TIME)
        assert negatives.index is not None
        assert is_honest(negatives.index.flatten(1))
    triplet = HeteroData()
    triplet["user"].src_index, triplet["item"].dst_pos_index = USER, POS
    for store, name in (
        (triplet["user"], "seed_time"),  # PyG's triplet form
        (triplet["user"], "edge_label_time"),
        (triplet[EDGE_TYPE], "edge_label_time"),
    ):
        store[name] = TIME
        assert is_honest(made(triplet, X)["item"].dst_neg_index.flatten(1))
        del store[name]
    with pytest.raises(ValueError, match=r"'time' must be .*edge_label_time.*as the candidates ha"):
        made(triplet, X)
    with pytest.raises(ValueError, match=r"'time' must be .*as the candidates have times"):
        made.sample(USER, POS, X["user"], X["item"])
    with pytest.raises(ValueError, match=r"'time' must be left out, as the items"):
        sampler(shop()).sample(USER, POS, X["user"], X["item"], time=TIME)
    triplet["user"].seed_time = TIME
    sampler(shop())(triplet, X)  # whose items exist always


def test_binary_batches_without_embeddings() -> None:
    batch = HeteroData()
    batch[EDGE_TYPE].edge_label_index = torch.stack([USER, POS])
    batch[EDGE_TYPE].edge_label_time = TIME
    out = RNS(UniformCandidates(shop(), time=SINCE), num_negatives=20)(batch)[EDGE_TYPE]
    assert is_honest(out.edge_label_index[1, 5:].view(5, 20))


def subgraph() -> HeteroData:
    """A batch that numbers nodes anew."""
    batch = HeteroData()
    users, items = torch.tensor([2, 0, 3, 1]), torch.tensor([8, 1, 5, 3, 0, 2, 4, 6, 7])
    batch["user"].n_id, batch["item"].n_id = users, items
    batch["user"].src_index, batch["item"].dst_pos_index = (
        users.argsort()[USER],
        items.argsort()[POS],
    )
    batch["user"].seed_time = TIME
    return batch


def test_what_a_loader_drew_from_later_on_is_masked() -> None:
    batch = subgraph()
    back = batch["item"].n_id
    drawn = torch.tensor([[7, 4, 3, 0], [3, 6, 7, 1], [2, 3, 8, 5], [6, 3, 1, 7], [3, 7, 0, 5]])
    batch["item"].dst_neg_index = back.argsort()[drawn]
    x = {"user": X["user"], "item": X["item"]}
    out = DNS(UniformCandidates(shop(), time=SINCE))(batch, x)["item"]
    weight = out.dst_neg_weight[:, 0]
    # Of user 1 at time 4, item 2 is known, 3 and 5 come later, and 8 too; of user 2 at 5, only 0.
    assert weight.tolist() == [1, 1, 0, 1, 1]
    index = back[out.dst_neg_index]
    assert is_honest(index[weight > 0], USER[weight > 0], TIME[weight > 0])
    assert index[4].tolist() == [0]
    del batch["user"].seed_time
    with pytest.raises(ValueError, match=r"'time' must be .*as the candidates have times"):
        DNS(UniformCandidates(shop(), time=SINCE))(batch, x)


def test_positives_of_a_subgraph_that_existed() -> None:
    batch = subgraph()
    back = batch["item"].n_id
    out = RNS(BatchCandidates(shop(), time=SINCE), num_negatives=30)(batch)["item"]
    index, weight = back[out.dst_neg_index], out.dst_neg_weight
    assert weight[:, 0].tolist() == [1, 1, 0, 1, 1]  # the batch holds 1 alone before time 5
    assert is_honest(index[weight[:, 0] > 0], USER[weight[:, 0] > 0], TIME[weight[:, 0] > 0])
    assert torch.isin(index, POS).all()


@pytest.mark.parametrize("name", KEEPING)
def test_what_is_kept_per_user_goes_with_neither(name: str) -> None:
    earlier = {"srns", "contrastive-dns", "irgan", "advir"}
    assert earlier | {"bns", "nscaching", "adasir", "mcns", "midx", "divns"} == set(KEEPING)
    cls = SAMPLERS[name]
    for source, argument in (
        (UniformCandidates(DATA, relation=DATA.edge_type), "relation"),
        (UniformCandidates(shop(), time=SINCE), "time"),
    ):
        expected = f"^{cls.__name__}: 'candidates' must be made without '{argument}'"
        with pytest.raises(ValueError, match=expected):
            cls(source)
    if cls is not ContrastiveDNS:
        return
    with pytest.raises(ValueError, match="'time' must be left out"):
        cls(shop()).sample(USER, POS, X["user"], X["item"], time=TIME)
