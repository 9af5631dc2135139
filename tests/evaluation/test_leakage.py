"""Held-out links that can be read off a graph: found where they are, and only there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GraphSAGE, to_hetero
from torch_geometric.transforms import RandomLinkSplit, ToUndirected

from pyg_negsamp.candidates import UniformCandidates
from pyg_negsamp.datasets import (
    InteractionDataset,
    InteractionSplit,
    LatestSplit,
    PredefinedSplit,
    RandomSplit,
    SyntheticInteractions,
    TemporalSplit,
)
from pyg_negsamp.evaluation import check_leakage, evaluate
from pyg_negsamp.graph import EDGE_TYPE
from pyg_negsamp.nn import MF, FromModule
from pyg_negsamp.training import Recommender, fit
from pyg_negsamp.transforms import RNS

REVERSE = ("item", "rev_interacts", "user")


def pairs(index: Tensor) -> set[tuple[int, int]]:
    return set(map(tuple, index.t().tolist()))


def tiny() -> tuple[HeteroData, HeteroData, HeteroData]:
    train, val, test = SyntheticInteractions("tiny")
    return train.clone(), val.clone(), test.clone()


def bipartite() -> HeteroData:
    """All links of a bipartite graph of 20 x 15."""
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 20, 15
    data[EDGE_TYPE].edge_index = (torch.rand(20, 15, generator=generator) < 0.3).nonzero().t()
    return data


def split(data: HeteroData | Data, **arguments: object) -> tuple[HeteroData | Data, ...]:
    torch.manual_seed(1)
    return RandomLinkSplit(0.1, 0.2, **arguments)(data)


# Clean ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [RandomSplit(), RandomSplit(0.0, 0.5), LatestSplit(), TemporalSplit(70, 85), PredefinedSplit()],
    ids=lambda how: type(how).__name__,
)
def test_the_librarys_own_splits_are_clean(how: InteractionSplit) -> None:
    data = bipartite()
    number = torch.arange(data[EDGE_TYPE].edge_index.size(1))
    data[EDGE_TYPE].time, data[EDGE_TYPE].split = number * 7 % 100, (number % 5 == 0).long() * 2
    train, val, test = how(data)
    assert test[EDGE_TYPE].edge_label_index.numel()
    check_leakage(train, val, test)


@pytest.mark.parametrize("seed", range(3))
def test_datasets_are_clean(seed: int) -> None:
    check_leakage(*SyntheticInteractions("tiny", seed=seed))
    generator = torch.Generator().manual_seed(seed)
    user, item = (torch.randint(9, (80,), generator=generator).tolist() for _ in range(2))
    frame = pd.DataFrame({"who": user, "what": item})
    check_leakage(*InteractionDataset.from_frame(frame, "who", "what", split=RandomSplit(0.2, 0.3)))


def test_reverse_edges_made_after_the_split_are_clean() -> None:
    graphs = [ToUndirected()(graph) for graph in tiny()]
    assert REVERSE in graphs[0].edge_types
    check_leakage(*graphs)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_pygs_split_with_reverse_edge_types_is_clean(ratio: float) -> None:
    data = ToUndirected()(bipartite())
    graphs = split(data, edge_types=EDGE_TYPE, rev_edge_types=REVERSE, neg_sampling_ratio=ratio)
    assert graphs[1][EDGE_TYPE].edge_label_index.numel()
    check_leakage(*graphs)
    check_leakage(split(data, edge_types=EDGE_TYPE, rev_edge_types=REVERSE, is_undirected=True)[0])


@pytest.mark.parametrize("disjoint", [0.0, 0.3])
def test_pygs_split_of_an_undirected_graph_is_clean(disjoint: float) -> None:
    check_leakage(*split(KarateClub()[0], is_undirected=True, disjoint_train_ratio=disjoint))


def test_nothing_held_out_is_clean() -> None:
    train, val, test = tiny()
    check_leakage(train)
    check_leakage(train, None, test)
    del val[EDGE_TYPE].edge_label_index
    test[EDGE_TYPE].edge_label_index = torch.zeros(2, 0, dtype=torch.long)
    check_leakage(train, val, test)


# Leaks ------------------------------------------------------------------------------------------


def found(train: HeteroData | Data, *graphs: HeteroData | Data | None, **arguments: object) -> str:
    with pytest.raises(ValueError, match=r"check_leakage: '(val|test)' must be held out") as raised:
        check_leakage(train, *graphs, **arguments)
    return str(raised.value)


@pytest.mark.parametrize("name", ["val", "test"])
@pytest.mark.parametrize("num", [1, 5])
def test_held_out_links_in_the_training_graph(name: str, num: int) -> None:
    graphs = dict(zip(("train", "val", "test"), tiny(), strict=True))
    held_out = graphs[name][EDGE_TYPE].edge_label_index
    store = graphs["train"][EDGE_TYPE]
    store.edge_index = torch.cat([store.edge_index, held_out[:, 3 : 3 + num]], dim=1)
    said = found(graphs["train"], graphs["val"], graphs["test"])
    assert said.startswith(f"check_leakage: '{name}' ")
    assert f"in the train graph's {EDGE_TYPE}" in said
    assert f"(got {num} of {held_out.size(1)} links there: " in said
    named = said.rpartition("there: ")[2].rstrip(")") + ")"
    leaked = [str(tuple(pair)) for pair in held_out[:, 3 : 3 + num].t().tolist()]
    assert named == ", ".join(leaked[:3])


@pytest.mark.parametrize("name", ["val", "test"])
def test_held_out_links_in_the_graph_of_their_own_split(name: str) -> None:
    graphs = dict(zip(("train", "val", "test"), tiny(), strict=True))
    store = graphs[name][EDGE_TYPE]
    store.edge_index = torch.cat([store.edge_index, store.edge_label_index[:, -2:]], dim=1)
    said = found(graphs["train"], graphs["val"], graphs["test"])
    assert said.startswith(f"check_leakage: '{name}' ")
    assert f"in the {name} graph's {EDGE_TYPE}" in said
    assert f"got 2 of {store.edge_label_index.size(1)} links" in said


def test_validation_links_may_be_known_for_the_test() -> None:
    train, val, test = tiny()
    assert pairs(val[EDGE_TYPE].edge_label_index) <= pairs(test[EDGE_TYPE].edge_index)
    check_leakage(train, val, test)


def test_repeated_held_out_links_count_repeatedly() -> None:
    train, val, _ = tiny()
    store = val[EDGE_TYPE]
    link = train[EDGE_TYPE].edge_index[:, 7:8]
    size = store.edge_label_index.size(1)
    store.edge_label_index = torch.cat([store.edge_label_index, link, link], dim=1)
    assert f"got 2 of {size + 2} links" in found(train, val)


def test_to_undirected_before_a_split_that_does_not_know() -> None:
    graphs = split(ToUndirected()(bipartite()), edge_types=EDGE_TYPE)
    said = found(*graphs)
    assert f"train graph's {REVERSE}" in said
    positive = int(graphs[1][EDGE_TYPE].edge_label.sum())
    assert f"got {positive} of {positive} links" in said
    assert "rev_edge_types" in said
    assert "'val'" in said
    assert "'test'" in found(graphs[0], None, graphs[2])


def test_a_reverse_type_under_another_name() -> None:
    bought_by = ("item", "bought_by", "user")
    train, val, test = tiny()
    held_out = test[EDGE_TYPE].edge_label_index
    everything = torch.cat([test[EDGE_TYPE].edge_index, held_out], dim=1)
    # In another order, so that only the links themselves tell.
    order = torch.randperm(everything.size(1), generator=torch.Generator().manual_seed(0))
    train[bought_by].edge_index = everything.flip(0)[:, order]
    said = found(train, None, test)
    assert f"train graph's {bought_by}" in said
    assert f"got {held_out.size(1)} of {held_out.size(1)} links" in said
    # And where the training graph is clean, but not that which the test reads.
    del train[bought_by]
    test[bought_by].edge_index = everything.flip(0)
    assert f"test graph's {bought_by}" in found(train, val, test)


def test_one_leaked_link_in_the_reverse_is_enough() -> None:
    train, val, test = (ToUndirected()(graph) for graph in tiny())
    leaked = val[EDGE_TYPE].edge_label_index[:, 5:6]
    store = train[REVERSE]
    store.edge_index = torch.cat([store.edge_index, leaked.flip(0)], dim=1)
    assert f"got 1 of {val[EDGE_TYPE].edge_label_index.size(1)} links" in found(train, val, test)


def test_other_names() -> None:
    edge_type = ("reader", "reads", "book")
    train, val, _ = tiny()
    renamed = []
    for graph in (train, val):
        data = HeteroData()
        data["reader"].num_nodes = graph["user"].num_nodes
        data["book"].num_nodes = graph["item"].num_nodes
        data[edge_type].update(graph[EDGE_TYPE].to_dict())
        renamed.append(data)
    check_leakage(*renamed, edge_type=edge_type)
    leaked = renamed[1][edge_type].edge_label_index
    store = renamed[0][edge_type]
    store.edge_index = torch.cat([store.edge_index, leaked], dim=1)
    assert str(edge_type) in found(*renamed, edge_type=edge_type)
    with pytest.raises(ValueError, match="edge_type"):
        check_leakage(*renamed)


def test_an_undirected_graph_split_as_if_it_were_directed() -> None:
    graphs = split(KarateClub()[0], is_undirected=False)
    train, val, test = graphs
    reverse = {(v, u) for u, v in pairs(train.edge_index)}
    label = val.edge_label != 0
    leaked = [
        pair for pair in val.edge_label_index[:, label].t().tolist() if tuple(pair) in reverse
    ]
    assert leaked
    said = found(*graphs)
    assert "train graph's edge_index (reversed)" in said
    assert f"got {len(leaked)} of {int(label.sum())} links there: {tuple(leaked[0])}" in said
    assert "is_undirected" in said
    # The test graph knows the validation links, so these need not be given.
    assert "(reversed)" in found(train, None, test)


def test_an_undirected_graph_split_in_two_as_if_it_were_directed() -> None:
    torch.manual_seed(1)
    train, val, _ = RandomLinkSplit(0.2, 0.0, is_undirected=False)(KarateClub()[0])
    assert "(reversed)" in found(train, val)


def test_a_homogeneous_graph_that_holds_the_link_itself() -> None:
    train, val, test = split(KarateClub()[0], is_undirected=True)
    held_out = val.edge_label_index[:, val.edge_label != 0]
    train.edge_index = torch.cat([train.edge_index, held_out[:, :1]], dim=1)
    said = found(train, val, test)
    assert "train graph's edge_index (" in said
    assert "(reversed)" not in said
    assert f"got 1 of {held_out.size(1)} links there: {tuple(held_out[:, 0].tolist())}" in said


# No leaks ---------------------------------------------------------------------------------------


def test_other_edges_from_items_to_users_are_none_of_its_business() -> None:
    """They mirror many links, held out or not, but not all of the training links."""
    train, val, test = tiny()
    recommended = torch.cat(
        [train[EDGE_TYPE].edge_index[:, 1:], val[EDGE_TYPE].edge_label_index], dim=1
    )
    for graph in (train, val, test):
        graph["item", "recommended_to", "user"].edge_index = recommended.flip(0)
        graph["user", "knows", "user"].edge_index = torch.arange(60).expand(2, -1)
        graph["item", "is_like", "item"].edge_index = torch.arange(80).expand(2, -1)
        graph["user", "dislikes", "item"].time = torch.zeros(3)
    check_leakage(train, val, test)
    # With the last of them, they do.
    for graph in (train, val, test):
        store = graph["item", "recommended_to", "user"]
        first = train[EDGE_TYPE].edge_index[:, :1].flip(0)
        store.edge_index = torch.cat([store.edge_index, first], dim=1)
    assert "recommended_to" in found(train, val, test)


def test_a_directed_graph_with_some_links_both_ways_is_clean() -> None:
    generator = torch.Generator().manual_seed(0)
    links = (torch.rand(30, 30, generator=generator) < 0.3).nonzero().t()
    train, val, test = split(Data(edge_index=links, num_nodes=30), is_undirected=False)
    reverse = {(v, u) for u, v in pairs(train.edge_index)}
    assert reverse & pairs(val.edge_label_index)
    check_leakage(train, val, test)


def test_links_labelled_0_are_not_held_out() -> None:
    train, val, test = tiny()
    store = val[EDGE_TYPE]
    size = store.edge_label_index.size(1)
    store.edge_label_index = torch.cat(
        [store.edge_label_index, train[EDGE_TYPE].edge_index[:, :4]], dim=1
    )
    for label in (torch.long, torch.float):
        store.edge_label = torch.cat([torch.ones(size), torch.zeros(4)]).to(label)
        check_leakage(train, val, test)
    store.edge_label[-1] = 1
    assert f"got 1 of {size + 1} links" in found(train, val, test)


# Before training --------------------------------------------------------------------------------


@pytest.mark.parametrize("leak", ["link", "reverse"])
def test_fit_refuses_before_anything_is_written(leak: str, tmp_path: Path) -> None:
    train, val, _ = tiny()
    held_out = val[EDGE_TYPE].edge_label_index
    if leak == "link":
        store = train[EDGE_TYPE]
        store.edge_index = torch.cat([store.edge_index, held_out[:, :1]], dim=1)
    else:
        everything = torch.cat([train[EDGE_TYPE].edge_index, held_out], dim=1)
        train[REVERSE].edge_index = everything.flip(0)
    model = Recommender(MF(train, dim=4), RNS(UniformCandidates(train)))
    before = model.encoder.tables()["user"][0].clone()
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="check_leakage: 'val' must be held out"):
        fit(model, train, val, out, epochs=1, device="cpu")
    assert not out.exists()
    assert torch.equal(model.encoder.tables()["user"][0], before)


@pytest.mark.parametrize("change", [lambda graph: graph, ToUndirected()])
def test_does_not_change_the_graphs(change: Callable[[HeteroData], HeteroData]) -> None:
    graphs = [change(graph) for graph in tiny()]
    before = [graph.clone() for graph in graphs]
    check_leakage(*graphs)
    for old, new in zip(before, graphs, strict=True):
        assert old.edge_types == new.edge_types
        for kind in old.edge_types:
            stores = old[kind].to_dict(), new[kind].to_dict()
            assert set(stores[0]) == set(stores[1])
            assert all(torch.equal(value, stores[1][name]) for name, value in stores[0].items())


def test_positives_under_a_label_of_their_own_are_looked_at() -> None:
    train, val, test = split(bipartite(), edge_types=[EDGE_TYPE], split_labels=True)
    check_leakage(train, val, test)
    leaked = test[EDGE_TYPE].pos_edge_label_index
    train[EDGE_TYPE].edge_index = torch.cat([train[EDGE_TYPE].edge_index, leaked], dim=1)
    with pytest.raises(ValueError, match=f"{leaked.size(1)} of {leaked.size(1)} links"):
        check_leakage(train, test=test)


def test_a_model_that_reads_the_reverse_of_what_is_held_out_is_refused() -> None:
    """`ToUndirected` before the split: reverse edges hold all links."""
    torch.manual_seed(0)
    train, _, test = split(ToUndirected()(bipartite()), edge_types=[EDGE_TYPE])
    data = ToUndirected()(split(bipartite(), edge_types=[EDGE_TYPE])[0])
    of_all, of_train = (
        FromModule(to_hetero(GraphSAGE(8, 4, 2), graph.metadata()), graph, dim=8)
        for graph in (train, data)
    )
    with pytest.raises(ValueError, match="held-out links are not in the graph"):
        evaluate(of_all, test)
    assert not of_train.holds(test[EDGE_TYPE].edge_label_index).any()
    evaluate(of_train, test)


def test_held_out_links_are_not_trained_on() -> None:
    """As where the graph says which links to train on, and they are all that there are."""
    train, val, test = tiny()
    store, held_out = train[EDGE_TYPE], val[EDGE_TYPE].edge_label_index
    store.edge_label_index = torch.cat([store.edge_index, held_out], dim=1)
    store.pop("edge_label", None)
    expected = rf"'val' must be .* links to train on, .*edge_label_index.*got {held_out.size(1)} of"
    with pytest.raises(ValueError, match=expected):
        check_leakage(train, val, test)
    known = UniformCandidates(train, also=held_out)
    with pytest.raises(ValueError, match=expected):
        fit(Recommender(MF(train, dim=4), RNS(known)), train, val, epochs=1, progress=False)
    label = torch.ones(store.edge_label_index.size(1))
    label[-held_out.size(1) :] = 0  # negatives may be anything
    store.edge_label = label
    check_leakage(train, val, test)
