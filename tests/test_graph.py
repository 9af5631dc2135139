"""Links in every form that PyG keeps them in: the same links, draws, tables and metrics."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import RandomLinkSplit, ToSparseTensor

from pyg_negsamp.candidates import PoolCandidates, PopularityCandidates, UniformCandidates
from pyg_negsamp.datasets import RandomSplit, SyntheticInteractions
from pyg_negsamp.evaluation import check_leakage, evaluate
from pyg_negsamp.graph import EDGE_TYPE, held_out_links, known_links, links_in
from pyg_negsamp.nn import LightGCN
from pyg_negsamp.training import LinkLoader
from pyg_negsamp.transforms import RNS

Graph = HeteroData | Data
SHOWN = ("user", "was_shown", "item")


def pairs(index: Tensor) -> list[tuple[int, int]]:
    """The links, sorted: a matrix has an order of its own."""
    assert type(index) is Tensor
    assert index.dtype == torch.long
    return sorted(map(tuple, index.t().tolist()))


def bipartite() -> HeteroData:
    """Five users, eight items, among each some without links; not in order."""
    links = [(3, 7), (0, 2), (0, 0), (3, 1), (1, 2), (4, 6), (3, 2), (1, 5), (4, 0)]
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 5, 8
    data[EDGE_TYPE].edge_index = torch.tensor(links).t().contiguous()
    return data


def homogeneous() -> Data:
    """Six nodes, directed, so that a transposed matrix shows; the last has no link."""
    links = [(3, 1), (0, 2), (0, 4), (4, 0), (1, 2), (3, 2), (2, 0)]
    return Data(edge_index=torch.tensor(links).t().contiguous(), num_nodes=6)


def sizes(data: Graph) -> tuple[int, int]:
    if isinstance(data, Data):
        return data.num_nodes, data.num_nodes
    return data["user"].num_nodes, data["item"].num_nodes


def as_adj_t(data: Graph, layout: torch.layout | None, convert: Callable = lambda x: x) -> Graph:
    """What `ToSparseTensor` makes of it, with the edge index gone."""
    data = ToSparseTensor(layout=layout)(data.clone())
    for store in data.edge_stores:
        assert "edge_index" not in store
        store.adj_t = convert(store.adj_t)
    return data


def as_edge_index(data: Graph) -> Graph:
    data = data.clone()
    for store in data.edge_stores:
        store.edge_index = EdgeIndex(store.edge_index, sparse_size=sizes(data)).sort_by("col")[0]
    return data


def as_matrix_in_edge_index(data: Graph) -> Graph:
    data = as_adj_t(data, torch.sparse_csr)
    for store in data.edge_stores:
        store.edge_index = store.adj_t
        del store["adj_t"]
    return data


FORMS: dict[str, Callable[[Graph], Graph]] = {
    "csr": lambda data: as_adj_t(data, torch.sparse_csr),
    "csc": lambda data: as_adj_t(data, torch.sparse_csr, Tensor.to_sparse_csc),
    "coo": lambda data: as_adj_t(data, torch.sparse_coo),
    "EdgeIndex": as_edge_index,
    "csr in edge_index": as_matrix_in_edge_index,
}
if find_spec("torch_sparse"):  # of the extra 'sparse'
    FORMS["SparseTensor"] = lambda data: as_adj_t(data, None)
every_form = pytest.mark.parametrize("form", list(FORMS))
both_kinds = pytest.mark.parametrize("make", [bipartite, homogeneous])


def check_equal(data: Graph, other: Graph) -> None:
    """Links, sizes, draws and what was seen."""
    one, two = known_links(data), known_links(other)
    assert pairs(one.index) == pairs(two.index)
    assert (one.num_users, one.num_items) == (two.num_users, two.num_items) == sizes(data)
    user = torch.arange(one.num_users).repeat(3)
    for source in (UniformCandidates, PopularityCandidates):
        first, second = source(data), source(other)
        a, b = (x(user, 20, torch.Generator().manual_seed(1)) for x in (first, second))
        assert torch.equal(a, b)
        for x, y in zip(first.known.of(user), second.known.of(user), strict=True):
            assert torch.equal(x, y)


def tables(data: HeteroData) -> list[Tensor]:
    torch.manual_seed(0)
    encoder = LightGCN(data, dim=4)
    return [x.detach() for name in ("user", "item") for x in encoder()[name]]


@every_form
@both_kinds
def test_the_same_links(form: str, make: Callable[[], Graph]) -> None:
    data = make()
    other = FORMS[form](data)
    expected = pairs(data.edge_stores[0].edge_index)
    assert pairs(links_in(other.edge_stores[0])) == expected
    check_equal(data, other)


@every_form
def test_the_same_tables(form: str) -> None:
    data = bipartite()
    for one, other in zip(tables(data), tables(FORMS[form](data)), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(tables(data)[1], tables(data)[2])  # there is something to compare


@both_kinds
def test_torch_sparse(make: Callable[[], Graph]) -> None:
    torch_sparse = pytest.importorskip("torch_sparse", exc_type=ImportError)
    data = make()
    by_transform = ToSparseTensor(layout=None)(data.clone())
    assert isinstance(by_transform.edge_stores[0].adj_t, torch_sparse.SparseTensor)
    weighted = data.clone()
    source, target = weighted.edge_stores[0].edge_index
    weight = torch.rand(len(source))
    weighted.edge_stores[0].adj_t = torch_sparse.SparseTensor(
        row=target, col=source, value=weight, sparse_sizes=(sizes(data)[1], sizes(data)[0])
    )
    del weighted.edge_stores[0]["edge_index"]
    by_field = data.clone()
    by_field.edge_stores[0].edge_weight = weight
    for other, same in ((by_transform, data), (weighted, by_field)):
        check_equal(data, other)
        if isinstance(data, HeteroData):
            for x, y in zip(tables(same), tables(other), strict=True):
                assert torch.equal(x, y)


def test_weights_do_not_matter_for_what_is_known() -> None:
    """Also weights of zero: a link is a link."""
    data = bipartite()
    weighted = data.clone()
    weighted[EDGE_TYPE].edge_weight = torch.arange(9.0)
    weighted = ToSparseTensor(attr="edge_weight", layout=torch.sparse_csr)(weighted)
    assert 0.0 in weighted[EDGE_TYPE].adj_t.values().tolist()
    check_equal(data, weighted)


def test_edge_index_goes_first() -> None:
    """`ToSparseTensor(remove_edge_index=False)` keeps both; they are the same."""
    data = bipartite()
    both = ToSparseTensor(remove_edge_index=False, layout=torch.sparse_csr)(data.clone())
    assert {"edge_index", "adj_t"} <= set(both[EDGE_TYPE].keys())
    check_equal(data, both)
    both[EDGE_TYPE].edge_index = both[EDGE_TYPE].edge_index[:, :4]
    assert known_links(both).index.size(1) == 4


def test_links_of_a_matrix_without_any() -> None:
    data = bipartite()
    del data[EDGE_TYPE].edge_index
    data[EDGE_TYPE].adj_t = torch.sparse_coo_tensor(
        torch.zeros(2, 0, dtype=torch.long), torch.zeros(0), (8, 5)
    ).to_sparse_csr()
    assert known_links(data).index.shape == (2, 0)


@every_form
def test_does_not_change_the_graph(form: str) -> None:
    data = FORMS[form](bipartite())
    before = dict(data[EDGE_TYPE].items())
    known_links(data)
    assert dict(data[EDGE_TYPE].items()).keys() == before.keys()
    assert all(data[EDGE_TYPE][name] is value for name, value in before.items())


# Everything that reads a graph ------------------------------------------------------------------


@every_form
def test_the_same_metrics_and_the_same_leaks(form: str) -> None:
    graphs = list(SyntheticInteractions("tiny"))
    others = [FORMS[form](graph) for graph in graphs]
    generator = torch.Generator().manual_seed(0)
    x_dict = {
        "user": torch.randn(60, 4, generator=generator),
        "item": torch.randn(80, 4, generator=generator),
    }
    for one, other in zip(graphs[1:], others[1:], strict=True):
        assert evaluate(x_dict, one, k=(5, 20)) == evaluate(x_dict, other, k=(5, 20))
    check_leakage(*others)
    leaking = graphs[2].clone()  # holds the validation links
    with pytest.raises(ValueError, match=r"'val' must be held out: .*\(got 82 of 82 links"):
        check_leakage(FORMS[form](leaking), others[1])
    # Reverse edges tell as much in every form.
    held_out = graphs[1][EDGE_TYPE].edge_label_index
    everything = torch.cat([graphs[0][EDGE_TYPE].edge_index, held_out], dim=1)
    reverse = ("item", "rev_interacts", "user")
    others[0][reverse].adj_t = torch.sparse_coo_tensor(
        everything, torch.ones(everything.size(1)), (60, 80)
    ).to_sparse_csr()
    with pytest.raises(ValueError, match=r"rev_interacts.*\(got 82 of 82 links"):
        check_leakage(others[0], others[1])


@every_form
def test_the_same_pools(form: str) -> None:
    data = bipartite()
    data[SHOWN].edge_index = (
        torch.cartesian_prod(torch.arange(5), torch.tensor([1, 3, 4])).t().contiguous()
    )
    user = torch.arange(5)
    drawn = [
        PoolCandidates(graph, SHOWN)(user, 30, torch.Generator().manual_seed(0))
        for graph in (data, FORMS[form](data))
    ]
    assert torch.equal(*drawn)


@every_form
def test_the_same_positives_to_train_on(form: str) -> None:
    data = bipartite()
    other = FORMS[form](data)
    loader = LinkLoader(other, 4, transform=RNS(UniformCandidates(other)))
    found = [torch.stack([b["user"].src_index, b["item"].dst_pos_index]) for b in loader]
    assert pairs(torch.cat(found, dim=1)) == pairs(data[EDGE_TYPE].edge_index)


# Errors -----------------------------------------------------------------------------------------


@both_kinds
def test_names_the_missing_links(make: Callable[[], Graph]) -> None:
    data = make()
    del data.edge_stores[0]["edge_index"]
    data.edge_stores[0].time = torch.zeros(9)  # an edge type without links
    assert links_in(data.edge_stores[0]) is None
    with pytest.raises(ValueError, match=r"known_links: 'data' .*'edge_index' or 'adj_t'"):
        known_links(data)
    with pytest.raises(ValueError, match="'edge_index' or 'adj_t'"):
        UniformCandidates(data)


def test_names_the_missing_edge_type() -> None:
    with pytest.raises(ValueError, match=r"'edge_type' must be one of .*interacts.*'rates'"):
        known_links(bipartite(), ("user", "rates", "item"))


@pytest.mark.parametrize("form", ["edge_index", "csr"])
@pytest.mark.parametrize("node_type", ["user", "item"])
@pytest.mark.filterwarnings("ignore:Unable to accurately infer 'num_nodes'")
def test_names_the_missing_node_count(node_type: str, form: str) -> None:
    data = bipartite() if form == "edge_index" else FORMS[form](bipartite())
    del data[node_type].num_nodes
    with pytest.raises(ValueError, match="node types state 'num_nodes'") as error:
        known_links(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["edge_index", "csr", "coo"])
@pytest.mark.parametrize(("node_type", "size"), [("user", 5), ("item", 8)])
def test_names_ids_out_of_range(node_type: str, size: int, form: str) -> None:
    data = bipartite() if form == "edge_index" else FORMS[form](bipartite())
    data[node_type].num_nodes = size - 1
    with pytest.raises(
        ValueError,
        match=rf"'edge_index' must be {node_type}s in \[0, {size - 1}\) \(got 0..{size - 1}\)",
    ):
        known_links(data)


def test_splits_read_sparse_links_too() -> None:
    generator = torch.Generator().manual_seed(0)
    index = (torch.rand(20, 15, generator=generator) < 0.3).nonzero().t()
    listed, sparse = HeteroData(), HeteroData()
    for data in (listed, sparse):
        data["user"].num_nodes, data["item"].num_nodes = 20, 15
    listed[EDGE_TYPE].edge_index = index
    ones = torch.ones(index.size(1))
    sparse[EDGE_TYPE].adj_t = torch.sparse_coo_tensor(index.flip(0), ones, (15, 20)).to_sparse_csr()
    for split in (RandomSplit(0.1, 0.2), RandomSplit(0.0, 0.5)):
        for a, b in zip(split(listed), split(sparse), strict=True):
            assert torch.equal(a[EDGE_TYPE].edge_index, b[EDGE_TYPE].edge_index)
            assert torch.equal(a[EDGE_TYPE].edge_label_index, b[EDGE_TYPE].edge_label_index)
    assert "adj_t" in sparse[EDGE_TYPE]  # the input is left alone


# What is held out ---------------------------------------------------------------------------


def test_held_out_links_are_those_with_a_label_or_without_any() -> None:
    data = bipartite()
    assert held_out_links(data).shape == (2, 0)
    store = data[EDGE_TYPE]
    store.edge_label_index = torch.tensor([[0, 1, 2, 3], [1, 3, 5, 7]], dtype=torch.int32)
    assert pairs(held_out_links(data)) == [(0, 1), (1, 3), (2, 5), (3, 7)]
    store.edge_label = torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert pairs(held_out_links(data)) == [(0, 1), (2, 5)]
    store.pos_edge_label_index = torch.tensor([[4], [4]])
    assert pairs(held_out_links(data)) == [(4, 4)]


@pytest.mark.parametrize("link", [(0, 8), (5, 0), (-1, 0)])
def test_held_out_links_are_in_range(link: tuple[int, int]) -> None:
    data = bipartite()
    data[EDGE_TYPE].edge_label_index = torch.tensor([[0, link[0]], [1, link[1]]])
    with pytest.raises(ValueError, match=r"'edge_label_index' must be (users|items) in \[0, "):
        evaluate({"user": torch.ones(5, 2), "item": torch.ones(8, 2)}, data)


def test_links_labelled_zero_are_not_ranked() -> None:
    """What `RandomLinkSplit` adds by default."""
    _, _, test = RandomLinkSplit(edge_types=[EDGE_TYPE], num_val=0.2, num_test=0.4)(bipartite())
    store = test[EDGE_TYPE]
    x_dict = {"user": torch.randn(5, 3), "item": torch.randn(8, 3)}
    assert (store.edge_label == 0).any()
    whole = evaluate(x_dict, test, (2,))
    store.edge_label_index = store.edge_label_index[:, store.edge_label == 1]
    del store.edge_label
    assert evaluate(x_dict, test, (2,)) == whole


def test_narrow_ids_do_not_overflow() -> None:
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 100_000, 60_000
    links = torch.tensor([[99_999, 70_000], [59_999, 3]], dtype=torch.int32)
    data[EDGE_TYPE].edge_index = links
    seen = UniformCandidates(data).known.hold(links[0], links[1])
    assert seen.all()
