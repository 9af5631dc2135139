"""Both forms of PyG's batches, and known positives among the candidates of subgraphs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.datasets import KarateClub
from torch_geometric.transforms import RandomLinkSplit

from pyg_negsamp.candidates import Candidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.testing import Toy, toy
from pyg_negsamp.transforms import (
    AHNS,
    ANS,
    DENS,
    DINS,
    DNS,
    IRGAN,
    MCNS,
    PRIS,
    RNS,
    SAMPLERS,
    SDNS,
    SRNS,
    AdvIR,
    Compose,
    ContrastiveDNS,
    DivNS,
    MixGCF,
    NegativeSampling,
)
from pyg_negsamp.transforms.batch import without


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(index: Tensor) -> list[tuple[int, int]]:
    return list(map(tuple, index.t().tolist()))


def fields(data: Data | HeteroData) -> Iterator[tuple[str, object]]:
    for store in data.stores:
        for name, value in store.items():
            yield f"{store._key}.{name}", value


def snapshot(data: Data | HeteroData) -> dict[str, object]:
    return {name: copy.deepcopy(value) for name, value in fields(data)}


def unchanged(data: Data | HeteroData, before: dict[str, object]) -> bool:
    after = dict(fields(data))
    return after.keys() == before.keys() and all(
        torch.equal(value, before[name]) if isinstance(value, Tensor) else value == before[name]
        for name, value in after.items()
    )


# The binary form --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def karate() -> Data:
    """The training part of an undirected graph of 34 nodes."""
    torch.manual_seed(3)
    split = RandomLinkSplit(0.1, 0.1, is_undirected=True, add_negative_train_samples=False)
    train_data, _, _ = split(KarateClub()[0])
    assert (train_data.edge_label == 1).all()
    return train_data


def homogeneous(name: str, data: Data, num: int) -> NegativeSampling:
    proposal = PopularityCandidates if name == "pns" else UniformCandidates
    arguments = {"num_candidates": 12} if name == "dns" else {}
    return SAMPLERS[name](proposal(data), num_negatives=num, **arguments)


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("name", ["rns", "pns", "dns"])
def test_appends_negatives_to_a_homogeneous_graph(karate: Data, name: str, num: int) -> None:
    sampler = homogeneous(name, karate, num)
    x = torch.randn(34, 5, generator=generator(1))
    before = snapshot(karate)
    out = sampler(karate, x if name == "dns" else None, generator=generator())
    assert unchanged(karate, before)

    size = karate.edge_label_index.size(1)
    assert out.edge_label.tolist() == [1] * size + [0] * (size * num)
    assert torch.equal(out.edge_label_index[:, :size], karate.edge_label_index)
    assert torch.equal(out.edge_index, karate.edge_index)
    known = set(pairs(karate.edge_index))
    assert {(v, u) for u, v in known} == known
    drawn = pairs(out.edge_label_index[:, size:])
    for u, v in drawn:
        assert u != v
        assert (u, v) not in known
        assert (v, u) not in known
    # K per positive, in the order of the positives, as `sample` gives them.
    user, pos = karate.edge_label_index
    index = sampler.sample(user, pos, x, x, generator=generator()).index
    expected = [(int(user[b]), int(index[b, k])) for b in range(size) for k in range(num)]
    assert drawn == expected
    assert "dst_neg_index" not in out
    assert "dst_neg_xs" not in out


def test_dns_appends_the_hardest_of_what_it_drew(karate: Data) -> None:
    x = torch.randn(34, 5, generator=generator(1), dtype=torch.double)
    out = homogeneous("dns", karate, 2)(karate, x, generator=generator())
    user = karate.edge_label_index[0]
    drawn = UniformCandidates(karate)(user, 12, generator()).tolist()
    expected = []
    for u, items in zip(user.tolist(), drawn, strict=True):
        score = sorted((float(x[u] @ x[i]) for i in items), reverse=True)
        expected += score[:2]
    found = [float(x[u] @ x[i]) for u, i in pairs(out.edge_label_index[:, len(user) :])]
    assert found == pytest.approx(expected)
    assert len(set(expected)) > len(user)


@pytest.mark.parametrize("name", ["rns", "pns"])
def test_every_other_node_may_come(karate: Data, name: str) -> None:
    """Over many draws, each node that is neither oneself nor linked is drawn for each source."""
    sampler = homogeneous(name, karate, 400)
    out = sampler(karate, generator=generator())
    size = karate.edge_label_index.size(1)
    known = set(pairs(karate.edge_index))
    linked = set(karate.edge_index[1].tolist()) if name == "pns" else set(range(34))
    expected = {
        (u, v)
        for u in karate.edge_label_index[0].tolist()
        for v in linked
        if u != v and (u, v) not in known
    }
    assert set(pairs(out.edge_label_index[:, size:])) == expected


def binary(problem: Toy, **edge_fields: Tensor) -> HeteroData:
    data = copy.copy(problem.data)
    data[EDGE_TYPE].edge_label_index = torch.stack([problem.user, problem.pos])
    for name, value in edge_fields.items():
        data[EDGE_TYPE][name] = value
    return data


@pytest.mark.parametrize("num", [1, 2])
@pytest.mark.parametrize("name", ["rns", "pns", "dns", "ahns", "pris"])
def test_appends_negatives_to_a_bipartite_graph(name: str, num: int) -> None:
    problem = toy()
    cls = SAMPLERS[name]
    size = {"num_candidates": 6} if cls.takes_candidates else {}
    sampler = cls(cls.proposal(problem.data), num_negatives=num, **size)
    data = binary(problem, edge_label=torch.tensor([1, 2, 1, 1, 3, 1, 1, 1, 1]))
    before = snapshot(data)
    out = sampler(data, problem.x_dict(), generator=generator())
    assert unchanged(data, before)
    index = sampler.sample(
        problem.user, problem.pos, problem.user_xs, problem.item_xs, generator=generator()
    ).index
    links = out[EDGE_TYPE]
    assert links.edge_label.tolist() == [1, 2, 1, 1, 3, 1, 1, 1, 1] + [0] * 9 * num
    assert links.edge_label.dtype == torch.long
    expected = [(int(u), int(i)) for b, u in enumerate(problem.user) for i in index[b]]
    assert pairs(links.edge_label_index[:, 9:]) == expected
    assert not set(expected) & set(pairs(problem.data[EDGE_TYPE].edge_index))
    assert pairs(links.edge_label_index[:, :9]) == pairs(torch.stack([problem.user, problem.pos]))


def test_positives_without_labels_get_ones() -> None:
    problem = toy()
    data = binary(problem)
    out = RNS(UniformCandidates(problem.data))(data)
    assert out[EDGE_TYPE].edge_label.tolist() == [1.0] * 9 + [0.0] * 9
    assert "edge_label" not in data[EDGE_TYPE]


def test_the_triplet_form_goes_first() -> None:
    problem = toy()
    batch = problem.batch()
    batch[EDGE_TYPE].edge_label_index = torch.zeros(2, 4, dtype=torch.long)
    out = RNS(UniformCandidates(problem.data))(batch)
    assert out["item"].dst_neg_index.shape == (9, 1)
    assert out[EDGE_TYPE].edge_label_index.shape == (2, 4)


def small(cls: type[NegativeSampling], problem: Toy) -> NegativeSampling:
    own = {"dim": 5} if "dim" in inspect.signature(cls.__init__).parameters else {}
    own |= {"num_candidates": 8} if cls.takes_candidates else {}
    return cls(cls.proposal(problem.data), **own).double()


@pytest.mark.parametrize("num_layers", [0, 3])
def test_refuses_to_label_what_is_no_item(num_layers: int) -> None:
    """Of every sampler: the binary form where its negatives are rows of the table, only there."""
    problem = toy(num_layers)
    mixed = Compose(small(AHNS, problem), SDNS())
    refused = set()
    for sampler in [*(small(cls, problem) for cls in SAMPLERS.values()), mixed]:
        negatives = sampler.sample(
            problem.user, problem.pos, problem.user_xs, problem.item_xs, generator=generator()
        )
        index = negatives.index
        if index.dim() == 3 and num_layers == 0:
            index = index.squeeze(2)  # one layer, one item
        items = torch.stack(problem.item_xs, 1)
        if index.dim() == 2 and torch.equal(items[index], negatives.xs):
            out = sampler(binary(problem), problem.x_dict(), generator=generator())
            assert out[EDGE_TYPE].edge_label_index.size(1) == 9 * (negatives.xs.size(1) + 1)
        else:
            with pytest.raises(ValueError, match="'batch' must be in the triplet form"):
                sampler(binary(problem), problem.x_dict())
            refused.add(type(sampler))
    # DENS chooses an item per layer.
    assert refused == {DINS, MixGCF, SDNS, ANS, DivNS, Compose} | ({DENS} if num_layers else set())


def test_refuses_negatives_of_others(karate: Data) -> None:
    torch.manual_seed(0)
    split = RandomLinkSplit(0.1, 0.1, is_undirected=True, neg_sampling_ratio=1.0)
    labelled, _, _ = split(KarateClub()[0])
    assert (labelled.edge_label == 0).any()
    sampler = RNS(UniformCandidates(karate))
    for label in (labelled.edge_label, labelled.edge_label.long()):
        data = labelled.clone()
        data.edge_label = label
        with pytest.raises(ValueError, match=r"'edge_label' must be of positives alone: .*None"):
            sampler(data)
    with pytest.raises(ValueError, match="add_negative_train_samples=False"):
        sampler(labelled)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (torch.ones(3), r"\[9\], one for each link"),
        (torch.ones(9, 1), r"\[9\], one for each link"),
        ([1.0] * 9, r"\[9\], one for each link"),
        (torch.full((9,), torch.nan), r"of positives alone.*labelled nan"),
        (torch.full((9,), -1), r"of positives alone.*labelled -1"),
    ],
)
def test_labels_are_one_for_each_positive(label: Tensor, expected: str) -> None:
    problem = toy()
    with pytest.raises(ValueError, match=f"'edge_label' must be {expected}"):
        RNS(problem.data)(binary(problem, edge_label=label))


def test_what_a_loader_drew_is_ids_of_items() -> None:
    problem = toy()
    sampler = RNS(problem.data)
    for bad in (-1, 12):
        batch = problem.batch(dst_neg_index=torch.full((9, 4), bad))
        with pytest.raises(ValueError, match=r"'dst_neg_index' must be ids in \[0, 12\)"):
            sampler(batch)
    for drawn in (torch.zeros(4, 9).long(), torch.zeros(10).long(), torch.zeros(9), [0] * 9):
        with pytest.raises(ValueError, match=r"'dst_neg_index' must be integers \[B\], \[B, M\]"):
            sampler(problem.batch(dst_neg_index=drawn))
    batch, _ = subgraph(problem)
    for bad in (-1, len(ITEMS)):
        batch["item"].dst_neg_index[0] = bad
        with pytest.raises(ValueError, match=r"'dst_neg_index' must be ids in \[0, 10\)"):
            sampler(batch)


@pytest.mark.parametrize("size", [(0, 4), (0,)])
def test_a_batch_of_nothing_that_a_loader_drew(size: tuple[int, ...]) -> None:
    problem = toy()
    batch = problem.batch(dst_neg_index=torch.zeros(size).long())
    batch["user"].src_index = batch["item"].dst_pos_index = torch.zeros(0).long()
    sampler = DNS(problem.data, num_candidates=4, num_negatives=2)
    assert sampler(batch, problem.x_dict())["item"].dst_neg_index.shape == (0, 2)


def test_names_what_a_batch_lacks() -> None:
    problem = toy()
    sampler = RNS(UniformCandidates(problem.data))
    for batch in (HeteroData(), problem.data):
        with pytest.raises(ValueError, match=r"'src_index'.*or with 'edge_label_index'"):
            sampler(batch)
    empty = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    with pytest.raises(ValueError, match=r"RNS: 'batch' must be .*'src_index'"):
        RNS(UniformCandidates(empty))(empty)
    batch = problem.batch()
    del batch["item"].dst_pos_index
    with pytest.raises(ValueError, match="'dst_pos_index'"):
        sampler(batch)


def test_refuses_a_subgraph_in_the_binary_form() -> None:
    """Its ids are not those that candidates draw."""
    problem = toy()
    data = binary(problem)
    data["user"].n_id, data["item"].n_id = torch.arange(7), torch.arange(12)
    with pytest.raises(ValueError, match="'dst_neg_index' must be drawn by the loader"):
        RNS(UniformCandidates(problem.data))(data)


# Known positives among the candidates of a subgraph ---------------------------------------------


def expected_without(candidates: list[int], refused: list[bool]) -> list[int]:
    """The others in their order, again and again; or all, where there is no other."""
    kept = [c for c, bad in zip(candidates, refused, strict=True) if not bad]
    if not kept:
        return candidates
    filled = []
    while len(filled) < len(candidates):
        filled += kept
    return filled[: len(candidates)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("width", [1, 2, 7])
def test_puts_others_in_the_place_of_refused_ones(width: int, share: float) -> None:
    candidates = torch.randint(100, (60, width), generator=generator())
    refused = torch.rand(60, width, generator=generator(1)) < share
    before = candidates.clone(), refused.clone()
    found, hopeless = without(candidates, refused)
    rows = zip(candidates.tolist(), refused.tolist(), strict=True)
    assert found.tolist() == [expected_without(*row) for row in rows]
    assert hopeless.tolist() == [all(row) for row in refused.tolist()]
    assert torch.equal(candidates, before[0])
    assert torch.equal(refused, before[1])


def test_without_anything() -> None:
    found, hopeless = without(torch.zeros(0, 3).long(), torch.zeros(0, 3, dtype=torch.bool))
    assert found.shape == (0, 3)
    assert hopeless.shape == (0,)


# Nodes of a subgraph, by their ids in the toy graph; and links of it, by their positions there.
USERS = [6, 2, 0, 5, 3]
ITEMS = [11, 4, 0, 9, 2, 7, 3, 10, 5, 1]


def links(problem: Toy) -> Tensor:
    return problem.data[EDGE_TYPE].edge_index


def subgraph(problem: Toy, num: int = 5, seed: int = 0) -> tuple[HeteroData, list[list[bool]]]:
    """A batch that numbers its nodes anew, and which of its candidates are known positives."""
    every = set(pairs(links(problem)))
    local = [(USERS.index(u), ITEMS.index(i)) for u, i in every if u in USERS and i in ITEMS]
    user, pos = torch.tensor(sorted(local)).t()
    assert len(user) > 5
    drawn = torch.randint(len(ITEMS), (len(user), num), generator=generator(seed))
    # Some rows are hopeless: nothing but known positives of the user.
    drawn[0] = pos[0]
    drawn[4] = pos[4]
    known = [
        [(USERS[u], ITEMS[i]) in every for i in items]
        for u, items in zip(user.tolist(), drawn.tolist(), strict=True)
    ]
    batch = HeteroData()
    batch["user"].n_id, batch["item"].n_id = torch.tensor(USERS), torch.tensor(ITEMS)
    batch["user"].src_index, batch["item"].dst_pos_index = user, pos
    batch["item"].dst_neg_index = drawn
    return batch, known


def local_x(batch: HeteroData, problem: Toy) -> dict[str, list[Tensor]]:
    return {
        "user": [x[batch["user"].n_id] for x in problem.user_xs],
        "item": [x[batch["item"].n_id] for x in problem.item_xs],
    }


@pytest.mark.parametrize("seed", range(3))
def test_known_candidates_give_way_to_others_of_the_row(seed: int) -> None:
    problem = toy()
    batch, known = subgraph(problem, seed=seed)
    assert any(any(row) and not all(row) for row in known)
    before = snapshot(batch)
    out = RNS(UniformCandidates(problem.data), num_negatives=5)(batch)
    assert unchanged(batch, before)
    rows = zip(batch["item"].dst_neg_index.tolist(), known, strict=True)
    assert out["item"].dst_neg_index.tolist() == [expected_without(*row) for row in rows]
    hopeless = [all(row) for row in known]
    assert hopeless[0]
    assert hopeless[4]
    weight = torch.tensor([[0.0 if bad else 1.0] * 5 for bad in hopeless])
    torch.testing.assert_close(out["item"].dst_neg_weight, weight)


def test_one_candidate_per_row_as_a_vector() -> None:
    problem = toy()
    batch, known = subgraph(problem, num=1)
    batch["item"].dst_neg_index = batch["item"].dst_neg_index.squeeze(1)
    out = RNS(UniformCandidates(problem.data))(batch)
    assert torch.equal(out["item"].dst_neg_index, batch["item"].dst_neg_index.unsqueeze(1))
    assert out["item"].dst_neg_weight.tolist() == [[0.0 if row[0] else 1.0] for row in known]


@pytest.mark.parametrize("sampler", [RNS(num_negatives=5), DNS(num_negatives=5)])
def test_known_candidates_stay_where_nobody_knows(sampler: NegativeSampling) -> None:
    problem = toy()
    batch, _ = subgraph(problem)
    out = sampler(batch, local_x(batch, problem))
    for row, drawn in zip(
        out["item"].dst_neg_index.tolist(), batch["item"].dst_neg_index.tolist(), strict=True
    ):
        assert sorted(row) == sorted(drawn)
    assert "dst_neg_weight" not in out["item"]


def test_the_hardest_of_those_that_are_not_known() -> None:
    problem = toy(num_layers=0)
    batch, known = subgraph(problem, num=8)
    x_dict = local_x(batch, problem)
    out = DNS(UniformCandidates(problem.data))(batch, x_dict)
    users, items = x_dict["user"][0], x_dict["item"][0]
    changed = 0
    for b, u in enumerate(batch["user"].src_index.tolist()):
        drawn = batch["item"].dst_neg_index[b].tolist()
        score = {i: float(users[u] @ items[i]) for i in drawn}
        allowed = [i for i, bad in zip(drawn, known[b], strict=True) if not bad] or drawn
        assert int(out["item"].dst_neg_index[b]) == max(allowed, key=lambda i: score[i])
        changed += max(allowed, key=lambda i: score[i]) != max(drawn, key=lambda i: score[i])
    assert changed
    assert torch.equal(out["item"].dst_neg_xs[:, :, 0], items[out["item"].dst_neg_index])


@pytest.mark.parametrize("cls", [DINS, MixGCF])
def test_weights_of_negatives_chosen_per_layer(cls: type[NegativeSampling]) -> None:
    problem = toy()
    batch, known = subgraph(problem)
    sampler = cls(UniformCandidates(problem.data), num_negatives=2)
    out = sampler(batch, local_x(batch, problem), generator=generator())
    assert out["item"].dst_neg_index.shape == (len(known), 2, 4)
    weight = [[0.0 if all(row) else 1.0] * 2 for row in known]
    assert out["item"].dst_neg_weight.tolist() == weight
    for row, drawn, bad in zip(
        out["item"].dst_neg_index, batch["item"].dst_neg_index.tolist(), known, strict=True
    ):
        assert set(row.flatten().tolist()) <= set(expected_without(drawn, bad))


def test_a_methods_own_weights_stay_elsewhere() -> None:
    problem = toy()
    batch, known = subgraph(problem)
    x_dict = local_x(batch, problem)
    sampler = PRIS(UniformCandidates(problem.data), num_negatives=5)
    out = sampler(batch, x_dict)["item"]
    users, items = (sum(x_dict[name]) / 4 for name in ("user", "item"))
    for b, u in enumerate(batch["user"].src_index.tolist()):
        row = torch.tensor([float(users[u] @ items[i]) for i in out.dst_neg_index[b].tolist()])
        weight = torch.zeros(5) if all(known[b]) else row.softmax(0)
        torch.testing.assert_close(out.dst_neg_weight[b].float(), weight)


def test_weights_are_the_same_where_nothing_is_known() -> None:
    problem = toy()
    batch, _ = subgraph(problem)
    empty = copy.copy(problem.data)
    empty[EDGE_TYPE].edge_index = torch.zeros(2, 0, dtype=torch.long)
    sampler = RNS(UniformCandidates(empty), num_negatives=5, check_positives=False)
    out = sampler(batch)["item"]
    assert torch.equal(out.dst_neg_index, batch["item"].dst_neg_index)
    assert out.dst_neg_weight.unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("cls", "source"),
    [(IRGAN, UniformCandidates), (AdvIR, UniformCandidates), (PRIS, PopularityCandidates)],
)
def test_samplers_with_tables_of_their_own_refuse_renumbered_nodes(
    cls: type[NegativeSampling], source: type[Candidates]
) -> None:
    problem = toy()
    batch, _ = subgraph(problem)
    x_dict = local_x(batch, problem)
    options = {} if cls is PRIS else {"dim": 5}
    sampler = cls(source(problem.data), **options)
    for refusing in (sampler, Compose(sampler, MixGCF())):
        with pytest.raises(ValueError, match="'batch' must be in the numbering of the whole graph"):
            refusing(batch, x_dict)
    PRIS(UniformCandidates(problem.data), num_negatives=2)(batch, x_dict)


def test_srns_has_no_deviation_on_renumbered_nodes() -> None:
    problem = toy()
    batch, _ = subgraph(problem)
    x_dict = local_x(batch, problem)
    plain = SRNS(UniformCandidates(problem.data), alpha=0.0)
    moving = SRNS(UniformCandidates(problem.data), alpha=100.0, warmup=1)
    moving.set_epoch(5, 9)
    for seed in range(3):
        noise = [torch.randn(x.shape, generator=generator(seed)) for x in problem.item_xs]
        item_xs = [x + z for x, z in zip(problem.item_xs, noise, strict=True)]
        moving.refresh({"user": problem.user_xs, "item": item_xs})
    found = [sampler(batch, x_dict)["item"].dst_neg_index for sampler in (plain, moving)]
    assert torch.equal(*found)
    assert len(moving.history) == 3


@pytest.mark.parametrize("cls", [SRNS, ContrastiveDNS])
def test_refreshes_on_homogeneous_graphs(cls: type[NegativeSampling], karate: Data) -> None:
    sampler = cls(UniformCandidates(karate))
    sampler.set_epoch(10, 99)
    sampler.refresh(torch.randn(34, 4))


def test_ids_of_the_whole_graph_are_taken_as_they_are() -> None:
    """Without `n_id`, a loader such as this library's has drawn what it wanted to."""
    problem = toy()
    drawn = problem.pos.unsqueeze(1).repeat(1, 3)  # all of them known
    sampler = RNS(UniformCandidates(problem.data), num_negatives=3)
    out = sampler(problem.batch(dst_neg_index=drawn))
    assert torch.equal(out["item"].dst_neg_index, drawn)
    assert "dst_neg_weight" not in out["item"]


def test_homogeneous_subgraphs_know_links_and_oneself(karate: Data) -> None:
    node = torch.randperm(34, generator=generator())[:20].tolist()
    known = set(pairs(karate.edge_index)) | {(v, v) for v in range(34)}
    local = [
        (a, b) for a, u in enumerate(node) for b, v in enumerate(node) if (u, v) in known and u != v
    ]
    user, pos = torch.tensor(local).t()
    drawn = torch.randint(20, (len(user), 6), generator=generator(2))
    batch = Data(n_id=torch.tensor(node), src_index=user, dst_pos_index=pos, dst_neg_index=drawn)
    out = RNS(UniformCandidates(karate), num_negatives=6)(batch)
    refused = [
        [(node[u], node[i]) in known for i in row]
        for u, row in zip(user.tolist(), drawn.tolist(), strict=True)
    ]
    assert any(map(any, refused))
    rows = zip(drawn.tolist(), refused, strict=True)
    assert out.dst_neg_index.tolist() == [expected_without(*row) for row in rows]


@pytest.mark.parametrize("cls", [ANS, DENS])
def test_hopeless_rows_have_no_part_in_a_methods_own_loss(cls: type[NegativeSampling]) -> None:
    problem = toy()
    batch, known = subgraph(problem)
    useful = torch.tensor([not all(row) for row in known])
    assert not useful.all()
    sampler = small(cls, problem)
    x_dict = {
        name: [x.requires_grad_() for x in xs] for name, xs in local_x(batch, problem).items()
    }
    found = sampler(batch, x_dict, generator=generator())["item"].dst_neg_loss
    rows = useful.nonzero().squeeze(1)
    others = copy.copy(batch)
    others["user"].src_index = batch["user"].src_index[rows]
    for name in ("dst_pos_index", "dst_neg_index"):
        others["item"][name] = batch["item"][name][rows]
    if cls is DENS:  # which draws nothing, so that fewer rows get the same numbers
        torch.testing.assert_close(found, sampler(others, x_dict)["item"].dst_neg_loss)
    lost = set(batch["user"].src_index.tolist()) - set(others["user"].src_index.tolist())
    (grad,) = torch.autograd.grad(found, x_dict["user"][:1])
    assert not grad[sorted(lost)].any()
    batch["item"].dst_neg_index = batch["item"].dst_pos_index.unsqueeze(1).repeat(1, 5)
    assert sampler(batch, x_dict)["item"].dst_neg_loss == 0


@pytest.mark.parametrize("cls", [PRIS, MCNS])
def test_allowed_items_of_a_subgraph_are_told_by_their_global_ids(
    cls: type[NegativeSampling],
) -> None:
    """What may be drawn is 6 to 11; here these are called 0, 2, 3, 5 and 7."""
    problem = toy()
    batch, _ = subgraph(problem, num=3000)
    source = UniformCandidates(problem.data, items=range(6, 12))
    many = 3000 if cls is PRIS else 1500
    out = cls(source, num_candidates=3000, num_negatives=many)(batch, local_x(batch, problem))
    index, weight = out["item"].dst_neg_index, out["item"].dst_neg_weight
    rows = (weight.sum(dim=1) > 0).nonzero().flatten()
    assert len(rows) > 5
    for row in rows.tolist():
        assert {ITEMS[i] for i in index[row].tolist()} <= set(range(6, 12))
        user = USERS[batch["user"].src_index[row]]
        free = [i for i in range(6, 12) if (user, i) not in set(pairs(links(problem)))]
        assert {ITEMS[i] for i in index[row].tolist()} == set(free) & set(ITEMS)
        assert (weight[row] > 0).all()
